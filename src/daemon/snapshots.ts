/**
 * When a snapshot is due: after so many bytes of journal. Before it the past leaves the memory, so that it is not in the
 * snapshot and no start has to read it.
 */
import type { Fact } from "../core/command.ts";
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
      await this.letGo(await store.archive(engine.state, engine.sequence));
      if (!this.stopped) await this.letGo(await store.snapshot(engine.state, engine.sequence));
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

  /** Jobs that are in history blocks leave the memory. */
  private async letGo(ended: readonly Job[]): Promise<void> {
    for (let start = 0; start < ended.length; start += JOBS_AT_ONCE) {
      const end = start + JOBS_AT_ONCE;
      await this.options.observe({ kind: "jobs-in-history", jobs: ended.slice(start, end), more: end < ended.length });
    }
  }
}
