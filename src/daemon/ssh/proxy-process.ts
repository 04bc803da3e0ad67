/** A ProxyCommand as a socket: its standard input and output carry the SSH transport. Executed as words, without a shell. */
import { type ChildProcess, spawn } from "node:child_process";
import { Duplex } from "node:stream";

/** Emits "error" when the program cannot be started or ends with its message on standard error. */
export function openProxyProcess(words: readonly string[]): Duplex {
  const [program = "", ...rest] = words;
  return new ProxyProcess(spawn(program, rest, { stdio: ["pipe", "pipe", "pipe"] }), program);
}

const STDERR_KEPT_BYTES = 1_000;

class ProxyProcess extends Duplex {
  readonly #child: ChildProcess;
  #stderr = "";

  constructor(child: ChildProcess, program: string) {
    super({ allowHalfOpen: false });
    this.#child = child;
    child.once("error", (error) => this.destroy(error));
    child.once("close", (status) => {
      if (this.destroyed) return;
      if (status === 0 || status === null) this.push(null);
      else this.destroy(new Error(`ProxyCommand ${program} ended with status ${status}: ${this.#stderr.trim()}`));
    });
    child.stdout?.on("data", (bytes: Buffer) => {
      if (!this.push(bytes)) child.stdout?.pause();
    });
    child.stderr?.on("data", (bytes: Buffer) => {
      this.#stderr = (this.#stderr + bytes.toString()).slice(-STDERR_KEPT_BYTES);
    });
    child.stdin?.on("error", () => {
      // The end of the program is reported by "close"; a write that fails before it says no more.
    });
  }

  override _read(): void {
    this.#child.stdout?.resume();
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const input = this.#child.stdin;
    if (input === null || !input.writable) return done();
    if (input.write(bytes)) done();
    else input.once("drain", () => done());
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#child.stdin?.end();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#child.kill("SIGKILL");
    done(error);
  }
}
