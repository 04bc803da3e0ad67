/**
 * One output of a started script: skips the noise before the sentinel, then hands the bytes to one reader, holding
 * the source back while more than READ_AHEAD_BYTES wait. A source that dies in the middle ends with an error, never
 * with what looks like the end of the output.
 */
import type { Readable } from "node:stream";
import type { MachineShellError } from "../machine-shell.ts";

const READ_AHEAD_BYTES = 1024 * 1024;
const NOISE_BYTES_MAX = 1024 * 1024;

export class ByteOutput implements AsyncIterable<Uint8Array> {
  /** Resolves when the sentinel has been seen; rejects when the output ended, or was all noise. */
  readonly begun: Promise<void>;
  readonly #begin = Promise.withResolvers<void>();
  readonly #source: Readable;
  readonly #sentinel: Buffer;
  #noise: Buffer | null = Buffer.alloc(0);
  #chunks: Buffer[] = [];
  #waitingBytes = 0;
  #isEnded = false;
  #isDiscarded = false;
  #failure: MachineShellError | null = null;
  #wake: (() => void) | null = null;

  constructor(source: Readable, sentinel: Buffer) {
    this.#source = source;
    this.#sentinel = sentinel;
    this.begun = this.#begin.promise;
    this.begun.catch(() => {
      // Whoever awaits it is told; nobody need.
    });
    source.on("data", (bytes: Buffer) => this.#take(bytes));
    source.once("end", () => this.end());
    source.once("close", () => this.end());
  }

  /** The last thing the login shell said, for a message about a shell that did not start. */
  get noise(): string {
    return (this.#noise ?? Buffer.alloc(0)).subarray(-200).toString().trim();
  }

  end(): void {
    this.#isEnded = true;
    this.#begin.reject(new Error("the output ended before the script began"));
    this.#notify();
  }

  /** The source is dead; bytes that have arrived can still be read. */
  fail(error: MachineShellError): void {
    if (this.#isEnded || this.#failure !== null) return;
    this.#failure = error;
    this.#begin.reject(error);
    this.#notify();
  }

  /** Reads on and forgets: the script may write what it likes. */
  discard(): void {
    this.#isDiscarded = true;
    this.#chunks = [];
    this.#waitingBytes = 0;
    this.#source.resume();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.#waitingBytes -= chunk.length;
        if (this.#waitingBytes < READ_AHEAD_BYTES / 2 && this.#source.isPaused()) this.#source.resume();
        yield chunk;
      } else if (this.#failure !== null) {
        throw this.#failure;
      } else if (this.#isEnded) {
        return;
      } else {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake = resolve;
        await promise;
      }
    }
  }

  #take(bytes: Buffer): void {
    const rest = this.#noise === null ? bytes : this.#skipNoise(this.#noise, bytes);
    if (rest === null || rest.length === 0 || this.#isDiscarded) return;
    this.#chunks.push(rest);
    this.#waitingBytes += rest.length;
    if (this.#waitingBytes >= READ_AHEAD_BYTES) this.#source.pause();
    this.#notify();
  }

  #skipNoise(before: Buffer, bytes: Buffer): Buffer | null {
    const noise = Buffer.concat([before, bytes]);
    const at = noise.indexOf(this.#sentinel, Math.max(0, before.length - this.#sentinel.length));
    if (at < 0) {
      this.#noise = noise;
      if (noise.length > NOISE_BYTES_MAX) {
        this.#noise = noise.subarray(-NOISE_BYTES_MAX / 2);
        this.#begin.reject(new Error(`more than ${NOISE_BYTES_MAX} bytes before the script began`));
      }
      return null;
    }
    this.#noise = null;
    this.#begin.resolve();
    return noise.subarray(at + this.#sentinel.length);
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }
}
