/** Logs that [retention] deleted, told from those that somebody took away: nothing is written down of it, it follows from the settings. */
import type { Job } from "../../core/job.ts";
import { RequestError } from "../../protocol/error.ts";
import { presentLog } from "../job-logs.ts";
import type { Services } from "./services.ts";

interface LogPaths {
  readonly log: string | null;
  readonly err_log: string | null;
}

/** In the place of the path of a deleted log is null, and `expired` says why. */
export async function withoutExpired<T extends LogPaths>(services: Services, job: Job, logs: T): Promise<T & { expired?: true }> {
  if (!services.mayHaveDeletedLogOf(job)) return logs;
  const [log, err_log] = await Promise.all([logs.log, logs.err_log].map(async (path) => ((await isGone(path)) ? null : path)));
  const isExpired = log !== logs.log || err_log !== logs.err_log;
  return isExpired ? { ...logs, log: log ?? null, err_log: err_log ?? null, expired: true } : logs;
}

/** @returns null when its absence has another reason */
export async function expiredError({ book, mayHaveDeletedLogOf }: Services, jid: number): Promise<RequestError | null> {
  const job = (await book.get([jid])).get(jid);
  return job !== undefined && mayHaveDeletedLogOf(job) ? new RequestError("log-expired", { jid }) : null;
}

async function isGone(path: string | null): Promise<boolean> {
  return path !== null && (await presentLog(path)) === null;
}
