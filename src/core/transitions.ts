/**
 * The legal transitions of a job, in one table. apply.ts refuses any other; a test tries every pair of
 * state and event, and docs/job-states.md is made from it by scripts/state-diagram.ts.
 */
import type { Event } from "./event.ts";
import type { JobStateKind } from "./job.ts";

/** The events that concern one job that exists. */
export type JobEvent = Extract<Event, { readonly jid: number }>;
export type JobEventKind = JobEvent["kind"];

/** "gone": the job is no longer known. A state named as its own target keeps its kind and changes a field. */
export const TRANSITIONS: Readonly<Record<JobStateKind, Readonly<Partial<Record<JobEventKind, JobStateKind | "gone">>>>> = {
  waiting: {
    "job-held": "held",
    "job-due": "waiting",
    "job-starting": "starting",
    "job-canceled": "canceled",
    "job-timeout-set": "waiting",
    "job-tagged": "waiting",
  },
  held: {
    "job-unheld": "waiting",
    "job-timeout-set": "held",
    "job-tagged": "held",
    "job-canceled": "canceled",
  },
  starting: {
    "job-host-known": "starting",
    "job-started": "running",
    "job-not-started": "waiting",
    "job-stop-requested": "starting",
    "job-timeout-set": "starting",
    "job-tagged": "starting",
    "job-canceled": "canceled",
    "job-lost": "unknown",
  },
  running: {
    "job-stop-requested": "running",
    "job-timeout-set": "running",
    "job-tagged": "running",
    "job-advanced": "starting",
    "job-copying": "copying",
    "job-done": "done",
    "job-failed": "failed",
    "job-canceled": "canceled",
    "job-lost": "unknown",
  },
  copying: {
    "job-tagged": "copying",
    "job-done": "done",
    "job-failed": "failed",
    "job-canceled": "canceled",
  },
  unknown: {
    "job-found": "running",
    "job-lost": "unknown",
    "job-canceled": "canceled",
    "job-timeout-set": "unknown",
    "job-tagged": "unknown",
  },
  done: { "job-forgotten": "gone", "job-results-changed": "done", "job-logs-moved": "done", "job-tagged": "done" },
  failed: { "job-forgotten": "gone", "job-results-changed": "done", "job-logs-moved": "failed", "job-tagged": "failed" },
  canceled: { "job-forgotten": "gone", "job-logs-moved": "canceled", "job-tagged": "canceled" },
};

export function nextKind(from: JobStateKind, event: JobEventKind): JobStateKind | "gone" | null {
  return TRANSITIONS[from][event] ?? null;
}

/** The table as a Mermaid state diagram. */
export function stateDiagram(): string {
  const lines = ["stateDiagram-v2", "  [*] --> waiting: jobs-added, matrix-added, retry"];
  for (const [from, targets] of Object.entries(TRANSITIONS)) {
    for (const [event, to] of Object.entries(targets)) lines.push(`  ${from} --> ${to === "gone" ? "[*]" : to}: ${event}`);
  }
  return `${lines.join("\n")}\n`;
}
