/**
 * Opening a state directory: lock, read everything, judge, and only then repair. What is refused is left as it
 * was found. The state is the newest good snapshot and the journal after it; events go through the same `apply`
 * that runs live.
 */
import { existsSync, readdirSync } from "node:fs";
import { rename } from "node:fs/promises";
import { apply } from "../core/apply.ts";
import type { Event } from "../core/event.ts";
import { EMPTY_STATE, type State } from "../core/state.ts";
import { removeIfThere, syncFolder, temporaryName } from "./durable-file.ts";
import { JOBS_PER_BLOCK } from "./history/block-codec.ts";
import { History, highestBlockIn } from "./history/history.ts";
import { createServerId, readServerId } from "./identity.ts";
import { baseOf, cutTornTail, type JournalReading, readJournal, syncSegment } from "./journal/reader.ts";
import { listSegments, nextSegmentNumber } from "./journal/segments.ts";
import { JournalWriter } from "./journal/writer.ts";
import { DirectoryLock } from "./lock.ts";
import { makePrivateFolder, prepareDirectory, type StorePaths, storePaths } from "./paths.ts";
import { Secrets } from "./secrets.ts";
import { asideFolders, setStateAside } from "./set-aside.ts";
import { checkSnapshot, readSnapshot, type Snapshot, writeSnapshot } from "./snapshot/snapshot-file.ts";
import { Store } from "./store.ts";
import { asStoreError, StoreError, type StoreNote } from "./store-error.ts";

export interface OpenStoreOptions {
  /** --allow-snap-fail: a damaged state is moved aside and an empty one begun. */
  readonly allowSnapshotFailure: boolean;
  /** --allow-network-fs */
  readonly allowNetworkFileSystem: boolean;
  /** The highest job id that the caller sees in the names of logs, or -1. Asked only when the state was moved aside: new ids begin above it. */
  readonly highestIdInLogs: () => number;
  readonly now: () => number;
}

/**
 * Opens the state directory, making it if it is not there, and holds it until `close`.
 * @throws StoreError; every code but "no-space" leaves all files as they were
 */
export async function openStore(directory: string, options: OpenStoreOptions): Promise<Store> {
  const paths = storePaths(directory);
  prepareDirectory(paths, options);
  const lock = DirectoryLock.take(paths.lock);
  try {
    return await openLocked(paths, lock, options);
  } catch (error) {
    lock.release();
    throw asStoreError(error, paths.directory);
  }
}

async function openLocked(paths: StorePaths, lock: DirectoryLock, options: OpenStoreOptions): Promise<Store> {
  const { loaded, secrets, notes } = await loadOrSetAside(paths, options);
  for (const folder of [paths.journal, paths.history, paths.runs]) makePrivateFolder(folder);
  await syncFolder(paths.directory);
  // A block that a killed server renamed without living to sync the name: what is read there is taken for written.
  await syncFolder(paths.history);
  const serverId = loaded.serverId ?? (await createServerId(paths));
  notes.push(...(await repaired(paths, loaded)));
  // Of a crash while secrets.toml was written: its values are secret too.
  await removeIfThere(temporaryName(paths.secrets));
  notes.push(...(await withoutOrphans(secrets, loaded.state)));

  const history = new History(paths.history);
  history.remove(loaded.forgotten);
  const journal = new JournalWriter({
    folder: paths.journal,
    nextNumber: nextSegmentNumber(paths.journal),
    durableSequence: loaded.sequence,
    sealed: loaded.journal.sealed,
  });
  const { state, sequence, snapshotSequence } = loaded;
  const replayedBytes = loaded.journal.bytes;
  return new Store({ paths, lock, serverId, state, sequence, snapshotSequence, replayedBytes, notes, journal, history, secrets });
}

/**
 * The state as a start would find it, without the lock: reads all of it and changes nothing. Beside a server that
 * runs, files may give way under the reader: what it throws then is worth another try.
 * @throws StoreError as openStore does
 */
export function readState(directory: string): Loaded {
  return load(storePaths(directory));
}

export interface Loaded {
  readonly state: State;
  readonly sequence: number;
  /** The sequence of the newest good snapshot, 0 without one. */
  readonly snapshotSequence: number;
  /** Jobs that the replayed journal says are forgotten; their blocks may not have been written since. */
  readonly forgotten: readonly number[];
  /** null in a fresh directory only. */
  readonly serverId: string | null;
  readonly journal: JournalReading;
  readonly badSnapshots: readonly BadSnapshot[];
}

interface LoadOutcome {
  readonly loaded: Loaded;
  readonly secrets: Secrets;
  readonly notes: StoreNote[];
}

async function loadOrSetAside(paths: StorePaths, options: OpenStoreOptions): Promise<LoadOutcome> {
  try {
    return { loaded: load(paths), secrets: Secrets.open(paths.secrets), notes: [] };
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== "damaged" || !options.allowSnapshotFailure) throw error;
    const { note, state, sequence } = await setStateAside(paths, {
      now: options.now(),
      highestIdInLogs: options.highestIdInLogs(),
      cause: error,
    });
    // The ids must stay above those of the past, so the empty state is written down before anything is done with it.
    if (readServerId(paths) === null) await createServerId(paths);
    makePrivateFolder(paths.journal);
    const journal = new JournalWriter({ folder: paths.journal, nextNumber: 1, durableSequence: sequence });
    await journal.rotate();
    await journal.close();
    await writeSnapshot(paths, { state, sequence });
    return { loaded: load(paths), secrets: Secrets.open(paths.secrets), notes: [note] };
  }
}

