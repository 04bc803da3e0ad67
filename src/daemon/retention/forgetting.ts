/**
 * Forgets old jobs, as `job rm -f` does, but never one in whose name another attempt goes on: forgetting that one would
 * cancel the attempt. Jobs must be seen from the youngest on, because a retry is younger than what it retries.
 */
import type { UserCommand } from "../../core/command.ts";
import { isEnded, type Job } from "../../core/job.ts";
import { StoreError } from "../../store/store-error.ts";
import type { JobBook } from "../job-book.ts";

interface ForgettingParts {
  readonly book: Pick<JobBook, "get" | "state">;
  readonly submit: (command: UserCommand) => Promise<unknown>;
}

export class Forgetting {
  /** Retries that have not ended, or are retried by one that has not. */
  private readonly goingOn = new Set<number>();

  constructor(private readonly parts: ForgettingParts) {}

  see(job: Job): void {
    if (job.retryOf !== null && (!isEnded(job.state) || this.isRetriedStill(job))) this.goingOn.add(job.jid);
  }

  /** @returns how many. @throws what the storage does */
  async forget(jobs: readonly Job[]): Promise<number> {
    const jids = jobs.filter((job) => !this.isRetriedStill(job)).map((job) => job.jid);
    return jids.length === 0 ? 0 : await this.forgetTogether(jids);
  }

  private isRetriedStill({ retriedBy }: Job): boolean {
    return retriedBy !== null && this.goingOn.has(retriedBy);
  }

  private async forgetTogether(jids: readonly number[]): Promise<number> {
    const { book, submit } = this.parts;
    // As they are at this moment: a person may have forgotten some of them.
    const jobs = [...(await book.get(jids)).values()];
    const recalled = jobs.filter((job) => !book.state.jobs.has(job.jid));
    try {
      await submit({ kind: "cancel-jobs", jids: jobs.map((job) => job.jid), recalled, forget: true, lenient: true });
      return jobs.length;
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== "record-too-large" || jids.length === 1) throw error;
      let forgotten = 0;
      for (const jid of jids) forgotten += await this.forgetTogether([jid]);
      return forgotten;
    }
  }
}
