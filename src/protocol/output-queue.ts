/**
 * Bytes that the socket has not taken yet. A socket of Bun keeps nothing that write() did not take, so
 * both sides hold the rest here and go on when it drains. Whoever pushes looks at `bytes` first.
 */
export class OutputQueue {
  readonly #parts: Uint8Array[] = [];
  /** How much of the first part is written. */
  #written = 0;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** The buffer belongs to the queue from now on. */
  push(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.#bytes += bytes.length;
  }

  /** Hands parts to `write`, which answers how many bytes it took, until it takes less than all. Answers the bytes taken. */
  flush(write: (bytes: Uint8Array) => number): number {
    let sum = 0;
    let finished = 0;
    for (const part of this.#parts) {
      const rest = part.subarray(this.#written);
      const taken = Math.max(0, write(rest));
      sum += taken;
      if (taken < rest.length) {
        this.#written += taken;
        break;
      }
      this.#written = 0;
      finished += 1;
    }
    this.#parts.splice(0, finished);
    this.#bytes -= sum;
    return sum;
  }

  clear(): void {
    this.#parts.length = 0;
    this.#written = 0;
    this.#bytes = 0;
  }
}
