/**
 * --allow-snap-fail: moves a state that cannot be read to `unreadable-<time>/` and gives the empty one that
 * takes its place, whose ids are above every one that the old files, runs and logs mention, as far as they can
 * still be read. Nothing is deleted; runs, token and lock stay where they are, because runs may be going on.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { rename } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Event } from "../core/event.ts";
import { cellCount } from "../core/matrix.ts";
import { EMPTY_STATE, type State } from "../core/state.ts";
import { syncFolder } from "./durable-file.ts";
import { JOBS_PER_BLOCK } from "./history/block-codec.ts";
import { highestBlockIn } from "./history/history.ts";
import { readServerId } from "./identity.ts";
import { decodeEvents } from "./journal/event-codec.ts";
import { decodeHeader, decodeRecord, encodedLength, HEADER_BYTES } from "./journal/format.ts";
import { listSegments } from "./journal/segments.ts";
import { type StorePaths, storePaths } from "./paths.ts";
import { StoreError, type StoreNote } from "./store-error.ts";

const ASIDE_PREFIX = "unreadable-";

export interface SetAsideOptions {
  readonly now: number;
  readonly highestIdInLogs: number;
  /** Why the state cannot be read. */
  readonly cause: StoreError;
}

export interface SetAside {
  readonly note: StoreNote;
  readonly state: State;
  /** Not 0: without its snapshot the new journal must not be taken for a whole one. */
  readonly sequence: number;
}

export async function setStateAside(paths: StorePaths, options: SetAsideOptions): Promise<SetAside> {
  const seen = [paths, ...asideFolders(paths).map(storePaths)].map(highestIn);
  const highest = Math.max(options.highestIdInLogs, ...seen);
  const saved = freeFolder(paths.directory, options.now);
  mkdirSync(saved, { mode: 0o700 });
  const moved = [paths.snapshot, paths.olderSnapshot, paths.journal, paths.history, paths.secrets];
  if (!isServerIdSound(paths)) moved.push(paths.serverId);
  for (const path of moved) {
    if (existsSync(path)) await rename(path, join(saved, basename(path)));
  }
  await syncFolder(saved);
  await syncFolder(paths.directory);
  const nextId = highest + 1;
  const { code, data } = options.cause;
  const { file = "", reason = "" } = data;
  const note: StoreNote = { code: "state-set-aside", data: { directory: paths.directory, saved, nextId, code, file, reason } };
  return { note, state: { ...EMPTY_STATE, nextId }, sequence: 1 };
}

/** Folders of earlier states that were moved; an interrupted move leaves its part of the files in one. */
export function asideFolders(paths: StorePaths): readonly string[] {
  return readdirSync(paths.directory)
    .filter((name) => name.startsWith(ASIDE_PREFIX))
    .map((name) => join(paths.directory, name));
}

function highestIn(paths: StorePaths): number {
  // All that the highest block could hold.
  const inHistory = (highestBlockIn(paths.history) + 1) * JOBS_PER_BLOCK - 1;
  return Math.max(highestInSnapshots(paths), highestInJournal(paths.journal), highestInRuns(paths.runs), inHistory);
}

function isServerIdSound(paths: StorePaths): boolean {
  try {
    return readServerId(paths) !== null;
  } catch (error) {
    if (error instanceof StoreError && error.code === "damaged") return false;
    throw error;
  }
}

function freeFolder(directory: string, now: number): string {
  const stamp = new Date(now).toISOString().replace(/[-:]/g, "").replace(/\.\d+/, "");
  for (let number = 1; ; number++) {
    const folder = join(directory, number === 1 ? `${ASIDE_PREFIX}${stamp}` : `${ASIDE_PREFIX}${stamp}-${number}`);
    if (!existsSync(folder)) return folder;
  }
}

/** Line by line, because the files may not be whole. */
function highestInSnapshots(paths: StorePaths): number {
  let highest = -1;
  for (const file of [paths.snapshot, paths.olderSnapshot]) {
    if (!existsSync(file)) continue;
    const text = readFileSync(file, "utf8");
    for (const [, id] of text.matchAll(/^next_id = (\d+)$/gm)) highest = Math.max(highest, Number(id) - 1);
    for (const [, first, count] of text.matchAll(/^(?:jid|id|first|retried_by) = (\d+)(?:\ncount = (\d+))?$/gm)) {
      highest = Math.max(highest, Number(first) + Number(count ?? 1) - 1);
    }
    for (const [, ranges] of text.matchAll(/^jids = (.*)$/gm)) {
      for (const [id] of (ranges ?? "").matchAll(/\d+/g)) highest = Math.max(highest, Number(id));
    }
  }
  return plausible(highest);
}

/** Every sound record, whatever lies between. */
function highestInJournal(folder: string): number {
  let highest = -1;
  for (const { path } of listSegments(folder)) {
    const bytes = readFileSync(path);
    const reading = decodeHeader(bytes);
    if (reading.kind !== "header") continue;
    for (let offset = HEADER_BYTES; offset < bytes.length; ) {
      const record = decodeRecord(bytes, offset, reading.header.salt);
      offset += record === null ? 1 : encodedLength(record.payload);
      const events = record === null ? null : decodeEvents(record.payload);
      if (events?.kind !== "events") continue;
      for (const event of events.events) highest = Math.max(highest, highestInEvent(event));
    }
  }
  return plausible(highest);
}

function highestInEvent(event: Event): number {
  if (event.kind === "jobs-added") return Math.max(event.first + event.count - 1, event.tag ?? -1);
  if (event.kind === "matrix-added") return Math.max(event.first + cellCount(event.keys, event.repeats) - 1, event.id);
  if (event.kind === "tag-added") return event.id;
  if (event.kind === "job-failed") return Math.max(event.retry?.jid ?? -1, event.jid);
  return "jid" in event ? event.jid : -1;
}

/** `runs/<server id>/<jid>.<command>.<run id>/` */
function highestInRuns(folder: string): number {
  if (!existsSync(folder)) return -1;
  let highest = -1;
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (!statSync(path).isDirectory()) continue;
    for (const run of readdirSync(path)) highest = Math.max(highest, Number(/^(\d+)\./.exec(run)?.[1] ?? -1));
  }
  return plausible(highest);
}

/** Ids are keys of IntMap: a number beyond is no id of ours, but what damage looks like. */
function plausible(id: number): number {
  return Number.isSafeInteger(id) && id < 2 ** 29 ? id : -1;
}
