/**
 * What happened, in the past tense, as it is written to the journal. Events are the only input of
 * apply.ts; released ones are never changed in meaning, only added to.
 */
import type { CopiedResults, Job, JobSpec, Run, StopRequest } from "./job.ts";
import type { QuarantineReason } from "./machine.ts";
import type { MatrixKey } from "./matrix.ts";
import type { Problem } from "./problem.ts";
import type { Answer, Variable } from "./state.ts";

export type Event =
  | { readonly kind: "machines-added"; readonly at: number; readonly addrs: readonly string[]; readonly class: string }
  | { readonly kind: "machine-moved"; readonly at: number; readonly addr: string; readonly class: string }
  | { readonly kind: "machine-removed"; readonly at: number; readonly addr: string }
  | { readonly kind: "machine-quarantined"; readonly at: number; readonly addr: string; readonly reason: QuarantineReason }
  | { readonly kind: "machine-unreachable"; readonly at: number; readonly addr: string; readonly problem: Problem }
  /** Reachable again, restored, or moved out of quarantine. */
  | { readonly kind: "machine-recovered"; readonly at: number; readonly addr: string }
  | { readonly kind: "variable-set"; readonly variable: Variable }
  | { readonly kind: "variable-removed"; readonly name: string }
  | JobsAdded
  | MatrixAdded
  | { readonly kind: "tag-added"; readonly at: number; readonly id: number }
  | { readonly kind: "job-tagged"; readonly at: number; readonly jid: number; readonly tag: number | null }
  | { readonly kind: "job-timeout-set"; readonly at: number; readonly jid: number; readonly timeoutSeconds: number | null }
  /** A line after this job in listings; null: none. */
  | { readonly kind: "line-set"; readonly after: number | null }
  | { readonly kind: "job-held"; readonly at: number; readonly jid: number }
  | { readonly kind: "job-unheld"; readonly at: number; readonly jid: number }
  /** The back-off is over. */
  | { readonly kind: "job-due"; readonly at: number; readonly jid: number }
  | {
      readonly kind: "job-starting";
      readonly at: number;
      readonly jid: number;
      readonly run: Run;
      /** Of the server's host at that time. */
      readonly bootId: string | null;
    }
  /** The boot of the machine that the run is about to be sent to: after another one, a run directory without a claim was lost, not unused. */
  | { readonly kind: "job-host-known"; readonly at: number; readonly jid: number; readonly machineBootId: string }
  | { readonly kind: "job-started"; readonly at: number; readonly jid: number }
  /** Proven: the run id was claimed by us or never left this process. */
  | {
      readonly kind: "job-not-started";
      readonly at: number;
      readonly jid: number;
      readonly notBefore: number | null;
      readonly problem: Problem;
    }
  | { readonly kind: "job-stop-requested"; readonly jid: number; readonly stop: StopRequest }
  /** A command of a setup job exited with 0; `run` is the next. */
  | { readonly kind: "job-advanced"; readonly at: number; readonly jid: number; readonly run: Run; readonly bootId: string | null }
  /** Exit 0 with results to fetch. */
  | { readonly kind: "job-copying"; readonly at: number; readonly jid: number; readonly prefixes: readonly string[] }
  | JobDone
  | JobFailed
  | JobCanceled
  | { readonly kind: "job-lost"; readonly at: number; readonly jid: number; readonly problem: Problem; readonly machineFree: boolean }
  /** Found alive after it was lost from sight. */
  | { readonly kind: "job-found"; readonly at: number; readonly jid: number; readonly startedAt: number }
  | { readonly kind: "job-forgotten"; readonly jid: number }
  /** An ended job read back from its history block because a command names it. */
  | { readonly kind: "job-recalled"; readonly job: Job }
  /** Results of an ended job, fetched or moved later. */
  | {
      readonly kind: "job-results-changed";
      readonly at: number;
      readonly jid: number;
      readonly results: CopiedResults;
      /** Of the fetching. Absent: what was to be said of the job before. */
      readonly warning?: Problem;
    }
  /** Logs of an ended job are elsewhere now. */
  | { readonly kind: "job-logs-moved"; readonly at: number; readonly jid: number; readonly moves: readonly LogMove[] }
  | JobsArchived
  | { readonly kind: "request-answered"; readonly at: number; readonly id: string; readonly answer: Answer };

/** Ended jobs that are now in history blocks leave the memory. */
export interface JobsArchived {
  readonly kind: "jobs-archived";
  readonly jids: readonly number[];
  /** As the first journals have it: all answers older than this go too, and notes on commands of no job; 0: neither. */
  readonly requestsBefore: number;
  /** In the place of `requestsBefore`: the ids of these answers. */
  readonly requests?: readonly string[];
}

/** Absolute paths on the server's host. */
export interface LogMove {
  readonly from: string;
  readonly to: string;
}

export interface JobsAdded {
  readonly kind: "jobs-added";
  readonly at: number;
  readonly first: number;
  readonly count: number;
  readonly spec: JobSpec;
  readonly timeoutSeconds: number | null;
  readonly tag: number | null;
  /** Clones join the matrix of the jobs they are of: the cell of each new job, as many as `count`. */
  readonly matrix?: { readonly id: number; readonly cells: readonly number[] };
  /** Not before this time. */
  readonly notBefore?: number;
}

export interface MatrixAdded {
  readonly kind: "matrix-added";
  readonly at: number;
  readonly id: number;
  /** The first job; the others follow without a gap. */
  readonly first: number;
  readonly keys: readonly MatrixKey[];
  readonly repeats: number;
  readonly spec: JobSpec;
  readonly timeoutSeconds: number | null;
}

export interface JobDone {
  readonly kind: "job-done";
  readonly at: number;
  readonly jid: number;
  readonly prefixes: readonly string[];
  readonly results: CopiedResults | null;
  readonly warning: Problem | null;
}

/** The failure, the machine's share of it and the retry are one record: no crash comes between. */
export interface JobFailed {
  readonly kind: "job-failed";
  readonly at: number;
  readonly jid: number;
  readonly exitCode: number;
  readonly prefixes: readonly string[];
  readonly problem: Problem;
  readonly resultsNotCopied: boolean;
  readonly countsAgainstMachine: boolean;
  readonly retry: { readonly jid: number; readonly notBefore: number } | null;
}

export interface JobCanceled {
  readonly kind: "job-canceled";
  readonly at: number;
  readonly jid: number;
  readonly exitCode: number | null;
  readonly problem: Problem;
}

export type EventKind = Event["kind"];
