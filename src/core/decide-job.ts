/** Rules for what people ask of jobs: queue, cancel, hold. */
import { isClassName } from "./address.ts";
import { applyAll } from "./apply.ts";
import type { AddJobs, AddMatrix, Context, UserCommand } from "./command.ts";
import { accepted, type Decision, refused } from "./decision.ts";
import type { Event } from "./event.ts";
import { isEnded, type Job, type JobSpec, type StopRequest } from "./job.ts";
import { cellCount, type MatrixKey } from "./matrix.ts";
import { isVariableName } from "./names.ts";
import { placeholderNames, substitutedLength } from "./placeholders.ts";
import { problem } from "./problem.ts";
import { machineAt, type State } from "./state.ts";
import { captureVariables } from "./variables.ts";

type JobCommand = Extract<
  UserCommand,
  { readonly kind: "add-jobs" | "add-matrix" | "cancel-jobs" | "hold-jobs" | "unhold-jobs" | "set-timeout" | "tag-jobs" }
>;
type PerJob = Extract<JobCommand, { readonly jids: readonly number[] }>;

export function decideJobCommand(state: State, command: JobCommand, context: Context): Decision {
  switch (command.kind) {
    case "add-jobs":
      return decideAdd(state, command, context);
    case "add-matrix":
      return decideMatrix(state, command, context);
    case "cancel-jobs":
      return decideCancel(state, command, context);
    case "hold-jobs":
      return perJob(state, command, (job) =>
        job.state.kind === "waiting" ? [{ kind: "job-held", at: context.now, jid: job.jid }] : "job-not-waiting",
      );
    case "unhold-jobs":
      return perJob(state, command, (job) =>
        job.state.kind === "held" ? [{ kind: "job-unheld", at: context.now, jid: job.jid }] : "job-not-held",
      );
    case "set-timeout": {
      const { timeoutSeconds } = command;
      return perJob(state, command, (job) => {
        if (isEnded(job.state) || job.state.kind === "copying") return "job-over";
        return job.timeoutSeconds === timeoutSeconds ? [] : [{ kind: "job-timeout-set", at: context.now, jid: job.jid, timeoutSeconds }];
      });
    }
    case "tag-jobs":
      return decideTag(state, command, context);
  }
}

function decideAdd(state: State, command: AddJobs, context: Context): Decision {
  const { tag, count, timeoutSeconds } = command;
  if (tag !== null && !state.tags.has(tag)) return refused("no-such-tag", { id: tag });
  const spec = specOf(state, command, { keys: [], context });
  if (spec.kind === "refused") return spec.decision;
  const overflow = queueOverflow(state, count, context);
  if (overflow !== null) return overflow;
  const first = state.nextId;
  return accepted([{ kind: "jobs-added", at: context.now, first, count, spec: spec.spec, timeoutSeconds, tag }], {
    kind: "jobs",
    first,
    count,
  });
}

function decideMatrix(state: State, command: AddMatrix, context: Context): Decision {
  const { keys, count: repeats, timeoutSeconds } = command;
  const names = keys.map((key) => key.name);
  const bad = names.find((name) => !isVariableName(name));
  if (bad !== undefined) return refused("bad-variable-name", { name: bad });
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) return refused("bad-matrix", { reason: "name-twice", name: twice });
  const empty = keys.find((key) => key.values.length === 0);
  if (empty !== undefined || keys.length === 0) return refused("bad-matrix", { reason: "no-values", name: empty?.name ?? "" });
  const spec = specOf(state, command, { keys, context });
  if (spec.kind === "refused") return spec.decision;
  const count = cellCount(keys, repeats);
  const overflow = queueOverflow(state, count, context);
  if (overflow !== null) return overflow;
  const id = state.nextId;
  const first = id + 1;
  return accepted([{ kind: "matrix-added", at: context.now, id, first, keys, repeats, spec: spec.spec, timeoutSeconds }], {
    kind: "matrix",
    id,
    first,
    count,
  });
}

type SpecOutcome = { readonly kind: "spec"; readonly spec: JobSpec } | { readonly kind: "refused"; readonly decision: Decision };

function specOf(state: State, command: AddJobs | AddMatrix, given: { keys: readonly MatrixKey[]; context: Context }): SpecOutcome {
  const { cmd, copyTo, retry, notify } = command;
  const matrixNames = given.keys.map((key) => key.name);
  if (!isClassName(command.class)) return { kind: "refused", decision: refused("bad-class-name", { class: command.class }) };
  if (cmd.trim() === "") return { kind: "refused", decision: refused("bad-command", { reason: "empty" }) };
  if (cmd.includes("\0")) return { kind: "refused", decision: refused("bad-command", { reason: "nul" }) };
  const { variables, secrets } = captureVariables(state, [cmd, copyTo ?? ""], matrixNames);
  // A folder's name is seen by everyone who lists it.
  const exposed = secrets.find((name) => placeholderNames(copyTo ?? "").includes(name));
  if (exposed !== undefined) return { kind: "refused", decision: refused("bad-placeholder", { name: exposed, reason: "secret-in-path" }) };
  const max = given.context.limits.commandLineCharactersMax;
  if (charactersMax(command, variables, given.keys) > max) {
    return { kind: "refused", decision: refused("limit-exceeded", { what: "command-line", max }) };
  }
  return { kind: "spec", spec: { kind: "job", class: command.class, cmd, copyTo, retry, notify, variables, secrets } };
}

