/**
 * Reads a journal from a sequence on, and judges its end: a tail that was never acknowledged may be cut
 * (by `cutTornTail`, once the whole of the state has been read), everything else that is wrong is refused
 * with file and offset. Reading changes nothing. The rules are in format.ts.
 */
import { closeSync, constants, existsSync, fchmodSync, fsyncSync, ftruncateSync, openSync, readFileSync, readSync } from "node:fs";
import type { Event } from "../../core/event.ts";
import { syncFolder, writeFully } from "../durable-file.ts";
import { asStoreError, StoreError, type StoreNote } from "../store-error.ts";
import { decodeEvents } from "./event-codec.ts";
import {
  decodeHeader,
  decodeRecord,
  encodedLength,
  findWitness,
  HEADER_BYTES,
  HEADER_BYTES_MAX,
  isSealOf,
  type SegmentHeader,
} from "./format.ts";
import { listSegments, type SegmentFile } from "./segments.ts";

export interface TornTail {
  readonly file: string;
  /** Where the sound part ends. */
  readonly offset: number;
  readonly bytes: number;
}

/** Bytes of a file. */
interface Span {
  readonly offset: number;
  readonly bytes: number;
}

const NOTHING: Span = { offset: 0, bytes: 0 };

export interface JournalReading {
  /** The last valid sequence; 0 when there is no journal. */
  readonly lastSequence: number;
  /** The base of the last segment. */
  readonly lastBase: number;
  /** The last segment, to be synced before what was read is called durable. */
  readonly lastSegment: string | null;
  /** The end of the last segment, of which nothing in it says that it was durable. */
  readonly unproven: Span;
  readonly torn: TornTail | null;
  /** Something behind the last record says that it was durable: damage to it would be known as such. */
  readonly sealed: boolean;
  /** Of the segments that had to be read. */
  readonly bytes: number;
}

export interface JournalQuestion {
  readonly folder: string;
  /** The sequence of the state that the records are for: those after it are visited. */
  readonly after: number;
  /** Called in order, without a gap. What it throws becomes "damaged" at the record. */
  readonly visit: (sequence: number, events: readonly Event[]) => void;
}

interface Segment extends SegmentFile {
  readonly header: SegmentHeader;
}

/** @throws StoreError "damaged", "newer-format" or "io"; then nothing that was visited may be used */
export function readJournal(question: JournalQuestion): JournalReading {
  const segments = listSegments(question.folder).map(withHeader);
  const first = segments[0];
  if (first === undefined) {
    if (question.after > 0) throw damaged(question.folder, 0, `the journal is missing; the snapshot is of record ${question.after}`);
    return { lastSequence: 0, lastBase: 0, lastSegment: null, unproven: NOTHING, torn: null, sealed: true, bytes: 0 };
  }
  if (first.header.base > question.after) {
    throw damaged(first.path, 0, `records ${question.after + 1} to ${first.header.base} are missing`);
  }
  let end: SegmentEnd = { lastSequence: first.header.base, unproven: NOTHING, torn: null, sealed: true, bytes: 0 };
  let bytes = 0;
  for (const [index, segment] of segments.entries()) {
    const next = segments[index + 1];
    // Older than the snapshot: kept for the generation before it, not needed now.
    if (next !== undefined && next.header.base <= question.after) continue;
    end = readSegment(segment, next ?? null, question);
    bytes += end.bytes;
  }
  const last = segments[segments.length - 1] ?? first;
  if (end.lastSequence < question.after) {
    throw damaged(last.path, end.torn?.offset ?? 0, `ends at record ${end.lastSequence}; the snapshot is of record ${question.after}`);
  }
  return { ...end, lastBase: last.header.base, lastSegment: last.path, bytes };
}

interface SegmentEnd {
  readonly lastSequence: number;
  readonly unproven: Span;
  readonly torn: TornTail | null;
  readonly sealed: boolean;
  readonly bytes: number;
}

function readSegment(segment: Segment, next: Segment | null, question: JournalQuestion): SegmentEnd {
  const { path, header } = segment;
  const bytes = readBytes(path);
  const stop = next?.header.base ?? Number.POSITIVE_INFINITY;
  if (stop < header.base) throw damaged(next?.path ?? path, 0, `begins after record ${stop}, the segment before it after ${header.base}`);
  let sequence = header.base;
  let offset = HEADER_BYTES;
  let sealed = true;
  /** Records that none after them says were durable. */
  let unproven: { readonly sequence: number; readonly offset: number }[] = [];
  const end = (torn: TornTail | null): SegmentEnd => {
    const from = unproven[0]?.offset ?? offset;
    return { lastSequence: sequence, unproven: { offset: from, bytes: offset - from }, torn, sealed, bytes: bytes.length };
  };
  while (sequence < stop && offset < bytes.length) {
    const record = decodeRecord(bytes, offset, header.salt);
    if (record !== null && isSealOf(record, sequence)) {
      sealed = true;
      unproven = [];
      offset += encodedLength(record.payload);
      continue;
    }
    if (record === null || record.sequence !== sequence + 1) {
      if (next !== null) throw damaged(path, offset, `record ${sequence + 1} cannot be read`);
      return end(judgeTail(bytes, segment, offset, sequence));
    }
    sequence++;
    sealed = false;
    if (unproven[0] !== undefined && unproven[0].sequence <= record.lastDurable)
      unproven = unproven.filter((other) => other.sequence > record.lastDurable);
    unproven.push({ sequence, offset });
    if (sequence > question.after) visitRecord({ path, offset, sequence, payload: record.payload }, question);
    offset += encodedLength(record.payload);
  }
  if (next !== null && sequence < stop) throw damaged(path, bytes.length, `ends at record ${sequence}; ${stop} were durable`);
  return end(null);
}

