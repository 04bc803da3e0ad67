/**
 * Owns one command on a machine while its bytes are awaited: it ends when nothing comes for too long, when
 * the copy is canceled, or when the connection dies, always with a CopyProblem and never with silence.
 * Only time spent waiting for the machine counts; a slow disk of ours is not its fault.
 */
import { problem } from "../../core/problem.ts";
import { type MachineShell, MachineShellError, type ShellProcess } from "../machine-shell.ts";
import { CopyProblem, canceled } from "./copy-problem.ts";

const STDERR_BYTES_MAX = 4096;
const INPUT_PIECE_BYTES = 256 * 1024;

export interface WatchedCommandOptions {
  readonly shell: Pick<MachineShell, "machine">;
  readonly input: Uint8Array;
  readonly signal: AbortSignal;
  readonly stallMs: number;
  /** Silence that is allowed beyond stallMs just now, for commands that work without a word. */
  readonly patienceMs?: () => number;
}

interface StartOptions {
  readonly shell: MachineShell;
  readonly script: string;
}

export class WatchedCommand {
  readonly #options: WatchedCommandOptions;
  readonly #process: ShellProcess;
  readonly #stderr: Promise<string>;
  #rejectWait: ((error: CopyProblem) => void) | null = null;
  #waitingSince = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #broken: CopyProblem | null = null;

  /** @throws {CopyProblem} when the machine cannot be reached or refuses */
  static async start(options: WatchedCommandOptions & StartOptions): Promise<WatchedCommand> {
    return new WatchedCommand(options, await startInTime(options));
  }

  /** @param process started already; or a part of one, that is watched for itself */
  constructor(options: WatchedCommandOptions, process: ShellProcess) {
    this.#options = options;
    this.#process = process;
    this.#stderr = process.collectStderr(STDERR_BYTES_MAX).catch(() => "");
    // The promise may be asked for only later, or never when the copy ends before.
    process.exited.catch(() => null);
    options.signal.addEventListener("abort", this.#abort, { once: true });
    if (options.signal.aborted) this.#abort();
    void this.#feed();
  }

  /** Standard output, piece by piece. @throws {CopyProblem} */
  async *output(): AsyncGenerator<Uint8Array, void, undefined> {
    const iterator = this.#process.stdout[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await this.#guard(iterator.next());
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      this.stop();
    }
  }

  /** The exit status and the first words of standard error, once the output has ended. @throws {CopyProblem} */
  async end(): Promise<{ status: number; message: string }> {
    try {
      const status = await this.#guard(this.#process.exited);
      return { status, message: firstLine(await this.#guard(this.#stderr)) };
    } finally {
      this.stop();
    }
  }

  /** Ends the command if it still runs. Harmless otherwise. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#options.signal.removeEventListener("abort", this.#abort);
    this.#rejectWait = null;
  }

  /** Ends the command at once, because its answer is of no use any more. */
  kill(): void {
    this.stop();
    this.#process.kill();
  }

  readonly #abort = (): void => this.#break(canceled());

  #break(error: CopyProblem): void {
    this.#broken = error;
    this.#process.kill();
    this.#rejectWait?.(error);
  }

  async #guard<T>(wanted: Promise<T>): Promise<T> {
    if (this.#broken !== null) {
      wanted.catch(() => null);
      throw this.#broken;
    }
    this.#waitingSince = performance.now();
    this.#arm(this.#stallMs());
    try {
      return await new Promise<T>((resolve, reject) => {
        this.#rejectWait = reject;
        wanted.then(resolve, reject);
      });
    } catch (error) {
      this.#process.kill();
      throw this.#broken ?? asCopyProblem(error, this.#options.shell.machine);
    } finally {
      this.#rejectWait = null;
    }
  }

  /** One timer for the whole command: it looks when the wait began, instead of being set anew at each piece. */
  #arm(delayMs: number): void {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (this.#rejectWait === null) return;
      const leftMs = this.#stallMs() - (performance.now() - this.#waitingSince);
      if (leftMs > 0) this.#arm(leftMs);
      else this.#break(stalled(this.#options.shell.machine, this.#stallMs()));
    }, delayMs);
  }

  #stallMs(): number {
    return this.#options.stallMs + (this.#options.patienceMs?.() ?? 0);
  }

  async #feed(): Promise<void> {
    const { input } = this.#options;
    try {
      for (let at = 0; at < input.length && this.#broken === null; at += INPUT_PIECE_BYTES) {
        await this.#process.write(input.subarray(at, at + INPUT_PIECE_BYTES));
      }
      this.#process.closeInput();
    } catch {
      // The command ended or the connection died before it had read all; its end says which.
    }
  }
}

/**
 * A machine that does not even begin within the stall time, or only after the copy was canceled, is not waited for.
 * @throws {CopyProblem}
 */
export async function startInTime({
  shell,
  script,
  signal,
  stallMs,
}: StartOptions & Pick<WatchedCommandOptions, "signal" | "stallMs">): Promise<ShellProcess> {
  if (signal.aborted) throw canceled();
  const tooLate = Promise.withResolvers<never>();
  const abort = (): void => tooLate.reject(canceled());
  const timer = setTimeout(() => tooLate.reject(stalled(shell.machine, stallMs)), stallMs);
  signal.addEventListener("abort", abort, { once: true });
  const starting = shell.run(script, { keepInputOpen: true });
  try {
    return await Promise.race([starting, tooLate.promise]);
  } catch (error) {
    void starting.then(
      (process) => process.kill(),
      () => null,
    );
    throw asCopyProblem(error, shell.machine);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}

function stalled(machine: string, stallMs: number): CopyProblem {
  return new CopyProblem(problem("transfer-stalled", { machine, seconds: String(Math.round(stallMs / 1000)) }), "transport");
}

function asCopyProblem(error: unknown, machine: string): CopyProblem {
  if (error instanceof CopyProblem) return error;
  // A wrong host key is a person's to mend: asking again only keeps it from being told.
  if (error instanceof MachineShellError)
    return new CopyProblem(error.problem, error.problem.code.startsWith("host-key-") ? "never" : "transport");
  const message = error instanceof Error ? error.message : String(error);
  return new CopyProblem(problem("transfer-cut", { machine, message }), "transport");
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0]?.trim() ?? "";
}
