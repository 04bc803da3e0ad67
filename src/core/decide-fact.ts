/** Rules for what the daemon observes. A fact that no longer fits (a late one, of an earlier run) makes nothing happen. */
import { type Context, type Fact, REQUEST_KEPT_MS } from "./command.ts";
import type { Event } from "./event.ts";
import type { Job, RunningState } from "./job.ts";
import { runOf } from "./job.ts";
import { type Problem, problem } from "./problem.ts";
import { backOffMs, countsAgainstMachine, mayRetry, type RetryLimits } from "./retry.ts";
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
      return [{ kind: "jobs-archived", jids, requestsBefore: context.now - REQUEST_KEPT_MS }];
    }
    case "results-changed": {
      const { jid } = fact.job;
      const known = state.jobs.get(jid);
      const ended = (known ?? fact.job).state;
      // A command that failed stays failed, whatever can be fetched of it.
      const complete = ended.kind === "done" || (ended.kind === "failed" && ended.resultsNotCopied);
      if (!complete) return [];
      const recalled: readonly Event[] = known === undefined ? [{ kind: "job-recalled", job: fact.job }] : [];
      return [...recalled, { kind: "job-results-changed", at: context.now, jid, results: fact.results }];
    }
    case "machine-unreachable":
      return unreachableEvents(state, fact.addr, fact.problem, context);
    case "machine-reachable":
      return machineAt(state, fact.addr)?.health.kind === "unreachable"
        ? [{ kind: "machine-recovered", at: context.now, addr: fact.addr }]
        : [];
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

function runFactEvents(state: State, job: Job, fact: RunFact, context: Context): readonly Event[] {
  const { jid } = job;
  const { now } = context;
  switch (fact.kind) {
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
    return canceledEvents(job, { at, exitCode, problem: problem(code) });
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
  if (spec.copyTo === null) return [{ kind: "job-done", at, jid, prefixes, results: null, warning: exit.invalidLine }];
  if (exit.invalidLine !== null) return [copyFailure(job, prefixes, exit.invalidLine, at)];
  if (prefixes.length === 0) return [{ kind: "job-done", at, jid, prefixes, results: null, warning: problem("results-none-named") }];
  return [{ kind: "job-copying", at, jid, prefixes }];
}

interface Failure {
  readonly machine: string;
  readonly at: number;
  readonly exitCode: number;
  readonly prefixes: readonly string[];
  readonly problem: Problem;
}

/** The failure, the machine's share of it, the retry and, with the last straw, the quarantine. */
function failureEvents(state: State, job: Job, failure: Failure, context: Context): readonly Event[] {
  const { machine: addr, ...rest } = failure;
  const counted = countsAgainstMachine(state.templates.get(job.spec.cmd), addr);
  const notBefore = context.now + backOffMs(job.attempt, backOffLimits(job, context));
  const failed: Event = {
    kind: "job-failed",
    jid: job.jid,
    ...rest,
    resultsNotCopied: false,
    countsAgainstMachine: counted,
    retry: mayRetry(job) ? { jid: state.nextId, notBefore } : null,
  };
  const machine = machineAt(state, addr);
  if (machine === undefined || !counted || machine.health.kind === "quarantined" || machine.assignment.kind === "leaving") return [failed];
  const failures = [...machine.failures, { jid: job.jid, at: failure.at, exitCode: failure.exitCode }];
  if (failures.length < context.limits.quarantineAfterFailures) return [failed];
  return [failed, { kind: "machine-quarantined", at: context.now, addr, reason: { kind: "failures", failures } }];
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
