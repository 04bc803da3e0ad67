/** Rules for what the daemon observes. A fact that no longer fits (a late one, of an earlier run) makes nothing happen. */

import { applyAll } from "./apply.ts";
import { countsAgainstMachine, isLastOfClass, isOneUnprovenCommand, takenBack } from "./blame.ts";
import { type Context, type Fact, REQUEST_KEPT_MS } from "./command.ts";
import type { Event } from "./event.ts";
import type { Job, RunningState, SetupSpec } from "./job.ts";
import { allLogsOf, isEnded, runOf } from "./job.ts";
import { NO_CLASS } from "./machine.ts";
import { type Problem, problem } from "./problem.ts";
import { backOffMs, mayRetry, type RetryLimits } from "./retry.ts";
import { signalName } from "./signal.ts";
import { machineAt, type State } from "./state.ts";

type RunFact = Extract<Fact, { readonly runId: string }>;
type RunningJob = Job & { readonly state: RunningState };
type Exit = Extract<Fact, { readonly kind: "run-exited" }>;

export function decideFact(state: State, fact: Fact, context: Context): readonly Event[] {
  switch (fact.kind) {
    case "back-off-over": {
      const job = state.jobs.get(fact.jid);
      const due = job?.state.kind === "waiting" && job.state.notBefore !== null;
      return due ? [{ kind: "job-due", at: context.now, jid: fact.jid }] : [];
    }
    case "jobs-in-history": {
      const jids = fact.jobs.filter((job) => state.jobs.get(job.jid) === job).map((job) => job.jid);
      const requestsBefore = context.now - REQUEST_KEPT_MS;
      if (fact.more === true) return [{ kind: "jobs-archived", jids, requestsBefore: 0 }];
      if (fact.requests === undefined) return [{ kind: "jobs-archived", jids, requestsBefore }];
      const requests = fact.requests.filter((id) => (state.requests.get(id)?.at ?? requestsBefore) < requestsBefore);
      return [{ kind: "jobs-archived", jids, requestsBefore: 0, requests }];
    }
    case "results-changed": {
      const { jid } = fact.job;
      const known = state.jobs.get(jid);
      const ended = (known ?? fact.job).state;
      // A command that failed stays failed, whatever can be fetched of it.
      const complete = ended.kind === "done" || (ended.kind === "failed" && ended.resultsNotCopied);
      if (!complete) return [];
      const recordNow = ended.kind === "done" ? (ended.results?.record ?? null) : null;
      if (fact.recordBefore !== undefined && fact.recordBefore !== recordNow) return [];
      const warning = fact.warning === undefined ? {} : { warning: fact.warning };
      return [...recalledEvents(state, fact.job), { kind: "job-results-changed", at: context.now, jid, results: fact.results, ...warning }];
    }
    case "logs-moved": {
      const { jid } = fact.job;
      const { state: ended } = state.jobs.get(jid) ?? fact.job;
      const logs = isEnded(ended) ? allLogsOf(ended) : [];
      const moves = fact.moves.filter(({ from, to }) => from !== to && logs.includes(from));
      return moves.length === 0 ? [] : [...recalledEvents(state, fact.job), { kind: "job-logs-moved", at: context.now, jid, moves }];
    }
    case "machine-unreachable":
      return unreachableEvents(state, fact.addr, fact.problem, context);
    case "machine-reachable":
      return machineAt(state, fact.addr)?.health.kind === "unreachable"
        ? [{ kind: "machine-recovered", at: context.now, addr: fact.addr }]
        : [];
    case "run-host-known":
    case "run-started":
    case "run-not-started":
    case "run-exited":
    case "run-lost":
    case "run-found":
    case "results-copied":
    case "results-failed":
    case "timeout-reached": {
      const job = state.jobs.get(fact.jid);
      return job === undefined || runOf(job.state)?.runId !== fact.runId ? [] : runFactEvents(state, job, fact, context);
    }
  }
}

/** An ended job that left the memory is brought back first. */
function recalledEvents(state: State, job: Job): readonly Event[] {
  return state.jobs.has(job.jid) ? [] : [{ kind: "job-recalled", job }];
}

