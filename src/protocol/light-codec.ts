/**
 * The client's codec of one frame's payload: the msgpack of docs/PROTOCOL.md and nothing else, checked while it is read.
 * The server's is codec.ts. A program that runs for one call pays for loading msgpackr, and for decoding with code
 * that is not warm, more than for everything else on the wire (docs/adr/0008-a-light-client.md).
 */
import { FrameError, type FrameFault } from "./frame-error.ts";
import { FRAME_DEPTH_MAX, MAP_ENTRIES_MAX } from "./limits.ts";

const encoder = new TextEncoder();
/** A byte order mark is text like any other. */
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const FIRST_CAPACITY_BYTES = 512;

/** A field that is undefined is not sent. Lone surrogates, which UTF-8 cannot hold, become U+FFFD. */
export function encode(message: unknown): Uint8Array {
  const writer = new Writer();
  writer.value(message);
  return writer.written;
}

/** @throws {FrameError} unless `bytes` are exactly one acceptable value of at most `nodesMax` values and keys. Shares no memory with `bytes`. */
export function decode(bytes: Uint8Array, nodesMax: number): unknown {
  const reader = new Reader(bytes, nodesMax);
  const message = reader.value(0);
  if (!reader.atEnd) refuse("trailing-bytes");
  return message;
}

