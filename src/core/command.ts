/** What can be asked of the state: by a person, or by the daemon when it has observed something. */
import type { LogMove } from "./event.ts";
import type { CopiedResults, Job, RetryPolicy, Run } from "./job.ts";
import type { MatrixKey } from "./matrix.ts";
import type { Problem } from "./problem.ts";
import type { RetryLimits } from "./retry.ts";
import type { State } from "./state.ts";

export type Command = UserCommand | Fact;

export type UserCommand =
  | { readonly kind: "add-machines"; readonly addrs: readonly string[]; readonly class: string }
  | { readonly kind: "move-machines"; readonly addrs: readonly string[]; readonly class: string }
  | { readonly kind: "remove-machines"; readonly addrs: readonly string[] }
  | { readonly kind: "restore-machines"; readonly addrs: readonly string[] }
  | { readonly kind: "set-variable"; readonly name: string; readonly value: string; readonly secret: boolean }
  | { readonly kind: "remove-variables"; readonly names: readonly string[] }
  | AddJobs
  | AddMatrix
  | {
      readonly kind: "cancel-jobs";
      readonly jids: readonly number[] /** Ended jobs named, as read from history. */;
      readonly recalled: readonly Job[];
      readonly forget: boolean /** Named as a set: ended jobs are passed over. */;
      readonly lenient: boolean;
    }
  | { readonly kind: "hold-jobs"; readonly jids: readonly number[]; readonly lenient: boolean }
  | { readonly kind: "unhold-jobs"; readonly jids: readonly number[]; readonly lenient: boolean }
  | AddSetups
  | CloneJobs
  | { readonly kind: "set-timeout"; readonly jids: readonly number[]; readonly lenient: boolean; readonly timeoutSeconds: number | null }
  | { readonly kind: "add-tag" }
  | {
      readonly kind: "tag-jobs";
      readonly jids: readonly number[];
      readonly recalled: readonly Job[];
      readonly lenient: boolean;
      /** null: out of the tag they are in. */
      readonly tag: number | null;
    }
  | { readonly kind: "set-line"; readonly jid: number | null };

/** One setup job for each machine. */
export interface AddSetups {
  readonly kind: "add-setups";
  readonly addrs: readonly string[];
  /** What the machines join when all commands have succeeded; null: nothing. */
  readonly class: string | null;
  readonly cmds: readonly string[];
  readonly timeoutSeconds: number | null;
  /** Between the starts on two machines that follow one another. */
  readonly staggerSeconds: number;
  readonly notify: boolean;
}

/** Queues jobs again with the same properties. */
export interface CloneJobs {
  readonly kind: "clone-jobs";
  /** As they are now, those of the past included. */
  readonly jobs: readonly Job[];
  /** Of each, one after the other. */
  readonly count: number;
  /** Cancels those that have not ended first. */
  readonly restart: boolean;
}

export interface AddJobs {
  readonly kind: "add-jobs";
  readonly class: string;
  readonly cmd: string;
  readonly copyTo: string | null;
  readonly count: number;
  readonly retry: RetryPolicy | null;
  readonly timeoutSeconds: number | null;
  readonly tag: number | null;
  readonly notify: boolean;
}

export interface AddMatrix extends Omit<AddJobs, "kind" | "tag"> {
  readonly kind: "add-matrix";
  readonly keys: readonly MatrixKey[];
}

/** Observations about runs carry the run id: one about an earlier run of the job is stale and ignored. */
export type Fact =
  /** Which boot of its machine the run is about to be sent to. */
  | { readonly kind: "run-host-known"; readonly jid: number; readonly runId: string; readonly machineBootId: string }
  | { readonly kind: "run-started"; readonly jid: number; readonly runId: string; readonly at: number }
  | { readonly kind: "run-not-started"; readonly jid: number; readonly runId: string; readonly problem: Problem }
  | {
      readonly kind: "run-exited";
      readonly jid: number;
      readonly runId: string;
      readonly startedAt: number | null;
      readonly at: number;
      readonly exitCode: number;
      readonly prefixes: readonly string[];
      /** A RESULTS line that cannot be used. */
      readonly invalidLine: Problem | null;
      /** Of a setup job that has more commands: the run for the next. */
      readonly nextRun?: Run;
    }
  | { readonly kind: "run-lost"; readonly jid: number; readonly runId: string; readonly problem: Problem; readonly sessionEmpty: boolean }
  /** Alive again after it was unknown. */
  | { readonly kind: "run-found"; readonly jid: number; readonly runId: string; readonly startedAt: number }
  | {
      readonly kind: "results-copied";
      readonly jid: number;
      readonly runId: string;
      readonly results: CopiedResults;
      readonly warning: Problem | null;
    }
  | { readonly kind: "results-failed"; readonly jid: number; readonly runId: string; readonly problem: Problem }
  /** Files of an ended job got another name, or were fetched later. */
  | {
      readonly kind: "results-changed";
      readonly job: Job;
      readonly results: CopiedResults;
      /** What it rests on: nothing changes when the job's results have another record by now. null: they had none. Absent: whatever they have. */
      readonly recordBefore?: string | null;
      /** Of the fetching. Absent: what was to be said of the job before. */
      readonly warning?: Problem;
    }
  /** Logs of an ended job were moved; those that it does not have are passed over. */
  | { readonly kind: "logs-moved"; readonly job: Job; readonly moves: readonly LogMove[] }
  | { readonly kind: "timeout-reached"; readonly jid: number; readonly runId: string }
  | { readonly kind: "back-off-over"; readonly jid: number }
  | { readonly kind: "machine-unreachable"; readonly addr: string; readonly problem: Problem }
  | { readonly kind: "machine-reachable"; readonly addr: string }
  /** These ended jobs, as they are in `jobs`, are in history blocks now. */
  | {
      readonly kind: "jobs-in-history";
      readonly jobs: readonly Job[];
      /** More are to follow at once: what else is not needed any more goes with the last of them. */
      readonly more?: boolean;
      /** Ids of the answers that may be old enough to go. Absent: all are looked at. */
      readonly requests?: readonly string[];
    };

/** How long an answer is kept for a client that asks again with the same request id. */
export const REQUEST_KEPT_MS = 7 * 86_400_000;

/** What decide may not find out by itself. */
export interface Context {
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly limits: Limits;
  /** Of the server's host. A run directory here that nobody claimed proves nothing after a reboot. null: not known. */
  readonly bootId: string | null;
}

export interface Limits {
  readonly backOffFirstMs: number;
  readonly backOffMaxMs: number;
  /** By class, for those that have their own. */
  readonly classBackOff: Readonly<Record<string, RetryLimits>>;
  /** Counted failures in a row that quarantine a machine. */
  readonly quarantineAfterFailures: number;
  /** Jobs that have not ended. */
  readonly queuedJobsMax: number;
  readonly variablesMax: number;
  readonly variableBytesMax: number;
  /** A command after substitution, and the variables that a job remembers. */
  readonly commandLineCharactersMax: number;
}

export const DEFAULT_LIMITS: Limits = {
  backOffFirstMs: 10_000,
  backOffMaxMs: 600_000,
  classBackOff: {},
  quarantineAfterFailures: 4,
  queuedJobsMax: 200_000,
  variablesMax: 1_000,
  variableBytesMax: 65_536,
  commandLineCharactersMax: 1_048_576,
};

/** Names the attempt that the scheduler is about to make: a random run id and the paths of its logs. */
export type NewRun = (start: {
  readonly state: State;
  readonly job: Job;
  readonly machine: string;
  /** Which of the job's commands: 0, but for setup jobs. */
  readonly command: number;
}) => Run;
