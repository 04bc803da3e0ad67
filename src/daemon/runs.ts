/**
 * Performs what the state says about runs: starts them, follows them to their end, stops them, takes them
 * up again. Everything seen goes back to the engine as a fact; nothing is remembered here that a restart
 * would need.
 */
import type { Fact } from "../core/command.ts";
import { isEnded, type Job, type Run, runOf } from "../core/job.ts";
import { UnbalancedQuotes, type Values } from "../core/placeholders.ts";
import { type Problem, problem } from "../core/problem.ts";
import type { State } from "../core/state.ts";
import type { DispatchGate } from "./dispatch-gate.ts";
import type { DaemonLog } from "./log.ts";
import { type Driver, runEnvironment, runProgram } from "./run-program.ts";
import { scanResultsLines } from "./runner/results-lines.ts";
import type { AttachOutcome, CallerLimits, RunEnd, RunLog, RunName, Runner, StartOutcome } from "./runner/runner.ts";
import type { Timers } from "./timers.ts";

export interface RunsOptions {
  readonly state: () => State;
  readonly observe: (fact: Fact) => Promise<void>;
  readonly runnerFor: (machine: string, className: string) => { readonly runner: Runner; readonly driver: Driver | null };
  readonly secret: Values;
  readonly caller: CallerLimits | null;
  readonly gate: DispatchGate;
  readonly timers: Timers;
  readonly now: () => number;
  readonly killGraceMs: number;
  readonly log: DaemonLog;
}

export class Runs {
  /** Run ids whose end is awaited, so that a second attach does not follow them twice. */
  private readonly followed = new Set<string>();

  constructor(private readonly options: RunsOptions) {}

  async start(jid: number): Promise<void> {
    const job = this.options.state().jobs.get(jid);
    if (job?.state.kind !== "starting") return;
    const { run } = job.state;
    const outcome = await this.startRun(job, run);
    switch (outcome.kind) {
      case "started":
        this.options.gate.started();
        this.follow(job, run, outcome.end);
        await this.options.observe({ kind: "run-started", jid, runId: run.runId, at: outcome.at });
        return;
      case "not-started":
        this.options.log.warn(`job ${jid} was not started on ${run.machine}: ${describe(outcome.problem)}`);
        this.options.gate.notStarted(outcome.problem);
        await this.options.observe({ kind: "run-not-started", jid, runId: run.runId, problem: outcome.problem });
        return;
      case "uncertain":
        this.options.log.warn(`whether job ${jid} started on ${run.machine} is not known: ${describe(outcome.problem)}`);
        await this.options.observe({ kind: "machine-unreachable", addr: run.machine, problem: outcome.problem });
        return;
    }
  }

  /** Finds out what became of a run that an earlier daemon, or a cut connection, left behind. */
  async attach(jid: number): Promise<AttachOutcome["kind"]> {
    const job = this.options.state().jobs.get(jid);
    const run = job === undefined ? null : runOf(job.state);
    if (job === undefined || run === null || isEnded(job.state) || this.followed.has(run.runId)) return "running";
    const outcome = await this.runnerOf(job, run).attach(nameOf(job, run), logOf(run));
    await this.attached(job, run, outcome);
    return outcome.kind;
  }

  /** TERM to every process of the run, KILL after a grace time. The end is observed like any other. */
  async stop(jid: number): Promise<void> {
    const job = this.options.state().jobs.get(jid);
    if (job?.state.kind !== "running" || job.state.stop === null) return;
    const { run, stop } = job.state;
    const killAt = Math.max(stop.at, this.options.now()) + this.options.killGraceMs;
    this.options.timers.set(`kill ${run.runId}`, killAt, () => void this.kill(jid, run));
    await this.runnerOf(job, run).stop(nameOf(job, run), "TERM");
  }

  watchTimeout(jid: number): void {
    const job = this.options.state().jobs.get(jid);
    if (job?.state.kind !== "running" || job.timeoutSeconds === null) return;
    const { run, startedAt } = job.state;
    this.options.timers.set(`timeout ${run.runId}`, startedAt + job.timeoutSeconds * 1_000, () => {
      void this.options.observe({ kind: "timeout-reached", jid, runId: run.runId });
    });
  }

  async release(job: Job): Promise<void> {
    const run = runOf(job.state);
    if (run !== null) await this.runnerOf(job, run).release(nameOf(job, run));
  }

