/**
 * The one reducer: running and replaying are the same function. Total over events; an event that does not
 * fit the state is a defect or damage and throws IllegalEvent, because guessing would lose jobs.
 */

import { addCounts, addJobs, archiveJobs, changeJob, forgetJob, recallJob, tagJob } from "./apply-job.ts";
import { addMachine, moveMachine, occupy, recordFailure, recordSuccess, release, removeMachine, setHealth } from "./apply-machine.ts";
import { ensureMachine, joinClass, leaveSetup } from "./apply-setup.ts";
import type { Event, JobFailed, JobsAdded, LogMove, MatrixAdded } from "./event.ts";
import type { EndedState, Job, JobState, Run, Step, StepLog } from "./job.ts";
import { isEnded, occupiedMachine, stepOf } from "./job.ts";
import { cellCount } from "./matrix.ts";
import type { State } from "./state.ts";
import { type JobEvent, nextKind } from "./transitions.ts";

export class IllegalEvent extends Error {
  override readonly name = "IllegalEvent";
}

export function apply(state: State, event: Event): State {
  switch (event.kind) {
    case "machines-added":
      return event.addrs.reduce((next, addr) => addMachine(next, addr, event.class, event.at), state);
    case "machine-moved":
      return moveMachine(state, event.addr, event.class, event.at);
    case "machine-removed":
      return removeMachine(state, event.addr, event.at);
    case "machine-quarantined":
      return setHealth(state, event.addr, { kind: "quarantined", since: event.at, reason: event.reason }, event.at);
    case "machine-unreachable":
      return setHealth(state, event.addr, { kind: "unreachable", since: event.at, problem: event.problem }, event.at);
    case "machine-recovered":
      return setHealth(state, event.addr, { kind: "ok" }, event.at);
    case "variable-set":
      return { ...state, variables: state.variables.set(event.variable.name, event.variable) };
    case "variable-removed":
      return { ...state, variables: state.variables.delete(event.name) };
    case "jobs-added":
      return applyJobsAdded(state, event);
    case "matrix-added":
      return applyMatrixAdded(state, event);
    case "tag-added":
      return {
        ...state,
        tags: state.tags.set(event.id, { id: event.id, created: event.at, jids: [] }),
        nextId: Math.max(state.nextId, event.id + 1),
      };
    case "job-tagged":
      return tagJob(state, jobFor(state, event), event.tag);
    case "job-timeout-set": {
      const job = jobFor(state, event);
      return { ...state, jobs: state.jobs.set(job.jid, { ...job, timeoutSeconds: event.timeoutSeconds }) };
    }
    case "line-set":
      return { ...state, line: event.after };
    case "job-recalled":
      return recallJob(state, event.job);
    case "jobs-archived":
      return archiveJobs(state, event);
    case "request-answered":
      return { ...state, requests: state.requests.set(event.id, { id: event.id, at: event.at, answer: event.answer }) };
    case "job-forgotten":
      return forgetJob(state, jobFor(state, event));
    case "job-held":
    case "job-unheld":
    case "job-due":
    case "job-starting":
    case "job-host-known":
    case "job-started":
    case "job-not-started":
    case "job-stop-requested":
    case "job-advanced":
    case "job-copying":
    case "job-done":
    case "job-failed":
    case "job-canceled":
    case "job-lost":
    case "job-found":
    case "job-results-changed":
    case "job-logs-moved":
      return applyJobEvent(state, event);
  }
}

export function applyAll(state: State, events: readonly Event[]): State {
  return events.reduce(apply, state);
}

type StateChange = Exclude<JobEvent, { readonly kind: "job-forgotten" | "job-tagged" | "job-timeout-set" }>;

function applyJobEvent(state: State, event: StateChange): State {
  const job = jobFor(state, event);
  const after: Job = { ...job, state: stateAfter(job.state, event) };
  let next = changeJob(state, job, after);

  const held = occupiedMachine(job.state);
  const holds = occupiedMachine(after.state);
  if (held !== null && holds === null) next = release(next, held, job.jid, atOf(event));
  if (held === null && holds !== null) next = occupy(next, holds, job.jid, atOf(event));

  if (job.spec.kind === "setup") {
    if (event.kind === "job-done") next = joinClass(next, job.spec, event.at);
    return isEnded(after.state) ? leaveSetup(next, after) : next;
  }
  if (event.kind === "job-done" && held !== null) next = recordSuccess(next, held, job);
  if (event.kind === "job-failed" && held !== null) next = applyFailure(next, after, held, event);
  return next;
}

