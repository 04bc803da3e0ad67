/**
 * The journal on disk, format 1. This comment is the specification.
 *
 * `journal/NNNNNNNN` (eight digits, rising) are segments. A segment is a header and then records, without
 * gaps. Numbers are little-endian; sequences count records, from 1, and rise by one across segments.
 *
 *   header, 32 bytes                                record, 24 bytes and the payload
 *    0  magic "EXPJOURN"                             0  u32 length of the payload, 1 to RECORD_BYTES_MAX
 *    8  u32 format                                   4  u32 CRC-32 of bytes 0-3 and 8 to the end
 *   12  u32 length of the header, this field's 32    8  u64 sequence
 *   16  u64 base: the last sequence before it       16  u64 last durable sequence when it was written
 *   24  u32 salt, random                            24  payload: msgpack, an array of events
 *   28  u32 CRC-32 of bytes 0-27
 *
 * Magic, format, length and a CRC at the end of the header stay where they are in every later format.
 * - The CRC of a record begins with the salt (as its running value), so that a record copied into a payload,
 *   or left in a reused block by an older segment, is not taken for one of this segment.
 * - A segment gets its name only when its header is on stable storage; a bad header is always damage.
 * - A segment with base B says that B was durable and that records above B in older segments do not count:
 *   they were refused when their sync failed.
 * - A record that cannot be read, of which a later record says that it was durable, is damage. Without such a
 *   witness it is a write that was cut short, and nobody was told that it had succeeded.
 * - A seal is such a witness for the last record: it has that one's sequence, as its own and as durable, and no
 *   events. It is no record of its own, counts nothing, and is written when nothing else has followed for a while.
 * - `NNNNNNNN.torn-N` are such tails, kept for people. `NNNNNNNN.new` is a segment in the making.
 */

export const JOURNAL_FORMAT = 1;
export const HEADER_BYTES = 32;
/** No later format has a longer one. */
export const HEADER_BYTES_MAX = 4096;
export const RECORD_HEADER_BYTES = 24;
/** A frame of the wire is 16 MiB at most; its events repeat no more than that. */
export const RECORD_BYTES_MAX = 64 * 1024 * 1024;

const MAGIC = Buffer.from("EXPJOURN", "latin1");

export interface SegmentHeader {
  readonly base: number;
  readonly salt: number;
}

export type HeaderReading =
  | { readonly kind: "header"; readonly header: SegmentHeader }
  | { readonly kind: "newer"; readonly format: number }
  | { readonly kind: "bad" };

export function encodeHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(bytes, 0);
  bytes.writeUInt32LE(JOURNAL_FORMAT, 8);
  bytes.writeUInt32LE(HEADER_BYTES, 12);
  bytes.writeBigUInt64LE(BigInt(header.base), 16);
  bytes.writeUInt32LE(header.salt, 24);
  bytes.writeUInt32LE(Bun.hash.crc32(bytes.subarray(0, 28)), 28);
  return bytes;
}

export function decodeHeader(bytes: Buffer): HeaderReading {
  if (bytes.length < HEADER_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return { kind: "bad" };
  const format = bytes.readUInt32LE(8);
  const length = bytes.readUInt32LE(12);
  if (length < HEADER_BYTES || length > Math.min(HEADER_BYTES_MAX, bytes.length)) return { kind: "bad" };
  if (bytes.readUInt32LE(length - 4) !== Bun.hash.crc32(bytes.subarray(0, length - 4))) return { kind: "bad" };
  if (format > JOURNAL_FORMAT) return { kind: "newer", format };
  if (format !== JOURNAL_FORMAT || length !== HEADER_BYTES) return { kind: "bad" };
  return { kind: "header", header: { base: Number(bytes.readBigUInt64LE(16)), salt: bytes.readUInt32LE(24) } };
}

export interface JournalRecord {
  readonly sequence: number;
  readonly lastDurable: number;
  readonly payload: Buffer;
}

/** msgpack, an array of nothing. */
const NO_EVENTS = Buffer.from([0x90]);

/** A seal behind record `sequence`, which is durable. */
export function encodeSeal(sequence: number, salt: number): Buffer {
  const bytes = Buffer.alloc(encodedLength(NO_EVENTS));
  encodeRecord({ sequence, lastDurable: sequence, payload: NO_EVENTS }, salt, bytes, 0);
  return bytes;
}

/** Whether what stands behind record `sequence` is its seal. */
export function isSealOf(record: JournalRecord, sequence: number): boolean {
  return record.sequence === sequence && record.lastDurable === sequence && record.payload.equals(NO_EVENTS);
}

export function encodedLength(payload: Uint8Array): number {
  return RECORD_HEADER_BYTES + payload.length;
}

/** Writes the record at `offset` of `target`, which has the room. */
export function encodeRecord(record: JournalRecord, salt: number, target: Buffer, offset: number): void {
  target.writeUInt32LE(record.payload.length, offset);
  target.writeBigUInt64LE(BigInt(record.sequence), offset + 8);
  target.writeBigUInt64LE(BigInt(record.lastDurable), offset + 16);
  record.payload.copy(target, offset + RECORD_HEADER_BYTES);
  target.writeUInt32LE(recordCrc(target, offset, record.payload.length, salt), offset + 4);
}

/** The record that begins at `offset`, or null when no whole and sound one does. */
export function decodeRecord(bytes: Buffer, offset: number, salt: number): JournalRecord | null {
  if (offset + RECORD_HEADER_BYTES > bytes.length) return null;
  const length = bytes.readUInt32LE(offset);
  const end = offset + RECORD_HEADER_BYTES + length;
  if (length === 0 || length > RECORD_BYTES_MAX || end > bytes.length) return null;
  if (bytes.readUInt32LE(offset + 4) !== recordCrc(bytes, offset, length, salt)) return null;
  return {
    sequence: Number(bytes.readBigUInt64LE(offset + 8)),
    lastDurable: Number(bytes.readBigUInt64LE(offset + 16)),
    payload: bytes.subarray(offset + RECORD_HEADER_BYTES, end),
  };
}

function recordCrc(bytes: Buffer, offset: number, length: number, salt: number): number {
  const lengthCrc = Bun.hash.crc32(bytes.subarray(offset, offset + 4), salt);
  return Bun.hash.crc32(bytes.subarray(offset + 8, offset + RECORD_HEADER_BYTES + length), lengthCrc);
}

/**
 * The first sound record at any offset from `from` on that says that `sequence` was durable before it was
 * written. Cheap tests come first: the CRC is computed only where the numbers could be those of a record.
 */
export function findWitness(bytes: Buffer, from: number, salt: number, sequence: number): number | null {
  for (let offset = from; offset + RECORD_HEADER_BYTES < bytes.length; offset++) {
    const length = bytes.readUInt32LE(offset);
    if (length === 0 || length > bytes.length - offset - RECORD_HEADER_BYTES) continue;
    // The upper halves of both sequences: beyond 2^53 there are none.
    if (bytes.readUInt32LE(offset + 12) > 0x1fffff || bytes.readUInt32LE(offset + 20) > 0x1fffff) continue;
    const record = decodeRecord(bytes, offset, salt);
    if (record !== null && record.lastDurable >= sequence && record.sequence >= record.lastDurable) return offset;
  }
  return null;
}