/** Reads all of it and changes nothing. */
function load(paths: StorePaths): Loaded {
  const newest = readSnapshot(paths.snapshot);
  // Only what is needed is decoded: to know that the other is whole takes no memory, and a tenth of the time.
  const older = newest.kind === "good" ? checkSnapshot(paths.olderSnapshot) : readSnapshot(paths.olderSnapshot);
  const badSnapshots: BadSnapshot[] = [];
  if (newest.kind === "bad") badSnapshots.push({ file: paths.snapshot, offset: newest.offset, reason: newest.reason });
  if (older.kind === "bad") badSnapshots.push({ file: paths.olderSnapshot, offset: older.offset, reason: older.reason });
  const start = newest.kind === "good" ? newest.snapshot : older.kind === "good" ? older.snapshot : null;
  if (start === null) refuseWithoutSnapshot(paths, badSnapshots);
  const replayed = replay(paths, start ?? { state: EMPTY_STATE, sequence: 0 });
  const serverId = readServerId(paths);
  if (serverId === null && replayed.sequence > 0) {
    throw new StoreError("damaged", { file: paths.serverId, offset: 0, reason: "missing" });
  }
  // A segment is begun before each snapshot, also before the one that is not good; without it, what followed would go missing unnoticed.
  const isNewest = newest.kind === "good" || start === null;
  const begunAfter = start === null ? 0 : start.sequence + (isNewest ? 0 : 1);
  if (replayed.journal.lastBase < begunAfter) {
    throw new StoreError("damaged", { file: paths.journal, offset: 0, reason: `no segment begins at record ${begunAfter} or later` });
  }
  const highestPast = highestBlockIn(paths.history) * JOBS_PER_BLOCK;
  if (highestPast >= Math.max(replayed.state.nextId, 1)) {
    const reason = `the journal and snapshots know ids up to ${replayed.state.nextId - 1}, the history has later ones`;
    throw new StoreError("damaged", { file: paths.journal, offset: 0, reason });
  }
  return { ...replayed, snapshotSequence: start?.sequence ?? 0, serverId, badSnapshots };
}

function replay(paths: StorePaths, start: Snapshot): Pick<Loaded, "state" | "sequence" | "forgotten" | "journal"> {
  let { state, sequence } = start;
  const forgotten: number[] = [];
  const visit = (at: number, events: readonly Event[]) => {
    for (const event of events) {
      state = apply(state, event);
      if (event.kind === "job-forgotten") forgotten.push(event.jid);
    }
    sequence = at;
  };
  const journal = readJournal({ folder: paths.journal, after: start.sequence, visit });
  return { state, sequence, forgotten, journal };
}

interface BadSnapshot {
  readonly file: string;
  readonly offset: number;
  readonly reason: string;
}

/** Without a good snapshot there must be the whole journal, from its first record; or nothing at all, in a fresh directory. */
function refuseWithoutSnapshot(paths: StorePaths, badSnapshots: readonly BadSnapshot[]): void {
  const damaged = (file: string, offset: number, reason: string) => new StoreError("damaged", { file, offset, reason });
  const first = listSegments(paths.journal)[0];
  const [bad, anotherBad] = badSnapshots;
  const fromTheStart = first !== undefined && baseOf(first) === 0;
  if (bad !== undefined && (anotherBad !== undefined || !fromTheStart)) throw damaged(bad.file, bad.offset, bad.reason);
  if (first !== undefined) return;
  const rests = [paths.history, paths.runs, paths.journal, ...asideFolders(paths)];
  for (const folder of rests) {
    if (!existsSync(folder) || readdirSync(folder).every((name) => name.endsWith(".new"))) continue;
    throw damaged(paths.journal, 0, `snapshot and journal are missing, but ${folder} is not empty`);
  }
}

/** What was read is whole: the torn tail goes, bad snapshots get out of the way, and the rest is put on the disk. */
async function repaired(paths: StorePaths, loaded: Loaded): Promise<readonly StoreNote[]> {
  const notes: StoreNote[] = [];
  if (loaded.journal.torn !== null) notes.push(await cutTornTail(paths.journal, loaded.journal.torn));
  const { lastSegment, unproven } = loaded.journal;
  if (lastSegment !== null) syncSegment(lastSegment, unproven);
  for (const { file, reason } of loaded.badSnapshots) {
    if (file === paths.snapshot) notes.push({ code: "older-snapshot-used", data: { file, reason } });
    const saved = freeName(file);
    await rename(file, saved);
    notes.push({ code: "bad-snapshot-saved", data: { file, saved } });
  }
  const newestMissing = !existsSync(paths.snapshot) && existsSync(paths.olderSnapshot);
  if (newestMissing && notes.every((note) => note.code !== "older-snapshot-used")) {
    notes.push({ code: "older-snapshot-used", data: { file: paths.snapshot, reason: "missing" } });
  }
  return notes;
}

/** A crash between writing a value and the event that names it leaves a value that nobody can use. */
async function withoutOrphans(secrets: Secrets, state: State): Promise<readonly StoreNote[]> {
  const orphans = secrets.names().filter((name) => state.variables.get(name)?.kind !== "secret");
  if (orphans.length === 0) return [];
  await secrets.remove(orphans);
  return [{ code: "orphan-secrets-removed", data: { count: orphans.length } }];
}

function freeName(file: string): string {
  for (let number = 1; ; number++) {
    const name = `${file}.bad-${number}`;
    if (!existsSync(name)) return name;
  }
}
