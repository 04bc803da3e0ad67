/**
 * A stream as its reader sees it: chunks in order, then the result. What was used up is acknowledged, so
 * the server sends one window ahead of the reader and no more.
 */
import { RequestError } from "../protocol/error.ts";
import { STREAM_WINDOW_BYTES } from "../protocol/limits.ts";

export interface ClientStream<C, R> extends AsyncIterable<C> {
  /** Comes after the last chunk, so the chunks must be read. Rejected as reading them is. */
  readonly result: Promise<R>;
  /** Ends it from our side, as leaving the loop does; `result` is rejected with RequestError "canceled". */
  cancel(): void;
}

interface Waiting {
  readonly chunk: unknown;
  readonly bytes: number;
}

/** Between the connection, which puts chunks in, and the one reader, who takes them out. */
export class ChunkBuffer {
  readonly #chunks: Waiting[] = [];
  readonly #acknowledge: (bytes: number) => void;
  #usedBytes = 0;
  #end: { readonly error: unknown } | "finished" | null = null;
  #wake: (() => void) | null = null;

  constructor(acknowledge: (bytes: number) => void) {
    this.#acknowledge = acknowledge;
  }

  get ended(): boolean {
    return this.#end !== null;
  }

  put(chunk: unknown, bytes: number): void {
    this.#chunks.push({ chunk, bytes });
    this.#wake?.();
  }

  finish(): void {
    this.#end ??= "finished";
    this.#wake?.();
  }

  /** What is in the buffer can still be read; then the error is thrown. */
  fail(error: unknown): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  async *read(): AsyncGenerator<unknown, void, undefined> {
    while (true) {
      const next = this.#chunks.shift();
      if (next !== undefined) {
        yield next.chunk;
        this.#used(next.bytes);
      } else if (this.#end === "finished") {
        return;
      } else if (this.#end !== null) {
        throw this.#end.error;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  #used(bytes: number): void {
    this.#usedBytes += bytes;
    if (this.#usedBytes < STREAM_WINDOW_BYTES / 2 || this.ended) return;
    this.#acknowledge(this.#usedBytes);
    this.#usedBytes = 0;
  }
}

export function canceled(): RequestError {
  return new RequestError("canceled");
}
