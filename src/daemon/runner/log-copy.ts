/**
 * Brings the two logs of a run on a machine into their files on this host, byte for byte, while the job writes them
 * and to their end. How much is here already says where to go on: that is all a restart needs. A byte goes to its own
 * place in the file, so one that is fetched twice is not there twice. A full disk here is waited for: the bytes are
 * safe on the machine meanwhile. It must not decide what an end means.
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { type Problem, problem } from "../../core/problem.ts";
import type { MachineShell, ShellProcess } from "../machine-shell.ts";
import type { AgentEnd, LogBase } from "./agent-words.ts";
import type { FollowerPlaces } from "./follower-places.ts";
import { LogFile } from "./log-file.ts";
import type { RunLog } from "./runner.ts";

/** Shows what is written until its input ends: `tail -f` must not outlive the connection. */
const FOLLOW_SCRIPT = `
IFS= read -r expjob_directory
read -r expjob_out expjob_err
cd "$expjob_directory" || exit 1
tail -c "+$expjob_out" -f out </dev/null 2>/dev/null &
expjob_first=$!
tail -c "+$expjob_err" -f err </dev/null >&2 2>/dev/null &
expjob_second=$!
read -r expjob_rest
kill "$expjob_first" "$expjob_second"
wait
`;

const FETCH_SCRIPT = `
IFS= read -r expjob_directory
read -r expjob_out expjob_err
cd "$expjob_directory" || exit 1
tail -c "+$expjob_out" out 2>/dev/null
tail -c "+$expjob_err" err </dev/null >&2 2>/dev/null
`;

/** A follower from which nothing comes although something is missing is given up for a plain command. */
const STALL_MS = 2_000;
const FETCHES_MAX = 3;
/** For a follower to end by itself: until the machine has closed its session, sshd may refuse another. */
const STOP_MS = 1_000;

export interface LogCopyOptions {
  readonly shell: MachineShell;
  /** On the machine. */
  readonly directory: string;
  readonly log: RunLog;
  /** null: what the files hold now was there before the run. */
  readonly base: LogBase | null;
  /** Of the caller, for files that are created; null: this process's. */
  readonly umask: number | null;
  readonly places: FollowerPlaces;
}

export class LogCopy {
  readonly #options: LogCopyOptions;
  readonly #out: LogFile;
  readonly #err: LogFile;
  #follower: Transfer | null = null;
  #isClosed = false;

  /** Opens the files and creates what is not there. @throws the system's error, which names the path. */
  constructor(options: LogCopyOptions) {
    const { log, base, umask } = options;
    this.#options = options;
    for (const path of [log.stdout, log.stderr]) mkdirSync(dirname(path), { recursive: true });
    this.#out = new LogFile({ path: log.stdout, baseBytes: base?.outBytes ?? null, umask });
    try {
      this.#err = new LogFile({ path: log.stderr, baseBytes: base?.errBytes ?? null, umask });
    } catch (error) {
      this.#out.close();
      throw error;
    }
  }