class Writer {
  #bytes = new Uint8Array(FIRST_CAPACITY_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;

  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.#at);
  }

  value(value: unknown): void {
    if (value === null || value === undefined) this.#byte(0xc0);
    else if (typeof value === "string") this.#text(value);
    else if (typeof value === "number") this.#number(value);
    else if (typeof value === "boolean") this.#byte(value ? 0xc3 : 0xc2);
    else if (value instanceof Uint8Array) {
      this.#header(value.length, { short: null, types: [0xc4, 0xc5, 0xc6] });
      this.#raw(value);
    } else if (Array.isArray(value)) {
      this.#header(value.length, { short: { type: 0x90, max: 15 }, types: [null, 0xdc, 0xdd] });
      for (const item of value) this.value(item);
    } else if (typeof value === "object") this.#map(value);
    else throw new TypeError(`A ${typeof value} cannot be sent.`);
  }

  #map(value: object): void {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    this.#header(entries.length, { short: { type: 0x80, max: 15 }, types: [null, 0xde, 0xdf] });
    for (const [key, item] of entries) {
      this.#text(key);
      this.value(item);
    }
  }

  #text(text: string): void {
    const utf8 = encoder.encode(text);
    this.#header(utf8.length, { short: { type: 0xa0, max: 31 }, types: [0xd9, 0xda, 0xdb] });
    this.#raw(utf8);
  }

  #number(value: number): void {
    if (!Number.isInteger(value) || value > 0xffff_ffff || value < -0x8000_0000) {
      const at = this.#take(9);
      this.#bytes[at] = 0xcb;
      this.#view.setFloat64(at + 1, value);
    } else if (value >= 0) this.#header(value, { short: { type: 0x00, max: 0x7f }, types: [0xcc, 0xcd, 0xce] });
    else if (value >= -0x20) this.#byte(value & 0xff);
    else {
      const at = this.#take(5);
      this.#bytes[at] = 0xd2;
      this.#view.setInt32(at + 1, value);
    }
  }

  /** A length, or a number of 0 and more: inside the type's byte when it is short, else in 1, 2 or 4 bytes after it. */
  #header(
    length: number,
    {
      short,
      types,
    }: { readonly short: { readonly type: number; readonly max: number } | null; readonly types: readonly (number | null)[] },
  ): void {
    const [one = null, two = null, four = null] = types;
    if (short !== null && length <= short.max) this.#byte(short.type | length);
    else if (one !== null && length <= 0xff) {
      const at = this.#take(2);
      this.#bytes[at] = one;
      this.#bytes[at + 1] = length;
    } else if (two !== null && length <= 0xffff) {
      const at = this.#take(3);
      this.#bytes[at] = two;
      this.#view.setUint16(at + 1, length);
    } else if (four !== null) {
      const at = this.#take(5);
      this.#bytes[at] = four;
      this.#view.setUint32(at + 1, length);
    }
  }

  #byte(byte: number): void {
    const at = this.#take(1);
    this.#bytes[at] = byte;
  }

  #raw(bytes: Uint8Array): void {
    const at = this.#take(bytes.length);
    this.#bytes.set(bytes, at);
  }

  #take(length: number): number {
    const at = this.#at;
    this.#at += length;
    if (this.#at > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#at, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #nodesLeft: number;
  #at = 0;

  constructor(bytes: Uint8Array, nodesMax: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#nodesLeft = nodesMax;
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** @param depth how many maps and arrays are open around it */
  value(depth: number): unknown {
    const type = this.#type();
    if (type <= 0x7f) return type;
    if (type <= 0x8f) return this.#map(type & 0x0f, depth);
    if (type <= 0x9f) return this.#array(type & 0x0f, depth);
    if (type <= 0xbf) return this.#text(type & 0x1f);
    if (type >= 0xe0) return type - 0x100;
    if (type >= 0xd9 && type <= 0xdb) return this.#text(this.#unsigned(1 << (type - 0xd9)));
    return this.#marked(type, depth);
  }

  /** The types from 0xc0 to 0xdf except text. */
  #marked(type: number, depth: number): unknown {
    if (type === 0xc0) return null;
    if (type === 0xc1) refuse("reserved-type");
    if (type === 0xc2 || type === 0xc3) return type === 0xc3;
    if (type >= 0xc4 && type <= 0xc6) return this.#part(this.#unsigned(1 << (type - 0xc4))).slice();
    if (type === 0xca) return this.#view.getFloat32(this.#skip(4));
    if (type === 0xcb) return this.#view.getFloat64(this.#skip(8));
    if (type >= 0xcc && type <= 0xce) return this.#unsigned(1 << (type - 0xcc));
    if (type === 0xcf) return Number(this.#view.getBigUint64(this.#skip(8)));
    if (type === 0xd0) return this.#view.getInt8(this.#skip(1));
    if (type === 0xd1) return this.#view.getInt16(this.#skip(2));
    if (type === 0xd2) return this.#view.getInt32(this.#skip(4));
    if (type === 0xd3) return Number(this.#view.getBigInt64(this.#skip(8)));
    if (type === 0xdc || type === 0xdd) return this.#array(this.#unsigned(type === 0xdc ? 2 : 4), depth);
    if (type === 0xde || type === 0xdf) return this.#map(this.#unsigned(type === 0xde ? 2 : 4), depth);
    return refuse("extension-type");
  }

  #array(length: number, depth: number): unknown[] {
    this.#open(length, depth);
    const items: unknown[] = [];
    for (let index = 0; index < length; index += 1) items.push(this.value(depth + 1));
    return items;
  }

  #map(entries: number, depth: number): Record<string, unknown> {
    if (entries > MAP_ENTRIES_MAX) refuse("map-too-large");
    this.#open(entries * 2, depth);
    const map: Record<string, unknown> = {};
    for (let index = 0; index < entries; index += 1) {
      const key = this.#key();
      // As the server's codec reads it: the name under which it would set the prototype is none of ours.
      map[key === "__proto__" ? "__proto_" : key] = this.value(depth + 1);
    }
    return map;
  }

  /** Every item takes a byte at least, so a length beyond the rest of the frame is a lie. */
  #open(items: number, depth: number): void {
    if (items > this.#bytes.length - this.#at) refuse("implausible-length");
    if (depth === FRAME_DEPTH_MAX) refuse("too-deep");
  }

  #key(): string {
    const type = this.#type();
    if (type >= 0xa0 && type <= 0xbf) return this.#text(type & 0x1f);
    if (type >= 0xd9 && type <= 0xdb) return this.#text(this.#unsigned(1 << (type - 0xd9)));
    return refuse("key-not-text");
  }

  #text(length: number): string {
    const part = this.#part(length);
    try {
      return decoder.decode(part);
    } catch {
      // The decoder's TypeError says no more than that; the fault below is the answer to it.
      return refuse("text-not-utf8");
    }
  }

  #type(): number {
    this.#nodesLeft -= 1;
    if (this.#nodesLeft < 0) refuse("too-many-nodes");
    return this.#unsigned(1);
  }

  #part(length: number): Uint8Array {
    const start = this.#skip(length);
    return this.#bytes.subarray(start, this.#at);
  }

  /** Where what is skipped began. */
  #skip(length: number): number {
    const start = this.#at;
    if (length > this.#bytes.length - start) refuse("truncated");
    this.#at = start + length;
    return start;
  }

  #unsigned(width: number): number {
    const at = this.#skip(width);
    return width === 1 ? this.#view.getUint8(at) : width === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }
}

function refuse(fault: FrameFault): never {
  throw new FrameError(fault);
}
