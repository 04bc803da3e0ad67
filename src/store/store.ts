/**
 * An open state directory: what the engine is given. Appends events, takes snapshots, keeps the past and the
 * secrets, and holds the lock until it is closed. It never looks at what the events mean, except that a
 * forgotten job leaves its history block.
 *
 * Order of a snapshot: a new journal segment, history blocks, the snapshot, and only then old segments go:
 * those that the older of the two generations does not need any more. The past is best archived before: what an event
 * has taken out of the state is not in the snapshot, and no start has to read it.
 */
import { unlink } from "node:fs/promises";
import { apply } from "../core/apply.ts";
import type { Event } from "../core/event.ts";
import { isEnded, type Job } from "../core/job.ts";
import type { State } from "../core/state.ts";
import { syncFolder } from "./durable-file.ts";
import type { History } from "./history/history.ts";
import { baseOf } from "./journal/reader.ts";
import { listSegments } from "./journal/segments.ts";
import type { JournalWriter } from "./journal/writer.ts";
import type { DirectoryLock } from "./lock.ts";
import type { StorePaths } from "./paths.ts";
import type { Secrets } from "./secrets.ts";
import { type Snapshot, writeSnapshot } from "./snapshot/snapshot-file.ts";
import { asStoreError, StoreError, type StoreNote } from "./store-error.ts";

const JOBS_PER_TURN = 10_000;

export interface StoreParts {
  readonly paths: StorePaths;
  readonly lock: DirectoryLock;
  readonly serverId: string;
  readonly state: State;
  readonly sequence: number;
  readonly snapshotSequence: number;
  /** Of the journal that was read at the start. */
  readonly replayedBytes: number;
  readonly notes: readonly StoreNote[];
  readonly journal: JournalWriter;
  readonly history: History;
  readonly secrets: Secrets;
}

export class Store {
  private snapshotSequence: number;
  private replayedBytes: number;
  private writing: Promise<unknown> = Promise.resolve();
  private closing: Promise<void> | null = null;

  constructor(private readonly parts: StoreParts) {
    this.snapshotSequence = parts.snapshotSequence;
    this.replayedBytes = parts.replayedBytes;
  }

  /** The state as it was when the store was opened. */
  get state(): State {
    return this.parts.state;
  }

  /** What recovery did, for the log. */
  get notes(): readonly StoreNote[] {
    return this.parts.notes;
  }

  get paths(): StorePaths {
    return this.parts.paths;
  }

  get serverId(): string {
    return this.parts.serverId;
  }

  get history(): Pick<History, "read"> {
    return this.parts.history;
  }

  get secrets(): Secrets {
    return this.parts.secrets;
  }

  /** The last journal record that is on stable storage. */
  get sequence(): number {
    return this.parts.journal.durableSequence;
  }

  /** Bytes journalled since the last snapshot, also by processes before this one: what a start would have to replay. */
  get journalBytes(): number {
    return this.replayedBytes + this.parts.journal.segmentBytes;
  }

  /**
   * Writes the events as one record. Resolves with its sequence when it is on stable storage. Rejects when it
   * is certain not to be read back: "no-space" (try again later), "record-too-large", "storage-failed" (nothing
   * is written any more: stop), "closed".
   */
  async append(events: readonly Event[]): Promise<number> {
    // What the last snapshot is of must not change under it.
    if (this.closing !== null) throw new StoreError("closed");
    return await this.appendNow(events);
  }

  private async appendNow(events: readonly Event[]): Promise<number> {
    const sequence = await this.parts.journal.append(events);
    for (const event of events) if (event.kind === "job-forgotten") this.parts.history.remove([event.jid]);
    return sequence;
  }

  /** From now on damage to the last record is told from a write that was cut short. Costs one small write, if any. */
  async seal(): Promise<void> {
    await this.parts.journal.seal();
  }

  /**
   * Puts the ended jobs of a state into history blocks while appends go on. @param state what is durable,
   * @param sequence its last record.
   * @returns them: once an event says so, memory does not need them any more
   */
  archive(state: State, sequence: number): Promise<readonly Job[]> {
    return this.inTurn(() => this.archiveNow(state, sequence));
  }

  /**
   * Writes a snapshot while appends go on, and archives before. Parameters and result are those of `archive`; what it
   * returns is in the snapshot too.
   */
  snapshot(state: State, sequence: number): Promise<readonly Job[]> {
    return this.inTurn(() => this.snapshotNow(state, sequence));
  }