  /** What the files held before the run. */
  get base(): LogBase {
    return { outBytes: this.#out.baseBytes, errBytes: this.#err.baseBytes };
  }

  /** Starts to show what the job writes. A failure is no loss: `complete` fetches what is missing. */
  follow(): void {
    if (this.#follower !== null || this.#isClosed) return;
    const { places } = this.#options;
    this.#follower = this.#transfer(FOLLOW_SCRIPT, places);
  }

  /**
   * The run has ended: resolves when the files here have the logs whole, or with what keeps them from it for good.
   * @throws {MachineShellError} when the connection dies first
   */
  async complete(end: AgentEnd): Promise<Problem | null> {
    if (end.inline !== null) {
      await this.#stopFollowing();
      await this.#out.write(end.inline.out.subarray(this.#out.bytes));
      await this.#err.write(end.inline.err.subarray(this.#err.bytes));
      return this.#failure();
    }
    await this.#waitForFollower(end);
    await this.#stopFollowing();
    for (let fetch = 0; fetch < FETCHES_MAX && !this.#has(end) && this.#failure() === null; fetch += 1) {
      await this.#transfer(FETCH_SCRIPT, null).over;
    }
    return this.#failure() ?? this.#gap(end);
  }

  /** Never waits for a disk, nor long for the machine. Harmless when repeated. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#out.giveUp();
    this.#err.giveUp();
    await this.#stopFollowing();
    this.#out.close();
    this.#err.close();
  }

  async #stopFollowing(): Promise<void> {
    const follower = this.#follower;
    this.#follower = null;
    follower?.stop();
    // What it failed of is fetched again, and fails again if it must.
    await follower?.over.catch(() => undefined);
  }

  async #waitForFollower(end: AgentEnd): Promise<void> {
    const follower = this.#follower;
    if (follower === null || !follower.isOpen) return;
    const over = follower.over.then(
      () => "over" as const,
      () => "over" as const,
    );
    while (!this.#has(end)) {
      const stalled = Promise.withResolvers<"over">();
      const timer = setTimeout(() => stalled.resolve("over"), STALL_MS);
      const news = await Promise.race([over, stalled.promise, this.#out.grown(), this.#err.grown()]);
      clearTimeout(timer);
      if (news === "over") return;
    }
  }

  #transfer(script: string, places: FollowerPlaces | null): Transfer {
    const { shell, directory } = this.#options;
    return new Transfer({
      open: () => shell.run(script, { input: `${directory}\n${this.#out.bytes + 1} ${this.#err.bytes + 1}\n`, keepInputOpen: true }),
      out: this.#out,
      err: this.#err,
      places,
    });
  }

  #has(end: AgentEnd): boolean {
    return this.#out.bytes >= (end.outBytes ?? 0) && this.#err.bytes >= (end.errBytes ?? 0);
  }

  #failure(): Problem | null {
    return this.#out.failure ?? this.#err.failure;
  }

  #gap(end: AgentEnd): Problem | null {
    const { shell, directory } = this.#options;
    const isGone = end.outBytes === null || end.errBytes === null;
    if (!isGone && this.#has(end)) return null;
    const message = isGone ? "the log is gone on the machine" : "the log did not arrive whole";
    return problem("transfer-cut", { machine: shell.machine, path: directory, message });
  }
}

interface TransferOptions {
  readonly open: () => Promise<ShellProcess>;
  readonly out: LogFile;
  readonly err: LogFile;
  /** null: it is needed now, however many others follow. */
  readonly places: FollowerPlaces | null;
}

/** One command whose outputs go to the two files. */
class Transfer {
  /** Rejects with a MachineShellError when the connection died, and never with what a file here says. */
  readonly over: Promise<void>;
  readonly #stopped = Promise.withResolvers<null>();
  #process: ShellProcess | null = null;
  #isStopped = false;

  constructor(options: TransferOptions) {
    this.over = this.#run(options);
    this.over.catch(() => undefined);
  }

  get isOpen(): boolean {
    return this.#process !== null;
  }

  /** What is on its way is still written. One that waits for its turn is over at once. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#stopped.resolve(null);
    const process = this.#process;
    if (process === null) return;
    process.closeInput();
    const timer = setTimeout(() => process.kill(), STOP_MS);
    this.over.then(
      () => clearTimeout(timer),
      () => clearTimeout(timer),
    );
  }

  async #run({ open, out, err, places }: TransferOptions): Promise<void> {
    const leave = places === null ? null : await places.enter(this.#stopped.promise);
    try {
      if (this.#isStopped) return;
      const opening = open();
      opening.then(
        (process) => (this.#isStopped ? process.kill() : undefined),
        () => undefined,
      );
      const process = await Promise.race([opening, this.#stopped.promise]);
      // It may have been stopped between the opening and this turn: nobody would end it any more.
      if (process === null || this.#isStopped) return process?.kill();
      this.#process = process;
      // Both to their ends, whatever becomes of the other: nothing may write once this is over.
      const poured = await Promise.allSettled([pour(this.#process.stdout, out), pour(this.#process.stderr, err)]);
      for (const one of poured) if (one.status === "rejected") throw one.reason;
    } finally {
      leave?.();
    }
  }
}

async function pour(bytes: AsyncIterable<Uint8Array>, file: LogFile): Promise<void> {
  // Read on also when the file has failed: the other log must not wait.
  for await (const chunk of bytes) await file.write(chunk);
}