function runFactEvents(state: State, job: Job, fact: RunFact, context: Context): readonly Event[] {
  const { jid } = job;
  const { now } = context;
  switch (fact.kind) {
    case "run-host-known": {
      const { machineBootId } = fact;
      if (job.state.kind !== "starting" || job.state.run.machineBootId === machineBootId) return [];
      return [{ kind: "job-host-known", at: now, jid, machineBootId }];
    }
    case "run-started":
      return job.state.kind === "starting" ? [{ kind: "job-started", at: fact.at, jid }] : [];
    case "run-not-started":
      return notStartedEvents(state, job, fact.problem, context);
    case "run-exited":
      return exitEvents(state, job, fact, context);
    case "run-lost": {
      // Nothing of it runs any more: it stays unknown, its machine is free.
      if (job.state.kind === "unknown" && !(job.state.holdsMachine && fact.sessionEmpty)) return [];
      if (job.state.kind !== "starting" && job.state.kind !== "running" && job.state.kind !== "unknown") return [];
      // A person who asked for it to stop and a session without processes: that is the end.
      const asked = job.state.stop !== null && job.state.stop.cause !== "timeout";
      if (asked && fact.sessionEmpty) return canceledEvents(job, { at: now, exitCode: null, problem: fact.problem });
      return [{ kind: "job-lost", at: now, jid, problem: fact.problem, machineFree: fact.sessionEmpty }];
    }
    case "run-found":
      if (job.state.kind === "starting") return [{ kind: "job-started", at: fact.startedAt, jid }];
      return job.state.kind === "unknown" && job.state.holdsMachine ? [{ kind: "job-found", at: now, jid, startedAt: fact.startedAt }] : [];
    case "results-copied":
      if (job.state.kind !== "copying") return [];
      return [{ kind: "job-done", at: now, jid, prefixes: job.state.prefixes, results: fact.results, warning: fact.warning }];
    case "results-failed":
      return job.state.kind === "copying" ? [copyFailure(job, job.state.prefixes, fact.problem, now)] : [];
    case "timeout-reached":
      if (job.state.kind !== "running" || job.state.stop !== null) return [];
      return [{ kind: "job-stop-requested", jid, stop: { cause: "timeout", at: now, forget: false } }];
  }
}

/** The exit of a run, whatever we last knew of it: a missed start is filled in first. */
function exitEvents(state: State, job: Job, exit: Exit, context: Context): readonly Event[] {
  const startedAt = exit.startedAt ?? exit.at;
  switch (job.state.kind) {
    case "starting": {
      const started: RunningState = { kind: "running", run: job.state.run, startedAt, stop: job.state.stop };
      return [{ kind: "job-started", at: startedAt, jid: job.jid }, ...runningExitEvents(state, { ...job, state: started }, exit, context)];
    }
    case "unknown": {
      if (!job.state.holdsMachine) return [];
      const found: RunningState = { kind: "running", run: job.state.run, startedAt, stop: job.state.stop };
      return [
        { kind: "job-found", at: context.now, jid: job.jid, startedAt },
        ...runningExitEvents(state, { ...job, state: found }, exit, context),
      ];
    }
    case "running":
      return runningExitEvents(state, { ...job, state: job.state }, exit, context);
    case "waiting":
    case "held":
    case "copying":
    case "done":
    case "failed":
    case "canceled":
      return [];
  }
}

/** @param job running, or as it would be had its start been seen */
function runningExitEvents(state: State, job: RunningJob, exit: Exit, context: Context): readonly Event[] {
  const { at, exitCode, prefixes } = exit;
  const { jid, spec, state: running } = job;
  if (running.stop !== null && running.stop.cause !== "timeout") {
    const code = running.stop.cause === "user" ? "canceled" : "machine-removed";
    const canceled = canceledEvents(job, { at, exitCode, problem: problem(code) });
    if (spec.kind !== "setup" || running.stop.cause !== "user") return canceled;
    return [...canceled, ...halfSetUp(state, job, { at: context.now, data: { ...whereIn(job, spec), canceled: "yes" } })];
  }
  if (running.stop !== null) {
    const timedOut = problem("timed-out", { seconds: String(job.timeoutSeconds ?? 0) });
    return failureEvents(state, job, { machine: running.run.machine, at, exitCode, prefixes, problem: timedOut }, context);
  }
  if (exitCode !== 0) {
    const signal = signalName(exitCode);
    const failed = problem("nonzero-exit", { exit_code: String(exitCode), ...(signal === null ? {} : { signal }) });
    return failureEvents(state, job, { machine: running.run.machine, at, exitCode, prefixes, problem: failed }, context);
  }
  if (spec.kind === "setup" && commandIndex(job) + 1 < spec.cmds.length) return [advanced(job, exit, context)];
  if (spec.copyTo === null) return [{ kind: "job-done", at, jid, prefixes, results: null, warning: exit.invalidLine }];
  if (exit.invalidLine !== null) return [copyFailure(job, prefixes, exit.invalidLine, at)];
  if (prefixes.length === 0) return [{ kind: "job-done", at, jid, prefixes, results: null, warning: problem("results-none-named") }];
  return [{ kind: "job-copying", at, jid, prefixes }];
}