/** Of the longest command line that a job of it can have, with all that it remembers. */
function charactersMax(command: AddJobs | AddMatrix, variables: Readonly<Record<string, string>>, keys: readonly MatrixKey[]): number {
  const lengths = new Map(Object.entries(variables).map(([name, value]) => [name, value.length]));
  for (const key of keys) lengths.set(key.name, Math.max(...key.values.map((value) => value.length)));
  let characters = substitutedLength(command.cmd, lengths) + substitutedLength(command.copyTo ?? "", lengths);
  for (const length of lengths.values()) characters += length;
  return characters;
}

/** An ended job of the past is brought back only when something happens to it: one that is named by another command is left where it is. */
function decideCancel(state: State, command: Extract<JobCommand, { kind: "cancel-jobs" }>, context: Context): Decision {
  const { recalls, known } = withRecalled(state, command.recalled);
  // A job may be named itself and be the retry of another that is named: it is stopped once.
  const stopped = new Set<number>();
  const stopOnce = (job: Job): readonly Event[] => {
    if (stopped.has(job.jid)) return [];
    stopped.add(job.jid);
    return stopEvents(known, job, { cause: "user", at: context.now, forget: command.forget });
  };
  return perJob(known, command, (job) => {
    if (!isEnded(job.state)) return stopOnce(job);
    const retry = liveRetry(known, job);
    if (retry === null && !command.forget) return "job-ended";
    const forgotten: readonly Event[] = command.forget ? [...(recalls.get(job.jid) ?? []), { kind: "job-forgotten", jid: job.jid }] : [];
    return [...(retry === null ? [] : stopOnce(retry)), ...forgotten];
  });
}

function decideTag(state: State, command: Extract<JobCommand, { kind: "tag-jobs" }>, context: Context): Decision {
  const { tag } = command;
  if (tag !== null && !state.tags.has(tag)) return refused("no-such-tag", { id: tag });
  const { recalls, known } = withRecalled(state, command.recalled);
  return perJob(known, command, (job) => {
    if (job.tag === tag) return [];
    return [...(recalls.get(job.jid) ?? []), { kind: "job-tagged", at: context.now, jid: job.jid, tag }];
  });
}

/** The state with the ended jobs that were read from history, and for each what brings it back when something is done to it. */
function withRecalled(
  state: State,
  jobs: readonly Job[],
): { readonly recalls: ReadonlyMap<number, readonly Event[]>; readonly known: State } {
  const recalls = new Map<number, readonly Event[]>();
  for (const job of jobs) if (!state.jobs.has(job.jid)) recalls.set(job.jid, [{ kind: "job-recalled", job }]);
  return { recalls, known: applyAll(state, [...recalls.values()].flat()) };
}

export function queueOverflow(state: State, added: number, context: Context): Decision | null {
  const { waiting, held, running, copying, unknown } = state.counts;
  const max = context.limits.queuedJobsMax;
  if (waiting + held + running + copying + unknown + added <= max) return null;
  return refused("limit-exceeded", { what: "queued-jobs", max });
}

/** Does all it can; each job that refuses is named in the answer. */
function perJob(state: State, command: PerJob, eventsOf: (job: Job) => readonly Event[] | string): Decision {
  const events: Event[] = [];
  const failed: { jid: number; code: string }[] = [];
  for (const jid of new Set(command.jids)) {
    const job = state.jobs.get(jid);
    const outcome = job === undefined ? "no-such-job" : eventsOf(job);
    if (typeof outcome !== "string") events.push(...outcome);
    else if (!command.lenient) failed.push({ jid, code: outcome });
  }
  return accepted(events, { kind: "per-job", failed });
}

/** The attempt that goes on in the job's name. */
export function liveRetry(state: State, job: Job): Job | null {
  for (let next = job.retriedBy; next !== null; ) {
    const retry = state.jobs.get(next);
    if (retry === undefined) return null;
    if (!isEnded(retry.state)) return retry;
    next = retry.retriedBy;
  }
  return null;
}

/** What stops a job that has not ended. For one that runs the terminal fact follows the observed death. */
export function stopEvents(state: State, job: Job, stop: StopRequest): readonly Event[] {
  const earlier = job.state.kind === "starting" || job.state.kind === "running" ? job.state.stop : null;
  // Who asked once that it be forgotten need not ask again.
  const forget = stop.forget || earlier?.forget === true;
  const canceled = (code: "canceled" | "machine-removed" | "processes-may-still-run"): readonly Event[] => [
    { kind: "job-canceled", at: stop.at, jid: job.jid, exitCode: null, problem: problem(code) },
    ...(forget ? [{ kind: "job-forgotten", jid: job.jid } as const] : []),
  ];
  switch (job.state.kind) {
    case "waiting":
    case "held":
    case "copying":
      return canceled(stop.cause === "machine-removed" ? "machine-removed" : "canceled");
    case "unknown":
      return canceled("processes-may-still-run");
    case "starting":
    case "running": {
      const again = stop.cause === "user" && earlier !== null && earlier.cause !== "timeout";
      if (again && !isReachable(state, job.state.run.machine)) return canceled("processes-may-still-run");
      // The grace time before KILL runs from the first time.
      const at = Math.min(stop.at, earlier?.at ?? stop.at);
      return [{ kind: "job-stop-requested", jid: job.jid, stop: { ...stop, at, forget } }];
    }
    case "done":
    case "failed":
    case "canceled":
      return [];
  }
}

/** A wrong host key quarantines a machine, and nothing is sent to it any more. */
function isReachable(state: State, addr: string): boolean {
  const health = machineAt(state, addr)?.health;
  if (health === undefined || health.kind === "unreachable") return false;
  return health.kind === "ok" || health.reason.kind === "failures";
}
