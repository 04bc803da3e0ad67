/**
 * Walks over the msgpack bytes of a frame before anything is decoded, so that the decoder only ever
 * sees one complete value of bounded depth and size: no extension types, text keys only, valid UTF-8,
 * and no length that the remaining bytes could not hold. It allocates nothing that grows with the input.
 */
import { FrameError, type FrameFault } from "./frame-error.ts";
import { FRAME_DEPTH_MAX, MAP_ENTRIES_MAX } from "./limits.ts";

const strictText = new TextDecoder("utf-8", { fatal: true });

/** @throws {FrameError} unless `bytes` are exactly one acceptable value of at most `nodesMax` values and keys. */
export function scan(bytes: Uint8Array, nodesMax: number): void {
  new Scanner(bytes, nodesMax).run();
}

class Scanner {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #nodesMax: number;
  #at = 0;
  #nodes = 0;
  /** Open maps and arrays: how many items each still expects, a map counting keys and values. */
  #depth = 0;
  readonly #expected = new Float64Array(FRAME_DEPTH_MAX);
  readonly #isMap = new Uint8Array(FRAME_DEPTH_MAX);

  constructor(bytes: Uint8Array, nodesMax: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#nodesMax = nodesMax;
  }

  run(): void {
    do {
      this.#value(this.#startsKey());
      while (this.#depth > 0 && this.#expected[this.#depth - 1] === 0) this.#depth -= 1;
    } while (this.#depth > 0);
    if (this.#at !== this.#bytes.length) refuse("trailing-bytes");
  }

  /** Takes one item off the innermost container; true where a key of a map must stand. */
  #startsKey(): boolean {
    if (this.#depth === 0) return false;
    const top = this.#depth - 1;
    const left = this.#expected[top] ?? 0;
    this.#expected[top] = left - 1;
    return this.#isMap[top] === 1 && left % 2 === 0;
  }

  #value(isKey: boolean): void {
    this.#nodes += 1;
    if (this.#nodes > this.#nodesMax) refuse("too-many-nodes");
    const type = this.#unsigned(1);
    if (type >= 0xa0 && type <= 0xbf) return this.#text(type & 0x1f);
    if (type >= 0xd9 && type <= 0xdb) return this.#text(this.#unsigned(1 << (type - 0xd9)));
    if (isKey) refuse("key-not-text");
    if (type <= 0x7f || type >= 0xe0) return;
    if (type <= 0x8f) return this.#map(type & 0x0f);
    if (type <= 0x9f) return this.#array(type & 0x0f);
    this.#marked(type);
  }

  /** The types from 0xc0 to 0xdf except text. */
  #marked(type: number): void {
    if (type === 0xc0 || type === 0xc2 || type === 0xc3) return;
    if (type === 0xc1) refuse("reserved-type");
    if (type >= 0xc4 && type <= 0xc6) return this.#skip(this.#unsigned(1 << (type - 0xc4)));
    if (type === 0xca) return this.#skip(4);
    if (type === 0xcb) return this.#skip(8);
    if (type >= 0xcc && type <= 0xcf) return this.#skip(1 << (type - 0xcc));
    if (type >= 0xd0 && type <= 0xd3) return this.#skip(1 << (type - 0xd0));
    if (type === 0xdc || type === 0xdd) return this.#array(this.#unsigned(type === 0xdc ? 2 : 4));
    if (type === 0xde || type === 0xdf) return this.#map(this.#unsigned(type === 0xde ? 2 : 4));
    refuse("extension-type");
  }

  #array(length: number): void {
    this.#open(length, 0);
  }

  #map(entries: number): void {
    if (entries > MAP_ENTRIES_MAX) refuse("map-too-large");
    this.#open(entries * 2, 1);
  }

  /** Every item takes a byte at least, so a length beyond the rest of the frame is a lie. */
  #open(items: number, isMap: 0 | 1): void {
    if (items > this.#bytes.length - this.#at) refuse("implausible-length");
    if (this.#depth === FRAME_DEPTH_MAX) refuse("too-deep");
    this.#expected[this.#depth] = items;
    this.#isMap[this.#depth] = isMap;
    this.#depth += 1;
  }

  #text(length: number): void {
    const start = this.#at;
    this.#skip(length);
    for (let at = start; at < this.#at; at += 1) {
      if ((this.#bytes[at] ?? 0) < 0x80) continue;
      try {
        strictText.decode(this.#bytes.subarray(at, this.#at));
      } catch {
        // The decoder's TypeError says no more than that; the fault below is the answer to it.
        refuse("text-not-utf8");
      }
      return;
    }
  }

  #skip(length: number): void {
    if (length > this.#bytes.length - this.#at) refuse("truncated");
    this.#at += length;
  }

  #unsigned(width: number): number {
    const at = this.#at;
    this.#skip(width);
    return width === 1 ? this.#view.getUint8(at) : width === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }
}

function refuse(fault: FrameFault): never {
  throw new FrameError(fault);
}