  /** One after the other, and none once the last one is under way. */
  private inTurn<Result>(write: () => Promise<Result>): Promise<Result> {
    if (this.closing !== null) return Promise.reject(new StoreError("closed"));
    const written = this.writing.then(write);
    // A failed snapshot is its caller's news; the journal has everything, and the next one begins anew.
    this.writing = written.catch(() => undefined);
    return written;
  }

  /**
   * Puts another state in the place of the present one, in one step: a crash leaves the one or the other. For offline
   * commands, when nothing else appends. Ended jobs of `state` may be in it: the next snapshot puts them into history.
   * @returns the sequence of the new state
   */
  async replaceState(state: State): Promise<number> {
    const { journal, paths } = this.parts;
    // A record that changes nothing: the new state has a number that the old one never had.
    const sequence = await this.append([{ kind: "jobs-archived", jids: [], requestsBefore: 0 }]);
    await journal.rotate();
    await writeSnapshot(paths, { state, sequence });
    this.snapshotSequence = sequence;
    return sequence;
  }

  /**
   * Takes no more appends, waits for what is under way, archives the past, writes a last snapshot if anything has
   * changed, and lets go of the directory, also when that snapshot fails. @param last what is durable, with its last
   * record, as it is when all appends are done; null leaves the journal to speak for itself
   */
  close(last: Snapshot | null): Promise<void> {
    this.closing ??= this.closeNow(last);
    return this.closing;
  }

  private async closeNow(last: Snapshot | null): Promise<void> {
    const { journal, lock } = this.parts;
    try {
      await this.writing;
      if (last !== null && last.sequence !== this.snapshotSequence) {
        const { state, sequence } = await this.withoutPast(last);
        await this.snapshotNow(state, sequence);
      }
    } finally {
      await journal.close();
      lock.release();
    }
  }

  /** What a start will have to read: the past is in its blocks, and a record says so. */
  private async withoutPast(last: Snapshot): Promise<Snapshot> {
    const { journal } = this.parts;
    await journal.append([]);
    // Those who appended have heard of it, and their state has it.
    await new Promise((resolve) => setImmediate(resolve));
    const { state, sequence } = last;
    const ended = await this.archiveNow(state, sequence);
    // Of a record that `last` does not know, nobody can say here what it did to these jobs.
    if (ended.length === 0 || sequence !== journal.durableSequence) return { state, sequence };
    const archived: Event = { kind: "jobs-archived", jids: ended.map((job) => job.jid), requestsBefore: 0 };
    return { state: apply(state, archived), sequence: await this.appendNow([archived]) };
  }

  private async archiveNow(state: State, sequence: number): Promise<readonly Job[]> {
    const ended = await endedJobs(state);
    await this.parts.history.write(ended, sequence);
    return ended;
  }

  private async snapshotNow(state: State, sequence: number): Promise<readonly Job[]> {
    const { journal, paths } = this.parts;
    await journal.rotate();
    const ended = await this.archiveNow(state, sequence);
    if (sequence === this.snapshotSequence && sequence > 0) return ended;
    await writeSnapshot(paths, { state, sequence });
    this.replayedBytes = 0;
    const older = this.snapshotSequence;
    this.snapshotSequence = sequence;
    await this.removeSegmentsBefore(older);
    return ended;
  }

  /** @param needed the sequence from which the older generation needs the journal; 0 when there is none */
  private async removeSegmentsBefore(needed: number): Promise<void> {
    const { paths } = this.parts;
    const segments = listSegments(paths.journal);
    try {
      for (const [index, segment] of segments.entries()) {
        const next = segments[index + 1];
        if (next === undefined || baseOf(next) > needed) break;
        await unlink(segment.path);
      }
      await syncFolder(paths.journal);
    } catch (error) {
      throw asStoreError(error, paths.journal);
    }
  }
}

/** A pass over all live jobs, which may be 200,000: the event loop gets its turn on the way. */
async function endedJobs(state: State): Promise<readonly Job[]> {
  const ended: Job[] = [];
  let passed = 0;
  for (const job of state.jobs.values()) {
    if (isEnded(job.state)) ended.push(job);
    if (++passed % JOBS_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  return ended;
}
