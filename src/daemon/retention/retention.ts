/**
 * `[retention]`: old logs are gzipped and deleted, old jobs forgotten. Decides when to look, at the start and then at
 * intervals; keeps nothing about jobs, so a restart simply begins anew. Without a setting it never wakes up.
 */
import type { RetentionOptions } from "../../config/retention-options.ts";
import { isEnded, type Job } from "../../core/job.ts";
import type { Timers } from "../timers.ts";
import { Sweep, type SweepParts } from "./sweep.ts";

export interface RetentionParts extends SweepParts {
  readonly settings: RetentionOptions;
  readonly timers: Timers;
}

/** After the start: those who wait for the server come first. */
const FIRST_LOOK_MS = 1_000;
const INTERVAL_MS_MAX = 3_600_000;
const INTERVAL_MS_MIN = 1_000;
const TIMER = "retention";

export class Retention {
  private settings: RetentionOptions;
  private sweeping: { readonly abort: AbortController; readonly end: Promise<void> } | null = null;
  private stopped = false;

  constructor(private readonly parts: RetentionParts) {
    this.settings = parts.settings;
  }

  /** The first look comes soon, the others at intervals. */
  start(): void {
    this.schedule(FIRST_LOOK_MS);
  }

  /** From now on so; looks at once. */
  configure(settings: RetentionOptions): void {
    this.settings = settings;
    const { sweeping } = this;
    if (sweeping === null) return this.schedule(0);
    sweeping.abort.abort();
    void sweeping.end.then(() => this.schedule(0));
  }

  /** Leaves what it does as it is: every step of it is whole. */
  stop(): void {
    this.stopped = true;
    this.parts.timers.clear(TIMER);
    this.sweeping?.abort.abort();
  }

  /** Whether a log of it that is not there is one that was deleted for its age or for the size of all. */
  mayHaveDeletedLogOf({ state }: Job): boolean {
    const { deleteLogsAfterSeconds, deleteLogsAboveBytes } = this.settings;
    if (!isEnded(state)) return false;
    const isOld = deleteLogsAfterSeconds !== null && this.parts.now() - state.endedAt >= deleteLogsAfterSeconds * 1_000;
    return isOld || deleteLogsAboveBytes !== null;
  }

  /** One look at all jobs. Never rejects. While one is going on, that one. */
  async sweep(): Promise<void> {
    if (this.sweeping !== null) return await this.sweeping.end;
    const abort = new AbortController();
    const sweep = new Sweep(this.parts, this.settings, abort.signal);
    this.sweeping = { abort, end: sweep.run() };
    await this.sweeping.end;
    this.sweeping = null;
  }

  private schedule(delayMs: number): void {
    this.parts.timers.clear(TIMER);
    const intervalMs = intervalOf(this.settings);
    if (this.stopped || intervalMs === null) return;
    this.parts.timers.set(TIMER, this.parts.now() + delayMs, () => {
      void this.sweep().then(() => {
        if (!this.parts.timers.has(TIMER)) this.schedule(intervalMs);
      });
    });
  }
}

/** An hour, or less when what is kept is kept for less; null: there is nothing to do. */
function intervalOf(settings: RetentionOptions): number | null {
  if (Object.values(settings).every((value) => value === null)) return null;
  const ages = [settings.compressLogsAfterSeconds, settings.deleteLogsAfterSeconds, settings.forgetJobsAfterSeconds];
  const shortestMs = Math.min(...ages.flatMap((seconds) => (seconds === null ? [] : seconds * 1_000)), INTERVAL_MS_MAX * 10);
  return Math.max(INTERVAL_MS_MIN, Math.min(INTERVAL_MS_MAX, shortestMs / 10));
}