function commandIndex(job: RunningJob): number {
  return job.state.run.step?.command ?? 0;
}

/** The next command of a setup job. Its machine stays with it. */
function advanced(job: RunningJob, { at, nextRun }: Exit, context: Context): Event {
  if (nextRun === undefined) throw new Error(`job ${job.jid} has another command, and no run for it`);
  const { run, startedAt } = job.state;
  const earlier = [...(run.step?.earlier ?? []), { log: run.log, errLog: run.errLog }];
  const step = { command: commandIndex(job) + 1, startedAt: run.step?.startedAt ?? startedAt, earlier };
  return {
    kind: "job-advanced",
    at,
    jid: job.jid,
    run: { ...nextRun, ...(context.bootId === null ? {} : { bootId: context.bootId }), step },
    bootId: context.bootId,
  };
}

interface Failure {
  readonly machine: string;
  readonly at: number;
  readonly exitCode: number;
  readonly prefixes: readonly string[];
  readonly problem: Problem;
}

/** The failure, the machine's share of it, the retry and, with the last straw, the quarantine. */
function failureEvents(state: State, job: RunningJob, failure: Failure, context: Context): readonly Event[] {
  const { machine: addr, ...rest } = failure;
  if (job.spec.kind === "setup") return setupFailureEvents(state, { job, spec: job.spec, failure }, context);
  const counted = countsAgainstMachine(state, job, addr);
  const notBefore = context.now + backOffMs(job.attempt, backOffLimits(job, context));
  const failed: Event = {
    kind: "job-failed",
    jid: job.jid,
    ...rest,
    resultsNotCopied: false,
    countsAgainstMachine: counted,
    retry: mayRetry(job) ? { jid: state.nextId, notBefore } : null,
  };
  // A start whose exit came first is not written down yet: as it will be when the failure is.
  const started: readonly Event[] = startEvents(state, job);
  const after = applyAll(state, [...started, failed]);
  if (!counted) return [failed, ...exonerations(state, after, job, context)];
  const machine = machineAt(after, addr);
  if (machine === undefined || machine.health.kind === "quarantined" || machine.assignment.kind === "leaving") return [failed];
  const { failures } = machine;
  if (failures.length < context.limits.quarantineAfterFailures) return [failed];
  if (isLastOfClass(after, machine) && isOneUnprovenCommand(after, job, failures, machine)) return [failed];
  const reason = { kind: "failures", failures: failures.slice(-context.limits.quarantineAfterFailures) } as const;
  return [failed, { kind: "machine-quarantined", at: context.now, addr, reason }];
}

/** What has to be applied before `job` is the one in the state. */
function startEvents(state: State, job: RunningJob): readonly Event[] {
  const known = state.jobs.get(job.jid)?.state;
  const { startedAt } = job.state;
  if (known?.kind === "starting") return [{ kind: "job-started", at: startedAt, jid: job.jid }];
  return known?.kind === "unknown" ? [{ kind: "job-found", at: startedAt, jid: job.jid, startedAt }] : [];
}

/** Machines in quarantine for failures that turn out to be the command's own come back. */
function exonerations(before: State, after: State, job: Job, { now, limits }: Context): readonly Event[] {
  const isTakenBack = takenBack(after, job);
  const events: Event[] = [];
  for (const { addr, health } of before.machines.values()) {
    if (health.kind !== "quarantined" || health.reason.kind !== "failures") continue;
    const stand = health.reason.failures.filter((failure) => !isTakenBack(failure));
    if (stand.length < Math.min(health.reason.failures.length, limits.quarantineAfterFailures)) {
      events.push({ kind: "machine-recovered", at: now, addr });
    }
  }
  return events;
}

/** Half set up is not set up: a machine of the pool gets no job until a person, or another setup, has seen to it. */
function setupFailureEvents(
  state: State,
  { job, spec, failure }: { readonly job: RunningJob; readonly spec: SetupSpec; readonly failure: Failure },
  { now }: Context,
): readonly Event[] {
  const { machine: addr, problem: reason, ...rest } = failure;
  const named = problem(reason.code, { ...reason.data, ...whereIn(job, spec) });
  const failed: Event = {
    kind: "job-failed",
    jid: job.jid,
    ...rest,
    problem: named,
    resultsNotCopied: false,
    countsAgainstMachine: false,
    retry: null,
  };
  return [failed, ...halfSetUp(state, job, { at: now, data: { ...named.data, exit_code: String(failure.exitCode) } })];
}