function atOf(event: StateChange): number {
  return event.kind === "job-stop-requested" ? event.stop.at : event.at;
}

/** The job of the event, checked against the table of transitions. */
function jobFor(state: State, event: JobEvent): Job {
  const job = state.jobs.get(event.jid);
  if (job === undefined) throw new IllegalEvent(`${event.kind} names job ${event.jid}, which is not there`);
  if (nextKind(job.state.kind, event.kind) === null) {
    throw new IllegalEvent(`${event.kind} does not fit job ${event.jid}, which is ${job.state.kind}`);
  }
  return job;
}

function stateAfter(state: JobState, event: StateChange): JobState {
  switch (event.kind) {
    case "job-held":
      return { kind: "held", since: event.at, ...behindIt(state) };
    case "job-unheld":
    case "job-due": {
      const problem = state.kind === "waiting" ? state.problem : null;
      return { kind: "waiting", since: event.at, ...behindIt(state), notBefore: null, problem };
    }
    case "job-starting":
      return { kind: "starting", run: event.run, since: event.at, stop: null, bootId: event.bootId };
    case "job-not-started":
      return { kind: "waiting", since: event.at, ...behindIt(state), notBefore: event.notBefore, problem: event.problem };
    case "job-host-known": {
      if (state.kind !== "starting") throw misfit(state, event);
      return { ...state, run: { ...state.run, machineBootId: event.machineBootId } };
    }
    case "job-started": {
      if (state.kind !== "starting") throw misfit(state, event);
      return { kind: "running", run: state.run, startedAt: firstStart(state.run) ?? event.at, stop: state.stop };
    }
    case "job-advanced": {
      if (state.kind !== "running") throw misfit(state, event);
      return { kind: "starting", run: event.run, since: event.at, stop: state.stop, bootId: event.bootId };
    }
    case "job-stop-requested": {
      if (state.kind !== "starting" && state.kind !== "running") throw misfit(state, event);
      return { ...state, stop: event.stop };
    }
    case "job-copying": {
      if (state.kind !== "running") throw misfit(state, event);
      return { kind: "copying", run: state.run, startedAt: state.startedAt, exitedAt: event.at, prefixes: event.prefixes };
    }
    case "job-found": {
      if (state.kind !== "unknown") throw misfit(state, event);
      return { kind: "running", run: state.run, startedAt: firstStart(state.run) ?? event.startedAt, stop: state.stop };
    }
    case "job-lost": {
      if (state.kind !== "starting" && state.kind !== "running" && state.kind !== "unknown") throw misfit(state, event);
      const startedAt = state.kind === "starting" ? firstStart(state.run) : state.startedAt;
      const { run, stop } = state;
      return { kind: "unknown", run, startedAt, since: event.at, problem: event.problem, holdsMachine: !event.machineFree, stop };
    }
    case "job-done":
    case "job-failed":
    case "job-canceled":
    case "job-results-changed":
      return endedState(state, event);
    case "job-logs-moved":
      if (!isEnded(state)) throw misfit(state, event);
      return withLogsMoved(state, event.moves);
  }
}

type EndingEvent = Extract<StateChange, { kind: "job-done" | "job-failed" | "job-canceled" | "job-results-changed" }>;

function endedState(state: JobState, event: EndingEvent): EndedState {
  switch (event.kind) {
    case "job-done": {
      if (state.kind !== "running" && state.kind !== "copying") throw misfit(state, event);
      const endedAt = state.kind === "copying" ? state.exitedAt : event.at;
      const { prefixes, results, warning } = event;
      return { kind: "done", run: state.run, startedAt: state.startedAt, endedAt, prefixes, results, warning };
    }
    case "job-failed": {
      if (state.kind !== "running" && state.kind !== "copying") throw misfit(state, event);
      const endedAt = state.kind === "copying" ? state.exitedAt : event.at;
      const { exitCode, prefixes, problem, resultsNotCopied } = event;
      return { kind: "failed", run: state.run, startedAt: state.startedAt, endedAt, exitCode, prefixes, problem, resultsNotCopied };
    }
    case "job-canceled": {
      const run = state.kind === "waiting" || state.kind === "held" ? null : "run" in state ? state.run : null;
      const behind = run === null ? behindIt(state) : {};
      const startedAt = "startedAt" in state ? state.startedAt : (stepOf(state)?.startedAt ?? null);
      return { kind: "canceled", run, ...behind, startedAt, endedAt: event.at, exitCode: event.exitCode, problem: event.problem };
    }
    case "job-results-changed": {
      if (state.kind !== "done" && state.kind !== "failed") throw misfit(state, event);
      const { run, startedAt, endedAt, prefixes } = state;
      const warning = event.warning ?? (state.kind === "done" ? state.warning : null);
      return { kind: "done", run, startedAt, endedAt, prefixes, results: event.results, warning };
    }
  }
}

