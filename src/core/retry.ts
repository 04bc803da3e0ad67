/** When a failed job is tried again, and which failures are the machine's. design.md, "One job". */
import type { Job } from "./job.ts";
import type { TemplateRecord } from "./machine.ts";

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

/**
 * A failure counts against a machine only if the template has succeeded on another, or nothing else is
 * known of it. One that failed on two machines and succeeded on none is the job's own fault.
 */
export function countsAgainstMachine(record: TemplateRecord | undefined, machine: string): boolean {
  if (record === undefined) return true;
  if (record.succeededOn.some((addr) => addr !== machine)) return true;
  return record.succeededOn.length === 0 && record.failedOn.every((addr) => addr === machine);
}