function whereIn(job: RunningJob, spec: SetupSpec): Readonly<Record<string, string>> {
  const index = commandIndex(job);
  return { command: spec.cmds[index] ?? spec.cmd, command_number: String(index + 1), command_count: String(spec.cmds.length) };
}

function halfSetUp(state: State, job: RunningJob, cause: { at: number; data: Readonly<Record<string, string>> }): readonly Event[] {
  const addr = job.state.run.machine;
  const machine = machineAt(state, addr);
  if (machine === undefined || machine.class === NO_CLASS || machine.assignment.kind === "leaving") return [];
  const reason = problem("setup-failed", { ...cause.data, jid: String(job.jid), machine: addr });
  return [{ kind: "machine-quarantined", at: cause.at, addr, reason: { kind: "problem", problem: reason } }];
}

/** Not retried, not held against the machine: the command itself succeeded. */
function copyFailure(job: Job, prefixes: readonly string[], reason: Problem, at: number): Event {
  return {
    kind: "job-failed",
    at,
    jid: job.jid,
    exitCode: 0,
    prefixes,
    problem: reason,
    resultsNotCopied: true,
    countsAgainstMachine: false,
    retry: null,
  };
}

function canceledEvents(job: Job, end: { at: number; exitCode: number | null; problem: Problem }): readonly Event[] {
  const forget = "stop" in job.state && job.state.stop?.forget === true;
  const canceled: Event = { kind: "job-canceled", jid: job.jid, ...end };
  return forget ? [canceled, { kind: "job-forgotten", jid: job.jid }] : [canceled];
}

/** Proven not started: back to the queue, or ended when that was asked for. The machine is blamed for what is its own. */
function notStartedEvents(state: State, job: Job, reason: Problem, context: Context): readonly Event[] {
  if (job.state.kind !== "starting") return [];
  const { stop, run } = job.state;
  const { now } = context;
  if (stop !== null)
    return canceledEvents(job, {
      at: now,
      exitCode: null,
      problem: problem(stop.cause === "machine-removed" ? "machine-removed" : "canceled"),
    });
  const notBefore = mayBeItsOwn(reason) ? now + backOffLimits(job, context).backOffFirstMs : null;
  const back: Event = { kind: "job-not-started", at: now, jid: job.jid, notBefore, problem: reason };
  return [...machineEvents(state, run.machine, reason, context), back];
}

function backOffLimits(job: Job, { limits }: Context): RetryLimits {
  return limits.classBackOff[job.spec.class] ?? limits;
}

/** What another try at once would meet again. It waits, so that it does not stand in the way of the jobs behind it. */
function mayBeItsOwn({ code, data }: Problem): boolean {
  if (code === "command-too-long" || code === "secret-missing") return true;
  return code === "start-failed" && (data.machine !== undefined || data.reason === "command");
}

const REACH_PROBLEMS: readonly string[] = [
  "unreachable",
  "authentication-refused",
  "agent-unreachable",
  "shell-unusable",
  "ssh-config-invalid",
];
/** The machine's own when they name it; else of the server's host, which pauses all starting. */
const PLACE_PROBLEMS: readonly string[] = ["run-directory-failed", "no-space", "start-failed"];

function machineEvents(state: State, addr: string, reason: Problem, context: Context): readonly Event[] {
  const itsOwn = PLACE_PROBLEMS.includes(reason.code) && reason.data.machine !== undefined;
  const away = reason.code.startsWith("host-key-") || REACH_PROBLEMS.includes(reason.code);
  return itsOwn || away ? unreachableEvents(state, addr, reason, context) : [];
}

/** A wrong host key is a person's decision: quarantined at once. Anything else may pass by itself. */
function unreachableEvents(state: State, addr: string, reason: Problem, context: Context): readonly Event[] {
  const machine = machineAt(state, addr);
  if (machine === undefined || machine.health.kind === "quarantined") return [];
  if (reason.code.startsWith("host-key-")) {
    return [{ kind: "machine-quarantined", at: context.now, addr, reason: { kind: "problem", problem: reason } }];
  }
  const same = machine.health.kind === "unreachable" && machine.health.problem.code === reason.code;
  return same ? [] : [{ kind: "machine-unreachable", at: context.now, addr, problem: reason }];
}
