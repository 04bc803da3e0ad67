/**
 * One message to the bytes of one frame's payload and back. The only place of the wire that knows msgpack.
 * Plain maps only; numbers are numbers (a 64-bit integer loses precision above 2^53); bytes travel as bin.
 */
import { Packr } from "msgpackr/pack";
import { Unpackr } from "msgpackr/unpack";
import { FrameError } from "./frame-error.ts";
import { scan } from "./scan.ts";

// `skipValues` is an option of the packer that its types leave out: a field that is undefined is not sent.
const packOptions = { useRecords: false, skipValues: [undefined] };
const packr = new Packr(packOptions);
const unpackr = new Unpackr({ useRecords: false, int64AsType: "number", copyBuffers: true });

/** The result is valid until the next call. Lone surrogates, which UTF-8 cannot hold, become U+FFFD. */
export function encode(message: unknown): Uint8Array {
  const bytes = packr.pack(message);
  return mayHoldSurrogate(bytes) ? packr.pack(wellFormed(message)) : bytes;
}

/** @throws {FrameError} for bytes that scan() refuses. What is returned shares no memory with `bytes`. */
export function decode(bytes: Uint8Array, nodesMax: number): unknown {
  scan(bytes, nodesMax);
  try {
    const message: unknown = unpackr.unpack(bytes);
    return message;
  } catch {
    // scan() has accepted the bytes, so this is a gap between it and the decoder: refused all the same.
    throw new FrameError("undecodable");
  }
}

/** The packer writes a lone surrogate as ED A0..BF xx; the same bytes can stand in binary data, which is harmless. */
function mayHoldSurrogate(bytes: Uint8Array): boolean {
  for (let at = bytes.indexOf(0xed); at !== -1; at = bytes.indexOf(0xed, at + 1)) {
    if ((bytes[at + 1] ?? 0) >= 0xa0) return true;
  }
  return false;
}

function wellFormed(value: unknown): unknown {
  if (typeof value === "string") return value.toWellFormed();
  if (Array.isArray(value)) return value.map(wellFormed);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key.toWellFormed(), wellFormed(item)]));
}
