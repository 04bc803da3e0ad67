/** The segment files of a journal: their names, and how one comes into being. */
import { randomBytes } from "node:crypto";
import { constants, fdatasync, openSync, readdirSync } from "node:fs";
import { rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import { openExclusive, syncFolder, temporaryName, writeFully } from "../durable-file.ts";
import { asStoreError, StoreError, systemCode } from "../store-error.ts";
import { encodeHeader, HEADER_BYTES } from "./format.ts";

const OPEN_SEGMENT = constants.O_RDWR | constants.O_NOFOLLOW;
const SEGMENT_NAME = /^\d{8}$/;
const TORN_NAME = /^(\d{8})\.torn-\d+$/;

export interface SegmentFile {
  readonly number: number;
  readonly path: string;
}

/** The segments in order; none when there is no journal. */
export function listSegments(folder: string): readonly SegmentFile[] {
  return entriesOf(folder)
    .filter((name) => SEGMENT_NAME.test(name))
    .sort()
    .map((name) => ({ number: Number.parseInt(name, 10), path: join(folder, name) }));
}

/** Higher than the number of every segment that is or was here, as far as names tell. */
export function nextSegmentNumber(folder: string): number {
  const numbers = entriesOf(folder)
    .filter((name) => SEGMENT_NAME.test(name) || TORN_NAME.test(name))
    .map((name) => Number.parseInt(name, 10));
  return Math.max(0, ...numbers) + 1;
}

export function segmentPath(folder: string, number: number): string {
  return join(folder, String(number).padStart(8, "0"));
}

/** A segment that is open for writing. `length` is where the next record goes: all before it is durable. */
export interface OpenSegment {
  readonly descriptor: number;
  readonly path: string;
  readonly base: number;
  readonly salt: number;
  length: number;
}

/**
 * Makes a segment; it has its name only when its header is durable. Leaves nothing behind when it fails,
 * except after the renaming: then what the disk holds is not known, and the error says "io" whatever it was,
 * because records appended to an older segment would be shut out by the base of this one.
 */
export async function beginSegment(folder: string, number: number, base: number): Promise<OpenSegment> {
  const path = segmentPath(folder, number);
  const salt = randomBytes(4).readUInt32LE(0);
  await makeSegmentFile(path, encodeHeader({ base, salt }));
  try {
    await syncFolder(folder);
    return { descriptor: openSync(path, OPEN_SEGMENT), path, base, salt, length: HEADER_BYTES };
  } catch (error) {
    throw new StoreError("io", { file: path, system: systemCode(error) }, error);
  }
}

async function makeSegmentFile(path: string, header: Buffer): Promise<void> {
  const temporary = temporaryName(path);
  try {
    const handle = await openExclusive(temporary);
    try {
      await handle.chmod(0o600);
      writeFully(handle.fd, header, 0);
      await handle.sync();
      await rename(temporary, path);
    } catch (error) {
      await unlink(temporary);
      throw error;
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw asStoreError(error, path);
  }
}

export function dataSync(descriptor: number): Promise<void> {
  return new Promise((resolve, reject) => fdatasync(descriptor, (error) => (error === null ? resolve() : reject(error))));
}

function entriesOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw asStoreError(error, folder);
  }
}
