/**
 * Frames: a length as u32, big-endian, then so many bytes of payload. This file cuts a byte stream into
 * payloads and puts the length before them; what is inside is codec.ts' concern. The length is checked
 * before anything is kept, and memory grows with the bytes that came, never with the length announced.
 */
import { FrameError } from "./frame-error.ts";
import { FRAME_BYTES_MAX } from "./limits.ts";

export const FRAME_HEADER_BYTES = 4;
const FIRST_CAPACITY_BYTES = 4_096;

/** A new buffer of header and payload. @throws {FrameError} "too-long". */
export function frame(payload: Uint8Array): Uint8Array {
  if (payload.length > FRAME_BYTES_MAX) throw new FrameError("too-long");
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
  new DataView(bytes.buffer).setUint32(0, payload.length);
  bytes.set(payload, FRAME_HEADER_BYTES);
  return bytes;
}

export class FrameReader {
  /** Bytes of a frame that has begun; only the first #held count. */
  #buffer = new Uint8Array(0);
  #held = 0;

  /** Has a frame begun that is not complete? */
  get midFrame(): boolean {
    return this.#held > 0;
  }

  /**
   * Calls `take` for each payload that `bytes` complete. A payload is valid only during the call.
   * @throws {FrameError} for a length of 0 or above the limit; the reader must not be used again.
   */
  push(bytes: Uint8Array, take: (payload: Uint8Array) => void): void {
    let rest = bytes;
    while (this.#held > 0 && rest.length > 0) {
      const missing = this.#missing();
      const part = rest.subarray(0, missing);
      this.#keep(part);
      rest = rest.subarray(part.length);
      if (this.#held < FRAME_HEADER_BYTES || this.#missing() > 0) continue;
      const whole = this.#buffer.subarray(FRAME_HEADER_BYTES, this.#held);
      this.#buffer = new Uint8Array(0);
      this.#held = 0;
      take(whole);
    }
    while (rest.length >= FRAME_HEADER_BYTES) {
      const end = FRAME_HEADER_BYTES + payloadLength(rest);
      if (rest.length < end) break;
      take(rest.subarray(FRAME_HEADER_BYTES, end));
      rest = rest.subarray(end);
    }
    if (rest.length > 0) this.#keep(rest);
  }

  /** Bytes until the header, or after it until the payload, is complete. */
  #missing(): number {
    if (this.#held < FRAME_HEADER_BYTES) return FRAME_HEADER_BYTES - this.#held;
    return FRAME_HEADER_BYTES + payloadLength(this.#buffer) - this.#held;
  }

  #keep(part: Uint8Array): void {
    const needed = this.#held + part.length;
    if (needed > this.#buffer.length) {
      const larger = new Uint8Array(
        Math.max(needed, FIRST_CAPACITY_BYTES, Math.min(this.#buffer.length * 2, FRAME_HEADER_BYTES + FRAME_BYTES_MAX)),
      );
      larger.set(this.#buffer.subarray(0, this.#held));
      this.#buffer = larger;
    }
    this.#buffer.set(part, this.#held);
    this.#held = needed;
    if (this.#held >= FRAME_HEADER_BYTES) payloadLength(this.#buffer);
  }
}

function payloadLength(bytes: Uint8Array): number {
  const length = new DataView(bytes.buffer, bytes.byteOffset, FRAME_HEADER_BYTES).getUint32(0);
  if (length === 0) throw new FrameError("empty");
  if (length > FRAME_BYTES_MAX) throw new FrameError("too-long");
  return length;
}