/** The bytes from `offset` on are not record `sequence + 1`: damage if a later record says that it was durable. */
function judgeTail(bytes: Buffer, segment: Segment, offset: number, sequence: number): TornTail {
  const witness = findWitness(bytes, offset, segment.header.salt, sequence + 1);
  if (witness !== null) {
    throw damaged(segment.path, offset, `record ${sequence + 1} cannot be read, and the record at ${witness} says that it was durable`);
  }
  return { file: segment.path, offset, bytes: bytes.length - offset };
}

interface FoundRecord {
  readonly path: string;
  readonly offset: number;
  readonly sequence: number;
  readonly payload: Buffer;
}

function visitRecord(found: FoundRecord, question: JournalQuestion): void {
  const reading = decodeEvents(found.payload);
  switch (reading.kind) {
    case "unknown-event":
      throw new StoreError("newer-format", { file: found.path, offset: found.offset, format: reading.name });
    case "bad":
      throw damaged(found.path, found.offset, `record ${found.sequence} holds no events`);
    case "events":
      try {
        question.visit(found.sequence, reading.events);
      } catch (error) {
        if (!(error instanceof Error) || error instanceof StoreError) throw error;
        throw damaged(found.path, found.offset, error.message);
      }
  }
}

/** Saves the tail aside as `NNNNNNNN.torn-N`, durably, and only then cuts it off. */
export async function cutTornTail(folder: string, torn: TornTail): Promise<StoreNote> {
  const saved = freeName(torn.file);
  try {
    const tail = readFileSync(torn.file).subarray(torn.offset);
    const descriptor = openSync(saved, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
    try {
      fchmodSync(descriptor, 0o600);
      writeFully(descriptor, tail, 0);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    await syncFolder(folder);
    onSegment(torn.file, (segment) => {
      ftruncateSync(segment, torn.offset);
      fsyncSync(segment);
    });
  } catch (error) {
    throw asStoreError(error, torn.file);
  }
  return { code: "torn-tail-cut", data: { file: torn.file, offset: torn.offset, bytes: torn.bytes, saved } };
}

/**
 * What was read may be in the page cache only; this puts it on the disk. A sync alone is not enough: when one failed, the
 * kernel shows what it could not write, takes it for written, and a second sync says nothing of it. So what is not proven
 * is written once more, the same bytes in the same place.
 */
export function syncSegment(path: string, unproven: Span): void {
  try {
    const bytes = readFileSync(path).subarray(unproven.offset, unproven.offset + unproven.bytes);
    onSegment(path, (segment) => {
      writeFully(segment, bytes, unproven.offset);
      fsyncSync(segment);
    });
  } catch (error) {
    throw asStoreError(error, path);
  }
}

function onSegment(path: string, work: (descriptor: number) => void): void {
  const descriptor = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    work(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function freeName(file: string): string {
  for (let number = 1; ; number++) {
    const name = `${file}.torn-${number}`;
    if (!existsSync(name)) return name;
  }
}

/** The last sequence before a segment. @throws StoreError when its header cannot be read */
export function baseOf(file: SegmentFile): number {
  return withHeader(file).header.base;
}

function withHeader(file: SegmentFile): Segment {
  const reading = decodeHeader(readStart(file.path));
  switch (reading.kind) {
    case "header":
      return { ...file, header: reading.header };
    case "newer":
      throw new StoreError("newer-format", { file: file.path, format: reading.format });
    case "bad":
      throw damaged(file.path, 0, "the header cannot be read");
  }
}

/** Enough for the header of any format. */
function readStart(path: string): Buffer {
  try {
    const bytes = Buffer.alloc(HEADER_BYTES_MAX);
    const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      return bytes.subarray(0, readSync(descriptor, bytes, 0, bytes.length, 0));
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw asStoreError(error, path);
  }
}

function readBytes(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw asStoreError(error, path);
  }
}

function damaged(file: string, offset: number, reason: string): StoreError {
  return new StoreError("damaged", { file, offset, reason });
}
