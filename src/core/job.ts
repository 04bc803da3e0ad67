/**
 * A job: what was asked for (JobSpec, shared by all jobs of one request), what is its own, and its state,
 * in which a field exists only where it is true.
 */
import type { Problem } from "./problem.ts";

export type JobSpec = OrdinarySpec | SetupSpec;

export interface OrdinarySpec extends CommonSpec {
  readonly kind: "job";
}

/** Commands that prepare one machine: run there in order, each as a run of its own; then the machine joins `class`. */
export interface SetupSpec extends CommonSpec {
  readonly kind: "setup";
  readonly machine: string;
  /** At least one; `cmd` is the first. */
  readonly cmds: readonly string[];
}

interface CommonSpec {
  /** Of a setup job: the class that the machine joins; "" leaves it where it is. */
  readonly class: string;
  /** The template, as typed. */
  readonly cmd: string;
  /** CP_PATH, absolute, may hold placeholders. null: results are recorded only. */
  readonly copyTo: string | null;
  readonly retry: RetryPolicy | null;
  readonly notify: boolean;
  /** Values at the time of queueing of the variables that the template names, secrets excepted. */
  readonly variables: Readonly<Record<string, string>>;
  /** Names of the secret variables that the template names; read when the job starts. */
  readonly secrets: readonly string[];
}

export interface RetryPolicy {
  /** Failures in all after which it is given up; null: never. */
  readonly maxFailures: number | null;
}

export interface Job {
  readonly jid: number;
  readonly spec: JobSpec;
  readonly matrix: { readonly id: number /** Index in the order of nested loops, repeats included. */; readonly cell: number } | null;
  readonly tag: number | null;
  /** From 1; a retry is a new job with one more. */
  readonly attempt: number;
  readonly retryOf: number | null;
  readonly retriedBy: number | null;
  readonly timeoutSeconds: number | null;
  /** Milliseconds since the epoch, as every time in core. */
  readonly created: number;
  readonly state: JobState;
}

export type JobState = WaitingState | HeldState | StartingState | RunningState | CopyingState | EndedState | UnknownState;

/** What executes a run: the driver or `sh` on the server's host, or `sh` on the machine. */
export type RunnerKind = "driver" | "local" | "ssh";

/** One attempt at executing: where, and under which random name. */
export interface Run {
  readonly runId: string;
  readonly machine: string;
  /** Chosen when it began: what the configuration says later is for later runs. Absent in the first journals: as configured. */
  readonly runner?: RunnerKind;
  /** Of the class at that time, on the machine. Absent: the default place. */
  readonly runRoot?: string;
  /** Absolute paths on the server's host. */
  readonly log: string;
  readonly errLog: string;
  /** Of a setup job: which of its commands this is. */
  readonly step?: Step;
  /** Of the server's host when it was decided. Another one now: whatever ran here is dead, also when its directory is lost. */
  readonly bootId?: string;
  /** Of the machine it was sent to, written down before anything is sent. Absent: it runs on the server's host, or nothing was sent. */
  readonly machineBootId?: string;
}

/** How far a setup job is. */
export interface Step {
  /** Index of the command, from 0. */
  readonly command: number;
  /** When the first command started; null: it has not. The timeout is for all commands together. */
  readonly startedAt: number | null;
  /** Logs of the commands before it. */
  readonly earlier: readonly StepLog[];
}

export interface StepLog {
  readonly log: string;
  readonly errLog: string;
}

export interface WaitingState {
  readonly kind: "waiting";
  readonly since: number;
  /** A setup job whose later command could not be started: those before it are not run again. */
  readonly step?: Step;
  /** Back-off: not before this time. */
  readonly notBefore: number | null;
  /** Why the last start did not happen. */
  readonly problem: Problem | null;
}

export interface HeldState {
  readonly kind: "held";
  readonly since: number;
  readonly step?: Step;
}

/** The intent is durable; whether it started is not yet known. */
export interface StartingState {
  readonly kind: "starting";
  readonly run: Run;
  readonly since: number;
  readonly stop: StopRequest | null;
  /** Of the server's host when it was decided: a run directory that a reboot left without a claim was lost, not unused. */
  readonly bootId: string | null;
}

export interface RunningState {
  readonly kind: "running";
  readonly run: Run;
  readonly startedAt: number;
  readonly stop: StopRequest | null;
}

export interface StopRequest {
  readonly cause: "user" | "timeout" | "machine-removed";
  readonly at: number;
  /** Forget the job once its end is proven. */
  readonly forget: boolean;
}

/** Exited with 0 and named results; the machine stays busy until they are here. */
export interface CopyingState {
  readonly kind: "copying";
  readonly run: Run;
  readonly startedAt: number;
  readonly exitedAt: number;
  readonly prefixes: readonly string[];
}

