/** When a failed job is tried again. design.md, "One job". */
import type { Job } from "./job.ts";

export interface RetryLimits {
  readonly backOffFirstMs: number;
  readonly backOffMaxMs: number;
}

/** Doubles with each failure. @param failures from 1 */
export function backOffMs(failures: number, limits: RetryLimits): number {
  return Math.min(limits.backOffFirstMs * 2 ** Math.min(failures - 1, 40), limits.backOffMaxMs);
}

/** Each attempt before this one failed too, so the attempt's number is the number of failures. */
export function mayRetry(job: Job): boolean {
  const { retry } = job.spec;
  return retry !== null && (retry.maxFailures === null || job.attempt < retry.maxFailures);
}