/** A setup job began with its first command. */
function firstStart(run: Run): number | null {
  return run.step?.startedAt ?? null;
}

/** What a setup job has behind it, when it has to wait in the middle. */
function behindIt(state: JobState): { readonly step?: Step } {
  const step = stepOf(state);
  return step === undefined || step.command === 0 ? {} : { step };
}

function withLogsMoved(state: EndedState, moves: readonly LogMove[]): EndedState {
  const places = new Map(moves.map(({ from, to }) => [from, to]));
  const placeOf = (path: string): string => places.get(path) ?? path;
  const pair = ({ log, errLog }: StepLog): StepLog => ({ log: placeOf(log), errLog: placeOf(errLog) });
  const stepped = (step: Step | undefined) => (step === undefined ? {} : { step: { ...step, earlier: step.earlier.map(pair) } });
  if (state.run !== null) return { ...state, run: { ...state.run, ...pair(state.run), ...stepped(state.run.step) } };
  return state.kind === "canceled" ? { ...state, ...stepped(state.step) } : state;
}

function misfit(state: JobState, event: StateChange): IllegalEvent {
  return new IllegalEvent(`${event.kind} does not fit a job that is ${state.kind}`);
}

function applyFailure(state: State, job: Job, machine: string, event: JobFailed): State {
  let next = state;
  if (!event.resultsNotCopied) {
    const counted = event.countsAgainstMachine ? { jid: job.jid, at: event.at, exitCode: event.exitCode } : null;
    next = recordFailure(next, machine, job, counted);
  }
  if (event.retry === null) return next;
  const retry: Job = {
    ...job,
    jid: event.retry.jid,
    attempt: job.attempt + 1,
    retryOf: job.jid,
    retriedBy: null,
    created: event.at,
    state: { kind: "waiting", since: event.at, notBefore: event.retry.notBefore, problem: null },
  };
  next = changeJob(next, job, { ...job, retriedBy: retry.jid });
  return addJobs(next, [retry]);
}

function applyJobsAdded(state: State, event: JobsAdded): State {
  const { spec, matrix } = event;
  const jobs: Job[] = [];
  for (let index = 0; index < event.count; index++) {
    const cell = matrix?.cells[index];
    jobs.push(newJob(event, event.first + index, cell === undefined || matrix === undefined ? null : { id: matrix.id, cell }, event.tag));
  }
  return addJobs(spec.kind === "setup" ? ensureMachine(state, spec.machine, event.at) : state, jobs);
}

function applyMatrixAdded(state: State, event: MatrixAdded): State {
  const { id, keys, repeats, spec, at, first } = event;
  const count = cellCount(keys, repeats);
  const matrix = {
    id,
    class: spec.class,
    cmd: spec.cmd,
    copyTo: spec.copyTo,
    keys,
    repeats,
    created: at,
    jids: [],
    counts: addCounts([]),
  };
  const jobs: Job[] = [];
  for (let cell = 0; cell < count; cell++) jobs.push(newJob(event, first + cell, { id, cell }, null));
  const next = { ...state, matrices: state.matrices.set(id, matrix), nextId: Math.max(state.nextId, id + 1) };
  return addJobs(next, jobs);
}

function newJob(event: JobsAdded | MatrixAdded, jid: number, matrix: Job["matrix"], tag: number | null): Job {
  return {
    jid,
    spec: event.spec,
    matrix,
    tag,
    attempt: 1,
    retryOf: null,
    retriedBy: null,
    timeoutSeconds: event.timeoutSeconds,
    created: event.at,
    state: { kind: "waiting", since: event.at, notBefore: ("notBefore" in event ? event.notBefore : undefined) ?? null, problem: null },
  };
}