export type EndedState = DoneState | FailedState | CanceledState;

export interface DoneState {
  readonly kind: "done";
  readonly run: Run;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly prefixes: readonly string[];
  readonly results: CopiedResults | null;
  readonly warning: Problem | null;
}

export interface CopiedResults {
  /** Where they are on this host: the folder, or the file when it is one. */
  readonly path: string;
  readonly fileCount: number;
  readonly bytes: number;
  /** null when there are more than FILES_INLINE_MAX: the record beside the results has them. */
  readonly files: readonly CopiedFile[] | null;
  /** The provenance record, `<CP_PATH>/.expjobserver/<jid>.toml`. */
  readonly record: string;
}

export const FILES_INLINE_MAX = 32;

export interface CopiedFile {
  /** Relative to CP_PATH. */
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface FailedState {
  readonly kind: "failed";
  readonly run: Run;
  readonly startedAt: number;
  readonly endedAt: number;
  /** The shell's number; 0 when only the copying failed. */
  readonly exitCode: number;
  readonly prefixes: readonly string[];
  readonly problem: Problem;
  /** Set when it was the copying that failed: the outcome of the command itself is 0. */
  readonly resultsNotCopied: boolean;
}

export interface CanceledState {
  readonly kind: "canceled";
  /** null: it had not started. */
  readonly run: Run | null;
  /** Of a setup job that waited in the middle, and has no run: what it had behind it. */
  readonly step?: Step;
  readonly startedAt: number | null;
  readonly endedAt: number;
  readonly exitCode: number | null;
  readonly problem: Problem;
}

export interface UnknownState {
  readonly kind: "unknown";
  readonly run: Run;
  readonly startedAt: number | null;
  readonly since: number;
  readonly problem: Problem;
  /** false when it is proven that nothing of it runs any more: then the machine is free. */
  readonly holdsMachine: boolean;
  /** Asked for while it ran: still wanted should it be found again. */
  readonly stop: StopRequest | null;
}

export type JobStateKind = JobState["kind"];

export function isEnded(state: JobState): state is EndedState {
  return state.kind === "done" || state.kind === "failed" || state.kind === "canceled";
}

/** The machine that this job occupies, if it occupies one. */
export function occupiedMachine(state: JobState): string | null {
  switch (state.kind) {
    case "starting":
    case "running":
    case "copying":
      return state.run.machine;
    case "unknown":
      return state.holdsMachine ? state.run.machine : null;
    case "waiting":
    case "held":
    case "done":
    case "failed":
    case "canceled":
      return null;
  }
}

export function runOf(state: JobState): Run | null {
  switch (state.kind) {
    case "waiting":
    case "held":
      return null;
    case "starting":
    case "running":
    case "copying":
    case "unknown":
    case "done":
    case "failed":
    case "canceled":
      return state.run;
  }
}

/** How far a setup job is, or was when it ended. */
export function stepOf(state: JobState): Step | undefined {
  const run = runOf(state);
  if (run !== null) return run.step;
  return "step" in state ? state.step : undefined;
}

/** All logs of a run, those of a setup job's earlier commands first. Absolute paths on the server's host. */
export function logsOf({ log, errLog, step }: Run): readonly string[] {
  return [...earlierLogs(step), log, errLog];
}

/** All logs of a job, also of one that has no run because it waited in the middle. */
export function allLogsOf(state: JobState): readonly string[] {
  const run = runOf(state);
  return run === null ? earlierLogs(stepOf(state)) : logsOf(run);
}

function earlierLogs(step: Step | undefined): readonly string[] {
  return (step?.earlier ?? []).flatMap(({ log, errLog }) => [log, errLog]);
}

/** The template that a run executes. */
export function commandOf(spec: JobSpec, run: Pick<Run, "step"> | null): string {
  return spec.kind === "setup" ? (spec.cmds[run?.step?.command ?? 0] ?? spec.cmd) : spec.cmd;
}

/** All templates of a job, in order. */
export function commandsOf(spec: JobSpec): readonly string[] {
  return spec.kind === "setup" ? spec.cmds : [spec.cmd];
}

/** How many jobs are in each state; a starting one counts as running, as people see it. */
export interface JobCounts {
  readonly waiting: number;
  readonly held: number;
  readonly running: number;
  readonly copying: number;
  readonly done: number;
  readonly failed: number;
  readonly canceled: number;
  readonly unknown: number;
}

export const NO_JOBS: JobCounts = { waiting: 0, held: 0, running: 0, copying: 0, done: 0, failed: 0, canceled: 0, unknown: 0 };