  private async startRun(job: Job, run: Run): Promise<StartOutcome> {
    const { options } = this;
    const state = options.state();
    const { runner, driver } = options.runnerFor(run.machine, job.spec.class);
    const missing = job.spec.secrets.find((name) => options.secret(name) === undefined);
    if (missing !== undefined) return { kind: "not-started", problem: problem("secret-missing", { name: missing }) };
    try {
      const program = runProgram(state, job, run, { driver, secret: options.secret });
      const environment = runEnvironment(state, job, run, options.secret);
      return await runner.start({ ...nameOf(job, run), program, environment, log: logOf(run), caller: options.caller });
    } catch (error) {
      if (error instanceof UnbalancedQuotes) return { kind: "not-started", problem: problem("start-failed", { message: error.message }) };
      throw error;
    }
  }

  private async attached(job: Job, run: Run, outcome: AttachOutcome): Promise<void> {
    const { jid } = job;
    const { runId } = run;
    switch (outcome.kind) {
      case "running":
        this.follow(job, run, outcome.end);
        await this.options.observe({ kind: "run-found", jid, runId, startedAt: outcome.startedAt });
        if (this.options.state().jobs.get(jid)?.state.kind === "running") {
          this.watchTimeout(jid);
          await this.stop(jid);
        }
        return;
      case "exited":
        await this.exited(job, run, outcome);
        return;
      case "not-started":
        // One that was seen to start and of which nothing is left did start: it must not run again by itself.
        await this.options.observe(
          job.state.kind === "starting"
            ? {
                kind: "run-not-started",
                jid,
                runId,
                problem: problem("start-failed", { message: "the server stopped before it was started" }),
              }
            : { kind: "run-lost", jid, runId, problem: problem("run-directory-gone"), sessionEmpty: true },
        );
        return;
      case "lost":
        await this.options.observe({ kind: "run-lost", jid, runId, problem: outcome.problem, sessionEmpty: outcome.sessionEmpty });
        return;
      case "unreachable":
        await this.options.observe({ kind: "machine-unreachable", addr: run.machine, problem: outcome.problem });
        return;
    }
  }

  private follow(job: Job, run: Run, end: Promise<RunEnd>): void {
    this.followed.add(run.runId);
    void end.then((reached) => {
      this.followed.delete(run.runId);
      return this.ended(job, run, reached);
    });
  }

  private async ended(job: Job, run: Run, end: RunEnd): Promise<void> {
    switch (end.kind) {
      case "exited":
        return await this.exited(job, run, { startedAt: null, ...end });
      case "lost":
        this.clearTimers(run);
        return await this.options.observe({
          kind: "run-lost",
          jid: job.jid,
          runId: run.runId,
          problem: end.problem,
          sessionEmpty: end.sessionEmpty,
        });
      case "disconnected":
        return await this.options.observe({ kind: "machine-unreachable", addr: run.machine, problem: end.problem });
    }
  }

  private async exited(job: Job, run: Run, exit: { startedAt: number | null; at: number; exitCode: number }): Promise<void> {
    this.clearTimers(run);
    const lines = exit.exitCode === 0 ? await scanResultsLines(run.log) : { prefixes: [], invalid: [] };
    await this.options.observe({
      kind: "run-exited",
      jid: job.jid,
      runId: run.runId,
      startedAt: exit.startedAt,
      at: exit.at,
      exitCode: exit.exitCode,
      prefixes: lines.prefixes,
      invalidLine: lines.invalid[0] ?? null,
    });
  }

  private async kill(jid: number, run: Run): Promise<void> {
    const job = this.options.state().jobs.get(jid);
    if (job?.state.kind !== "running" || job.state.run.runId !== run.runId) return;
    await this.runnerOf(job, run).stop(nameOf(job, run), "KILL");
    // What is stuck in the kernel (a dead NFS server) may take a second KILL once it wakes.
    this.options.timers.set(`kill ${run.runId}`, this.options.now() + this.options.killGraceMs, () => void this.kill(jid, run));
  }

  private clearTimers(run: Run): void {
    this.options.timers.clear(`timeout ${run.runId}`);
    this.options.timers.clear(`kill ${run.runId}`);
  }

  private runnerOf(job: Job, run: Run): Runner {
    return this.options.runnerFor(run.machine, job.spec.class).runner;
  }
}

function nameOf(job: Job, run: Run): RunName {
  const bootId = job.state.kind === "starting" ? job.state.bootId : null;
  return { jid: job.jid, command: 0, runId: run.runId, machine: run.machine, ...(bootId === null ? {} : { hostBootId: bootId }) };
}

function logOf(run: Run): RunLog {
  return { stdout: run.log, stderr: run.errLog };
}

/** For the daemon's log: the code and its data. Words for people are the client's. */
export function describe(problem: Problem): string {
  const data = Object.entries(problem.data).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return [problem.code, ...data].join(" ");
}
