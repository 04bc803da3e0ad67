/**
 * When a snapshot is due: after so many bytes of journal. Before it the past leaves the memory, so that it is not in the
 * snapshot and no start has to read it.
 */
import { type Fact, REQUEST_KEPT_MS } from "../core/command.ts";
import type { Job } from "../core/job.ts";
import type { State } from "../core/state.ts";
import type { Store } from "../store/store.ts";
import type { DaemonLog } from "./log.ts";

export interface SnapshotsOptions {
  readonly engine: { readonly state: State; readonly sequence: number };
  readonly store: Pick<Store, "journalBytes" | "archive" | "snapshot">;
  readonly observe: (fact: Fact) => Promise<void>;
  readonly now: () => number;
  readonly log: DaemonLog;
}

/** Replayed in well under a second; of the jobs that ended meanwhile it is some 20,000. */
const JOURNAL_BYTES_MAX = 8 * 1_048_576;
/** A disk that refuses one is not asked again at every change. */
const PAUSE_AFTER_FAILURE_MS = 30_000;
/** Jobs that leave the memory with one record: a few milliseconds. */
const JOBS_AT_ONCE = 2_000;
/** Looked at, and dropped: a millisecond or two, and some ten. The rest has time. */
const REQUESTS_PER_TURN = 500;
const REQUESTS_AT_ONCE = 5_000;

export class Snapshots {
  private running = false;
  private stopped = false;
  private notBefore = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: SnapshotsOptions) {}

  /** Called at the start and after each change: takes a snapshot when the journal has grown enough. Never rejects. */
  async considerOne(): Promise<void> {
    const { engine, store, now, log } = this.options;
    if (this.running || this.stopped || store.journalBytes < JOURNAL_BYTES_MAX || now() < this.notBefore) return;
    this.running = true;
    try {
      await this.letGo(await store.archive(engine.state, engine.sequence), await this.oldRequests());
      if (!this.stopped) await this.letGo(await store.snapshot(engine.state, engine.sequence), []);
    } catch (error) {
      // The last one is the store's own.
      if (this.stopped) return;
      // The journal has everything; a later change tries again.
      this.notBefore = now() + PAUSE_AFTER_FAILURE_MS;
      log.error(`no snapshot was written: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      this.running = false;
    }
  }

  /** What is being written is written; nothing new is begun. */
  stop(): void {
    this.stopped = true;
  }

  /** Answers that nobody will ask for again. A week may have 100,000: others get their turn on the way. */
  private async oldRequests(): Promise<readonly string[]> {
    const before = this.options.now() - REQUEST_KEPT_MS;
    const old: string[] = [];
    let passed = 0;
    for (const { id, at } of this.options.engine.state.requests.values()) {
      if (at < before) old.push(id);
      if (++passed % REQUESTS_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    return old.slice(0, REQUESTS_AT_ONCE);
  }

  /** Jobs that are in history blocks leave the memory, and answers with the last of them. */
  private async letGo(ended: readonly Job[], requests: readonly string[]): Promise<void> {
    for (let start = 0; start < ended.length; start += JOBS_AT_ONCE) {
      const end = start + JOBS_AT_ONCE;
      await this.options.observe({ kind: "jobs-in-history", jobs: ended.slice(start, end), more: end < ended.length, requests });
    }
  }
}
