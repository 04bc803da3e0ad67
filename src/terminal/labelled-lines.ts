/** Several logs on one screen: whole lines only, each with the label of its log, whatever pieces the bytes come in. */

/** A line that is longer is shown as several: a log without line breaks must not fill the memory. */
const LINE_BYTES_MAX = 1_048_576;
const LINE_BREAK = 0x0a;

export class LabelledLines {
  #label: Uint8Array;
  /** What came after the last line break. */
  #held: Uint8Array[] = [];
  #heldBytes = 0;

  /** @param label as it is printed, colours and all */
  constructor(label: string) {
    this.#label = new TextEncoder().encode(label);
  }

  /** The lines that are whole now. */
  take(bytes: Uint8Array): Uint8Array {
    const lines: Uint8Array[] = [];
    let start = 0;
    for (let end = bytes.indexOf(LINE_BREAK); end >= 0; end = bytes.indexOf(LINE_BREAK, start)) {
      lines.push(this.#label, ...this.#held, bytes.subarray(start, end + 1));
      this.#hold(null);
      start = end + 1;
    }
    if (start < bytes.length) this.#hold(bytes.slice(start));
    return this.#heldBytes > LINE_BYTES_MAX ? joined([...lines, this.end()]) : joined(lines);
  }

  /** A last line that has no line break is given one. */
  end(): Uint8Array {
    if (this.#heldBytes === 0) return new Uint8Array();
    const line = joined([this.#label, ...this.#held, Uint8Array.of(LINE_BREAK)]);
    this.#hold(null);
    return line;
  }

  /** What comes from now on is another log's. */
  relabel(label: string): Uint8Array {
    const rest = this.end();
    this.#label = new TextEncoder().encode(label);
    return rest;
  }

  #hold(bytes: Uint8Array | null): void {
    this.#held = bytes === null ? [] : [...this.#held, bytes];
    this.#heldBytes = bytes === null ? 0 : this.#heldBytes + bytes.length;
  }
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let offset = 0;
  for (const piece of pieces) {
    all.set(piece, offset);
    offset += piece.length;
  }
  return all;
}
