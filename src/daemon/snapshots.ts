/** When a snapshot is due: after so many bytes of journal. Afterwards the past leaves the memory. */
import type { Fact } from "../core/command.ts";
import type { Job } from "../core/job.ts";
import type { State } from "../core/state.ts";
import type { DaemonLog } from "./log.ts";

export interface SnapshotsOptions {
  readonly engine: { readonly state: State; readonly sequence: number };
  readonly store: { readonly journalBytes: number; snapshot(state: State, sequence: number): Promise<readonly Job[]> };
  readonly observe: (fact: Fact) => Promise<void>;
  readonly now: () => number;
  readonly log: DaemonLog;
}

/** Replayed in well under a second; of the jobs that ended meanwhile it is some 20,000. */
const JOURNAL_BYTES_MAX = 8 * 1_048_576;
/** A disk that refuses one is not asked again at every change. */
const PAUSE_AFTER_FAILURE_MS = 30_000;

export class Snapshots {
  private running = false;
  private notBefore = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: SnapshotsOptions) {}

  /** Called after each change: takes a snapshot when the journal has grown enough. Never rejects. */
  async considerOne(): Promise<void> {
    const { engine, store, observe, now, log } = this.options;
    if (this.running || store.journalBytes < JOURNAL_BYTES_MAX || now() < this.notBefore) return;
    this.running = true;
    try {
      const ended = await store.snapshot(engine.state, engine.sequence);
      if (ended.length > 0) await observe({ kind: "jobs-in-history", jobs: ended });
    } catch (error) {
      // The journal has everything; a later change tries again.
      this.notBefore = now() + PAUSE_AFTER_FAILURE_MS;
      log.error(`no snapshot was written: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      this.running = false;
    }
  }
}
