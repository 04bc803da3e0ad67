/** When a snapshot is due: after so many bytes of journal. Afterwards the past leaves the memory. */
import type { Fact } from "../core/command.ts";
import type { Job } from "../core/job.ts";
import type { State } from "../core/state.ts";
import type { DaemonLog } from "./log.ts";

export interface SnapshotsOptions {
  readonly engine: { readonly state: State; readonly sequence: number };
  readonly store: { readonly journalBytes: number; snapshot(state: State, sequence: number): Promise<readonly Job[]> };
  readonly observe: (fact: Fact) => Promise<void>;
  readonly log: DaemonLog;
}

/** Replayed in well under a second. */
const JOURNAL_BYTES_MAX = 8 * 1_048_576;

export class Snapshots {
  private running = false;

  constructor(private readonly options: SnapshotsOptions) {}

  /** Called after each change: takes a snapshot when the journal has grown enough. */
  async considerOne(): Promise<void> {
    const { engine, store, observe, log } = this.options;
    if (this.running || store.journalBytes < JOURNAL_BYTES_MAX) return;
    this.running = true;
    try {
      const ended = await store.snapshot(engine.state, engine.sequence);
      if (ended.length > 0) await observe({ kind: "jobs-in-history", jobs: ended });
    } catch (error) {
      // The journal has everything; the next change tries again.
      log.error(`no snapshot was written: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      this.running = false;
    }
  }
}
