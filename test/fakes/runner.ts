/**
 * A runner that executes nothing: the test ends, loses or cuts off each run itself. It keeps what the
 * interface promises (at most once a run id, the claim of attach), and passes the battery as far as it goes.
 */
import { type Problem, problem } from "../../src/core/problem.ts";
import type {
  AttachOutcome,
  RunEnd,
  RunLog,
  RunName,
  Runner,
  RunRequest,
  StartOutcome,
  StopOutcome,
  StopSignal,
} from "../../src/daemon/runner/runner.ts";

interface FakeRun {
  readonly request: RunRequest;
  readonly startedAt: number;
  /** Whoever holds an `end` of this run: the daemon that started it and those that attached. */
  readonly watchers: ((end: RunEnd) => void)[];
  end: RunEnd | null;
}

/** The hosts behind one or more FakeRunners; survives the daemon, as run directories do. */
export class FakeHosts {
  readonly runs = new Map<string, FakeRun | "withdrawn">();
  readonly unreachable = new Map<string, Problem>();
  readonly refusals = new Map<string, Problem>();
  /** Every request that began, in order: the ledger. */
  readonly begun: RunRequest[] = [];
  /** Every signal that reached a run. */
  readonly signals: { readonly runId: string; readonly signal: StopSignal }[] = [];
  /** A job that ignores TERM goes on after it. */
  readonly ignoringTerm = new Set<string>();

  constructor(readonly now: () => number = Date.now) {}

  /** The program ends. @throws when the run is not running. */
  finish(runId: string, exitCode: number): void {
    this.#end(runId, { kind: "exited", exitCode, at: this.now() });
  }

  lose(
    runId: string,
    cause: Problem = problem("supervisor-gone"),
    more: { readonly sessionEmpty: boolean } = { sessionEmpty: true },
  ): void {
    this.#end(runId, { kind: "lost", problem: cause, ...more });
  }

  /** The machine goes away: its runs go on, but their watchers hear that it is gone. */
  disconnect(machine: string, cause: Problem = problem("unreachable", { machine })): void {
    this.unreachable.set(machine, cause);
    for (const run of this.runs.values()) {
      if (run === "withdrawn" || run.request.machine !== machine) continue;
      for (const watcher of run.watchers.splice(0)) watcher({ kind: "disconnected", problem: cause });
    }
  }

  reconnect(machine: string): void {
    this.unreachable.delete(machine);
  }

  /** Starts on the machine are proven not to happen, until `allow`. */
  refuse(machine: string, cause: Problem): void {
    this.refusals.set(machine, cause);
  }

  allow(machine: string): void {
    this.refusals.delete(machine);
  }

  /** Run ids that run now, in the order of their start. */
  running(): string[] {
    return this.begun.map((request) => request.runId).filter((runId) => this.#running(runId) !== null);
  }

  #running(runId: string): FakeRun | null {
    const run = this.runs.get(runId);
    return run === undefined || run === "withdrawn" || run.end !== null ? null : run;
  }

  #end(runId: string, end: RunEnd): void {
    const run = this.#running(runId);
    if (run === null) throw new Error(`run ${runId} is not running`);
    run.end = end;
    for (const watcher of run.watchers.splice(0)) watcher(end);
  }
}

/** What one daemon holds: a new one on the same hosts is a restarted daemon. */
export class FakeRunner implements Runner {
  constructor(readonly hosts: FakeHosts = new FakeHosts()) {}

  async start(request: RunRequest): Promise<StartOutcome> {
    const { hosts } = this;
    const gone = hosts.unreachable.get(request.machine);
    if (gone !== undefined) return { kind: "uncertain", problem: gone };
    const claimed = hosts.runs.get(request.runId);
    if (claimed === "withdrawn") return { kind: "uncertain", problem: problem("start-failed", { reason: "claimed" }) };
    if (claimed !== undefined) return { kind: "uncertain", problem: problem("start-failed", { reason: "claimed" }) };
    const refusal = hosts.refusals.get(request.machine);
    if (refusal !== undefined) {
      hosts.runs.set(request.runId, "withdrawn");
      return { kind: "not-started", problem: refusal };
    }
    const run: FakeRun = { request, startedAt: hosts.now(), watchers: [], end: null };
    hosts.runs.set(request.runId, run);
    hosts.begun.push(request);
    return { kind: "started", at: run.startedAt, end: endOf(run) };
  }

  async attach(run: RunName, _log: RunLog): Promise<AttachOutcome> {
    const gone = this.hosts.unreachable.get(run.machine);
    if (gone !== undefined) return { kind: "unreachable", problem: gone };
    const known = this.hosts.runs.get(run.runId);
    if (known === undefined || known === "withdrawn") {
      this.hosts.runs.set(run.runId, "withdrawn");
      return { kind: "not-started" };
    }
    const { end, startedAt } = known;
    if (end === null) return { kind: "running", startedAt, end: endOf(known) };
    if (end.kind === "exited") return { ...end, startedAt };
    return end.kind === "lost" ? end : { kind: "unreachable", problem: end.problem };
  }

  async stop(run: RunName, signal: StopSignal): Promise<StopOutcome> {
    const gone = this.hosts.unreachable.get(run.machine);
    if (gone !== undefined) return { kind: "unreachable", problem: gone };
    const known = this.hosts.runs.get(run.runId);
    if (known === undefined || known === "withdrawn" || known.end !== null) return { kind: "signaled", processes: 0 };
    if (signal === "0") return { kind: "signaled", processes: 1 };
    this.hosts.signals.push({ runId: run.runId, signal });
    if (signal === "KILL" || !this.hosts.ignoringTerm.has(run.runId)) this.hosts.finish(run.runId, signal === "KILL" ? 137 : 143);
    return { kind: "signaled", processes: 1 };
  }

  async release(run: RunName): Promise<void> {
    const known = this.hosts.runs.get(run.runId);
    if (known !== undefined && (known === "withdrawn" || known.end !== null)) this.hosts.runs.delete(run.runId);
  }

  async probe(machine: string): Promise<Problem | null> {
    return this.hosts.unreachable.get(machine) ?? this.hosts.refusals.get(machine) ?? null;
  }
}

function endOf(run: FakeRun): Promise<RunEnd> {
  return run.end === null ? new Promise((resolve) => run.watchers.push(resolve)) : Promise.resolve(run.end);
}
