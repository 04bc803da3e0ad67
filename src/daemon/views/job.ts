/** A job as it is sent. */
import type { Job, JobState, StepLog } from "../../core/job.ts";
import { commandOf, runOf, stepOf } from "../../core/job.ts";
import { substitute } from "../../core/placeholders.ts";
import type { Problem } from "../../core/problem.ts";
import { signalName } from "../../core/signal.ts";
import type { State } from "../../core/state.ts";
import { jobVariables, maskedValues, SECRET_MASK } from "../../core/variables.ts";
import type { JobStatus, WireJob } from "../../protocol/methods/job.ts";
import type { Result } from "../../protocol/methods.ts";

/** @param now milliseconds since the epoch: the duration of what runs is counted up to it */
export function jobView(state: State, job: Job, now: number): WireJob {
  const run = runOf(job.state);
  const { spec } = job;
  const isSetup = spec.kind === "setup";
  // A setup job is for one machine, also while it waits for it.
  const machine = run?.machine ?? (isSetup ? spec.machine : null);
  const values = maskedValues(state, job, machine);
  const secrets = Object.fromEntries(job.spec.secrets.map((name) => [name, SECRET_MASK]));
  const outcome = outcomeOf(job.state);
  const step = stepOf(job.state);
  return {
    jid: job.jid,
    kind: spec.kind,
    status: statusOf(job.state),
    class: job.spec.class,
    cmd: job.spec.cmd,
    cmds: isSetup ? spec.cmds.slice() : null,
    // Of a setup job that of the command under way, the last one once it has ended.
    command_line: substitute(commandOf(spec, step === undefined ? null : { step }), values),
    machine,
    matrix: job.matrix?.id ?? null,
    tag: job.tag,
    attempt: job.attempt,
    retry_of: job.retryOf,
    retried_by: job.retriedBy,
    variables: { ...jobVariables(state, job), ...secrets },
    cp_results: job.spec.copyTo === null ? null : substitute(job.spec.copyTo, values),
    results: outcome.prefixes.slice(),
    results_path: outcome.resultsPath,
    files: outcome.files,
    exit_code: outcome.exitCode,
    signal: outcome.exitCode === null ? null : signalName(outcome.exitCode),
    error: outcome.error === null ? null : wireProblem(outcome.error),
    warning: outcome.warning === null ? null : wireProblem(outcome.warning),
    log: run?.log ?? null,
    err_log: run?.errLog ?? null,
    ...(isSetup ? { cmd_logs: commandLogs(job).map(({ log, errLog }) => ({ log, err_log: errLog })) } : {}),
    timeout: job.timeoutSeconds,
    notify: job.spec.notify,
    created: isoTime(job.created),
    started: outcome.startedAt === null ? null : isoTime(outcome.startedAt),
    ended: outcome.endedAt === null ? null : isoTime(outcome.endedAt),
    duration: outcome.startedAt === null ? null : Math.max(0, (outcome.endedAt ?? now) - outcome.startedAt) / 1_000,
  };
}

/** A job as `job.logs` names it: a setup job has an entry for each command that has begun. */
export function logEntries(job: Job): Result<"job.logs">["logs"] {
  const { jid } = job;
  const status = statusOf(job.state);
  const logs = commandLogs(job);
  if (logs.length === 0) return [{ jid, status, log: null, err_log: null }];
  const isSetup = job.spec.kind === "setup";
  return logs.map(({ log, errLog }, index) => ({ jid, status, ...(isSetup ? { command: index + 1 } : {}), log, err_log: errLog }));
}

/** The logs of a setup job's commands that have begun, in order; of any other job the one it has. */
function commandLogs({ state }: Job): readonly StepLog[] {
  const run = runOf(state);
  const earlier = stepOf(state)?.earlier ?? [];
  // A later command that is being started has no log yet, and may have to wait.
  return run === null || (state.kind === "starting" && earlier.length > 0) ? earlier : [...earlier, run];
}

export function statusOf(state: JobState): JobStatus {
  return state.kind === "starting" ? "running" : state.kind;
}

export function isoTime(at: number): string {
  return new Date(at).toISOString();
}

export function wireProblem(problem: Problem): { code: string; data: Record<string, string> } {
  return { code: problem.code, data: { ...problem.data } };
}

interface Outcome {
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  readonly exitCode: number | null;
  readonly prefixes: readonly string[];
  readonly resultsPath: string | null;
  readonly files: WireJob["files"];
  readonly error: Problem | null;
  readonly warning: Problem | null;
}

const NOTHING_YET: Outcome = {
  startedAt: null,
  endedAt: null,
  exitCode: null,
  prefixes: [],
  resultsPath: null,
  files: null,
  error: null,
  warning: null,
};

function outcomeOf(state: JobState): Outcome {
  switch (state.kind) {
    case "held":
      return NOTHING_YET;
    case "starting":
      return { ...NOTHING_YET, startedAt: state.run.step?.startedAt ?? null };
    case "waiting":
      return { ...NOTHING_YET, warning: state.problem };
    case "running":
      return { ...NOTHING_YET, startedAt: state.startedAt };
    case "copying":
      return { ...NOTHING_YET, startedAt: state.startedAt, endedAt: state.exitedAt, exitCode: 0, prefixes: state.prefixes };
    case "done": {
      const { startedAt, endedAt, prefixes, results, warning } = state;
      const files = results?.files?.map((file) => ({ ...file })) ?? null;
      return { startedAt, endedAt, exitCode: 0, prefixes, resultsPath: results?.path ?? null, files, error: null, warning };
    }
    case "failed": {
      const { startedAt, endedAt, exitCode, prefixes } = state;
      const error = state.resultsNotCopied
        ? { ...state.problem, data: { ...state.problem.data, results_not_copied: "yes" } }
        : state.problem;
      return { ...NOTHING_YET, startedAt, endedAt, exitCode, prefixes, error };
    }
    case "canceled":
      return { ...NOTHING_YET, startedAt: state.startedAt, endedAt: state.endedAt, exitCode: state.exitCode, error: state.problem };
    case "unknown":
      return { ...NOTHING_YET, startedAt: state.startedAt, error: state.problem };
  }
}
