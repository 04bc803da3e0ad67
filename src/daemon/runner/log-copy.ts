/**
 * Brings one log of a run on a machine into its file on this host, byte for byte, while the job writes it and to
 * its end. The file here only grows, and its size says what is still to come: that is all a restart needs.
 */
import { closeSync, fstatSync, openSync, writeSync } from "node:fs";
import { type MachineShell, MachineShellError, type ShellProcess } from "../machine-shell.ts";
import { errorCode } from "./run-directory.ts";
import type { RunLog } from "./runner.ts";

/** Follows both logs until its input is closed; `tail -f` must not outlive the connection. */
const FOLLOW_SCRIPT = `
IFS= read -r directory
read -r out err
cd "$directory" || exit 1
tail -c "+$out" -f out </dev/null & first=$!
tail -c "+$err" -f err </dev/null >&2 & second=$!
read -r rest
kill "$first" "$second" 2>/dev/null
wait
`;

/** A full disk is waited for: the bytes are safe on the machine meanwhile. */
const DISK_FULL_RETRY_MS = 1_000;

export class LogCopy {
  private readonly out: LogFile;
  private readonly err: LogFile;
  private follower: Promise<ShellProcess> | null = null;
  private flowing: Promise<unknown> = Promise.resolve();

  /** Creates the files when they are not there. @throws the system's error */
  constructor(
    private readonly shell: MachineShell,
    private readonly directory: string,
    log: RunLog,
  ) {
    this.out = new LogFile(log.stdout);
    this.err = new LogFile(log.stderr);
  }

  /** Starts to show what the job writes. A failure is no loss: `complete` fetches what is missing. */
  follow(): void {
    if (this.follower !== null) return;
    this.follower = this.open();
    this.flowing = this.follower.then(
      (process) => Promise.allSettled([pour(process.stdout, this.out), pour(process.stderr, this.err)]),
      () => undefined,
    );
  }

  /**
   * The run has ended with logs of these sizes: resolves when the files here have them whole.
   * @throws {MachineShellError} when the connection died first
   */
  async complete(end: { outBytes: number; errBytes: number; inline: { out: Uint8Array; err: Uint8Array } | null }): Promise<void> {
    if (end.inline !== null) {
      await this.stopFollowing();
      await this.out.append(end.inline.out.subarray(this.out.size));
      await this.err.append(end.inline.err.subarray(this.err.size));
      return;
    }
    this.follow();
    await Promise.all([this.out.reached(end.outBytes, this.flowing), this.err.reached(end.errBytes, this.flowing)]);
    await this.stopFollowing();
    if (this.out.size < end.outBytes || this.err.size < end.errBytes) {
      // The follower broke off while the connection lives: once more from where it stopped.
      this.follower = null;
      this.follow();
      await Promise.all([this.out.reached(end.outBytes, this.flowing), this.err.reached(end.errBytes, this.flowing)]);
      await this.stopFollowing();
    }
    if (this.out.size < end.outBytes || this.err.size < end.errBytes) {
      throw new MachineShellError({ code: "transfer-cut", data: { machine: this.shell.machine, message: "the log did not arrive whole" } });
    }
  }

  async close(): Promise<void> {
    await this.stopFollowing();
    this.out.close();
    this.err.close();
  }

  private async open(): Promise<ShellProcess> {
    const offsets = `${this.out.size + 1} ${this.err.size + 1}`;
    return await this.shell.run(FOLLOW_SCRIPT, { input: `${this.directory}\n${offsets}\n`, keepInputOpen: true });
  }

  private async stopFollowing(): Promise<void> {
    const { follower } = this;
    if (follower === null) return;
    this.follower = null;
    try {
      const process = await follower;
      process.closeInput();
      process.exited.catch(() => undefined);
      await this.flowing;
    } catch (error) {
      if (!(error instanceof MachineShellError)) throw error;
    }
  }
}

async function pour(bytes: AsyncIterable<Uint8Array>, file: LogFile): Promise<void> {
  for await (const chunk of bytes) await file.append(chunk);
}

/** Append-only; knows its size and who waits for it. */
class LogFile {
  size: number;
  private readonly descriptor: number;
  private grown: () => void = () => undefined;
  private closed = false;

  constructor(path: string) {
    this.descriptor = openSync(path, "a");
    this.size = fstatSync(this.descriptor).size;
  }

  async append(bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.length && !this.closed; ) {
      try {
        const written = writeSync(this.descriptor, bytes, offset);
        offset += written;
        this.size += written;
      } catch (error) {
        if (errorCode(error) !== "ENOSPC" && errorCode(error) !== "EDQUOT") throw error;
        await Bun.sleep(DISK_FULL_RETRY_MS);
      }
    }
    this.grown();
  }

  /** Resolves at that size, or when nothing more flows. */
  async reached(size: number, flowing: Promise<unknown>): Promise<void> {
    let over = false;
    void flowing.then(() => {
      over = true;
      this.grown();
    });
    while (this.size < size && !over) {
      await new Promise<void>((resolve) => {
        this.grown = resolve;
      });
    }
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    closeSync(this.descriptor);
  }
}
