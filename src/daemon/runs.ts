/**
 * Performs what the state says about runs: starts them, follows them to their end, stops them, takes them
 * up again. Everything seen goes back to the engine as a fact; nothing is remembered here that a restart
 * would need. A run that is not followed, for whatever reason, is handed to `lookAgain`: none is forgotten.
 */
import type { Fact, NewRun } from "../core/command.ts";
import { type Job, occupiedMachine, type Run, runOf } from "../core/job.ts";
import { UnbalancedQuotes, type Values } from "../core/placeholders.ts";
import { type Problem, problem } from "../core/problem.ts";
import type { State } from "../core/state.ts";
import type { DispatchGate } from "./dispatch-gate.ts";
import type { DaemonLog } from "./log.ts";
import { describe, faultOf } from "./log-words.ts";
import { type Driver, runEnvironment, runProgram } from "./run-program.ts";
import { scanResultsLines } from "./runner/results-lines.ts";
import type { AttachOutcome, CallerLimits, HostBoot, Program, RunEnd, RunLog, RunName, Runner, StartOutcome } from "./runner/runner.ts";
import type { Timers } from "./timers.ts";

/** Who executes a run. */
export interface Executor {
  readonly runner: Runner;
  readonly driver: Driver | null;
  /** Run directories are on this host, so its boot id says whether they can be believed. */
  readonly onThisHost: boolean;
}

export interface RunsOptions {
  readonly state: () => State;
  readonly observe: (fact: Fact) => Promise<void>;
  readonly executorOf: (run: Run, className: string) => Executor;
  /** For the next command of a setup job. */
  readonly newRun: NewRun;
  readonly secret: Values;
  readonly caller: CallerLimits | null;
  readonly gate: DispatchGate;
  readonly timers: Timers;
  readonly now: () => number;
  readonly killGraceMs: number;
  /** The job on this machine is followed by nobody, or holds it without a proof: somebody must look again, later. */
  readonly lookAgain: (machine: string) => void;
  readonly log: DaemonLog;
}

/** "followed": its end will be observed. "settled": what became of it is written down. "open": look again. */
export type Attached = "followed" | "settled" | "open" | "unreachable";

/**
 * Starts are written down together, so long after the first of them at the latest: most jobs of a moment have ended by
 * then, and their end tells of the start. Nothing waits for the record of a start.
 */
const STARTS_TOGETHER_MS = 10;

/** How often it is looked whether what a stopped job left is gone, milliseconds. */
const SURVIVORS_LOOK_MS = 100;

export class Runs {
  /** Run ids whose end is awaited, so that a second attach does not follow them twice. */
  private readonly followed = new Set<string>();
  /** Starts and attaches under way, by run id: an attach beside a start would take the run away from it. */
  private readonly underWay = new Map<string, Promise<Attached>>();
  /** Run ids whose log here is not whole: what is left of it is in the run directory. */
  private readonly logsCut = new Set<string>();
  /** Started and not written down yet, by run id. */
  private readonly startsSeen = new Map<string, Extract<Fact, { readonly kind: "run-started" }>>();
  /** Boot ids of machines as last seen: a start in the same boot needs no record of its own for it. */
  private readonly bootIds = new Map<string, string>();

  constructor(private readonly options: RunsOptions) {}

  /** Is somebody about to learn what becomes of this run? */
  isAttended(runId: string): boolean {
    return this.followed.has(runId) || this.underWay.has(runId);
  }

  /** Of a machine that is reached over SSH, as far as it was seen since this server began. */
  lastBootIdOf(machine: string): string | null {
    return this.bootIds.get(machine) ?? null;
  }

  /** Never rejects. */
  async start(jid: number): Promise<void> {
    const job = this.options.state().jobs.get(jid);
    if (job?.state.kind !== "starting") return;
    const { run } = job.state;
    await this.alone(run, () => this.startRun(jid, run));
  }

  /** Finds out what became of a run that an earlier daemon, or a cut connection, left behind. Never rejects. */
  async attach(jid: number): Promise<Attached> {
    const job = this.options.state().jobs.get(jid);
    const run = job === undefined ? null : runOf(job.state);
    if (job === undefined || run === null || occupiedMachine(job.state) === null || job.state.kind === "copying") return "settled";
    if (this.followed.has(run.runId)) return "followed";
    return await this.alone(run, async () => {
      const { runner } = this.executor(job, run);
      return await this.attached(job, run, await runner.attach(this.nameOf(job, run), logOf(run)));
    });
  }

  /** TERM to every process of the run, KILL after a grace time. The end is observed like any other. */
  async stop(jid: number): Promise<void> {
    const job = this.options.state().jobs.get(jid);
    if (job?.state.kind !== "running" || job.state.stop === null) return;
    const { run, stop } = job.state;
    this.killLater(jid, run, Math.max(stop.at, this.options.now()) + this.options.killGraceMs);
    await this.executor(job, run).runner.stop(this.nameOf(job, run), "TERM");
  }

  watchTimeout(jid: number): void {
    const job = this.options.state().jobs.get(jid);
    if (job?.state.kind !== "running") return;
    const { run, startedAt } = job.state;
    if (job.timeoutSeconds === null) return this.options.timers.clear(`timeout ${run.runId}`);
    this.options.timers.set(`timeout ${run.runId}`, startedAt + job.timeoutSeconds * 1_000, () => {
      void this.options.observe({ kind: "timeout-reached", jid, runId: run.runId });
    });
  }

  async release(job: Job): Promise<void> {
    const run = runOf(job.state);
    // The only copy of the rest of its output is there.
    if (run === null || this.logsCut.delete(run.runId)) return;
    await this.executor(job, run).runner.release(this.nameOf(job, run));
  }

  /** One start or attach of a run at a time; the second joins the first. A defect leaves the run to a later look. */
  private alone(run: Run, step: () => Promise<Attached>): Promise<Attached> {
    const underWay = this.underWay.get(run.runId);
    if (underWay !== undefined) return underWay;
    const done = (async (): Promise<Attached> => {
      try {
        return await step();
      } catch (error) {
        this.options.log.error(`run ${run.runId} on ${run.machine}: ${faultOf(error)}`);
        return "open";
      } finally {
        this.underWay.delete(run.runId);
      }
    })();
    this.underWay.set(run.runId, done);
    return done.then((attached) => {
      if (attached === "open" || attached === "unreachable") this.options.lookAgain(run.machine);
      return attached;
    });
  }

  private async startRun(jid: number, decided: Run): Promise<Attached> {
    const { runId, machine } = decided;
    const { runner } = this.options.executorOf(decided, this.options.state().jobs.get(jid)?.spec.class ?? "");
    // A run on this host begins before anything else is done: its machine waits.
    const boot = runner.bootOf === undefined ? null : await this.bootKnown(jid, decided, await runner.bootOf(machine));
    const job = this.options.state().jobs.get(jid);
    if (job?.state.kind !== "starting" || job.state.run.runId !== runId) return "settled";
    const { run } = job.state;
    // Not written down (the server stops, or its disk is full): nothing is sent that a power cut there could make us forget.
    if (boot?.kind === "known" && run.machineBootId !== boot.bootId) return "open";
    const outcome = boot?.kind === "unreachable" ? ({ ...boot, kind: "not-started" } as const) : await this.tryStart(job, run);
    switch (outcome.kind) {
      case "started":
        this.options.gate.started();
        this.follow(job, run, outcome.end);
        this.sayStartedSoon({ kind: "run-started", jid, runId, at: outcome.at });
        return "followed";
      case "not-started":
        this.options.log.warn(`job ${jid} was not started on ${machine}: ${describe(outcome.problem)}`);
        this.options.gate.notStarted(outcome.problem);
        await this.options.observe({ kind: "run-not-started", jid, runId, problem: outcome.problem });
        return "settled";
      case "uncertain":
        this.options.log.warn(`whether job ${jid} started on ${machine} is not known: ${describe(outcome.problem)}`);
        await this.options.observe({ kind: "machine-unreachable", addr: machine, problem: outcome.problem });
        return "unreachable";
    }
  }

  private sayStartedSoon(start: Extract<Fact, { readonly kind: "run-started" }>): void {
    if (this.startsSeen.size === 0) this.options.timers.set("starts", this.options.now() + STARTS_TOGETHER_MS, () => this.sayStarted());
    this.startsSeen.set(start.runId, start);
  }

  private sayStarted(): void {
    const starts = [...this.startsSeen.values()];
    this.startsSeen.clear();
    for (const start of starts) void this.options.observe(start);
  }

  /** The boot of the machine is durable before anything is sent to it. */
  private async bootKnown(jid: number, run: Run, boot: HostBoot): Promise<HostBoot> {
    if (boot.kind === "known") this.bootIds.set(run.machine, boot.bootId);
    if (boot.kind === "known" && boot.bootId !== run.machineBootId) {
      await this.options.observe({ kind: "run-host-known", jid, runId: run.runId, machineBootId: boot.bootId });
    }
    return boot;
  }

  private async tryStart(job: Job, run: Run): Promise<StartOutcome> {
    const { options } = this;
    const state = options.state();
    const { runner, driver } = this.executor(job, run);
    const missing = job.spec.secrets.find((name) => options.secret(name) === undefined);
    if (missing !== undefined) return { kind: "not-started", problem: problem("secret-missing", { name: missing }) };
    let program: Program;
    try {
      program = runProgram(state, job, run, { driver, secret: options.secret });
    } catch (error) {
      // Nothing has begun. Only our own words go on: an error could quote a secret.
      const message = error instanceof UnbalancedQuotes ? error.message : "it cannot be made of its variables";
      return { kind: "not-started", problem: problem("start-failed", { reason: "command", message }) };
    }
    const environment = runEnvironment(state, job, run, options.secret);
    return await runner.start({ ...this.nameOf(job, run), program, environment, log: logOf(run), caller: options.caller });
  }

  private async attached(job: Job, run: Run, outcome: AttachOutcome): Promise<Attached> {
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
        // Nobody looked while that was written down, which on a full disk may take hours: it may have been cut off since.
        return this.followed.has(runId) ? "followed" : "open";
      case "exited":
        return await this.exited(job, run, outcome);
      case "not-started":
        return await this.withdrawn(job, run);
      case "lost":
        return await this.lost(job, run, outcome);
      case "unreachable":
        await this.options.observe({ kind: "machine-unreachable", addr: run.machine, problem: outcome.problem });
        return "unreachable";
    }
  }

  private async withdrawn(job: Job, run: Run): Promise<Attached> {
    const { jid } = job;
    if (job.state.kind === "starting") {
      const notStarted = problem("start-failed", { message: "the server stopped before it was started" });
      await this.options.observe({ kind: "run-not-started", jid, runId: run.runId, problem: notStarted });
      return "settled";
    }
    // One that was seen to start and of which nothing is left did start: it must not run again by itself. And nothing
    // is left either that could prove its processes dead: the machine stays its own until a person says otherwise.
    return await this.lost(job, run, { problem: problem("run-directory-gone"), sessionEmpty: false });
  }

  private async lost(job: Job, run: Run, end: { readonly problem: Problem; readonly sessionEmpty: boolean }): Promise<Attached> {
    this.clearTimers(run);
    await this.options.observe({ kind: "run-lost", jid: job.jid, runId: run.runId, problem: end.problem, sessionEmpty: end.sessionEmpty });
    return end.sessionEmpty ? "settled" : "open";
  }

  private follow(job: Job, run: Run, end: Promise<RunEnd>): void {
    this.followed.add(run.runId);
    const over = async (): Promise<Attached> => {
      try {
        return await this.ended(job, run, await end);
      } catch (error) {
        this.options.log.error(`the end of job ${job.jid}: ${faultOf(error)}`);
        return "open";
      } finally {
        this.followed.delete(run.runId);
      }
    };
    void over().then((attached) => {
      if (attached === "open" || attached === "unreachable") this.options.lookAgain(run.machine);
    });
  }

  private async ended(job: Job, run: Run, end: RunEnd): Promise<Attached> {
    switch (end.kind) {
      case "exited":
        return await this.exited(job, run, { ...end, startedAt: this.startsSeen.get(run.runId)?.at ?? null });
      case "lost":
        return await this.lost(job, run, end);
      case "disconnected":
        await this.options.observe({ kind: "machine-unreachable", addr: run.machine, problem: end.problem });
        return "unreachable";
    }
  }

  private async exited(job: Job, run: Run, exit: Extract<AttachOutcome, { kind: "exited" }>): Promise<Attached> {
    const state = this.options.state().jobs.get(job.jid)?.state;
    if (state?.kind === "running" && state.stop !== null && !(await this.survivorsGone(job, run))) return "unreachable";
    this.clearTimers(run);
    const { startedAt, at, exitCode, logProblem, rebootedSince } = exit;
    if (logProblem !== undefined) {
      this.logsCut.add(run.runId);
      this.options.log.warn(`the log of job ${job.jid} is not whole, what is left stays in its run directory: ${describe(logProblem)}`);
    }
    // The exit code is written last, but what of the output was in memory only went with the power.
    const cutOff = (found: readonly string[]) =>
      rebootedSince === true && found.length === 0 ? problem("log-end-lost", { machine: run.machine }) : null;
    const lines = exitCode === 0 ? await scanResultsLines(run.log) : { prefixes: [], invalid: [] };
    this.startsSeen.delete(run.runId);
    await this.options.observe({
      kind: "run-exited",
      jid: job.jid,
      runId: run.runId,
      startedAt,
      at,
      exitCode,
      prefixes: lines.prefixes,
      // The lines that are missing may have named results.
      invalidLine: logProblem ?? lines.invalid[0] ?? cutOff(lines.prefixes),
      ...this.nextRun(job, run, exitCode),
    });
    return "settled";
  }

  /**
   * A job that was stopped may leave processes that ignore TERM, beside which the next job must not run: they have
   * the rest of the grace time, then KILL. What a job leaves that ends by itself is its own affair.
   * @returns false when the machine went away: the end is observed again when it is back
   */
  private async survivorsGone(job: Job, run: Run): Promise<boolean> {
    const state = this.options.state().jobs.get(job.jid)?.state;
    if (state?.kind !== "running" || state.run.runId !== run.runId || state.stop === null) return true;
    const { runner } = this.executor(job, run);
    for (let killAt = state.stop.at + this.options.killGraceMs; ; ) {
      const outcome = await runner.stop(this.nameOf(job, run), this.options.now() < killAt ? "0" : "KILL");
      if (outcome.kind === "signaled" && outcome.processes === 0) return true;
      if (outcome.kind === "unreachable") {
        await this.options.observe({ kind: "machine-unreachable", addr: run.machine, problem: outcome.problem });
        return false;
      }
      if (this.options.now() >= killAt) killAt = this.options.now() + this.options.killGraceMs;
      await Bun.sleep(SURVIVORS_LOOK_MS);
    }
  }

  private killLater(jid: number, run: Run, at: number): void {
    this.options.timers.set(`kill ${run.runId}`, at, () => {
      this.kill(jid, run).catch((error: unknown) => this.options.log.error(`killing job ${jid}: ${faultOf(error)}`));
    });
  }

  private async kill(jid: number, run: Run): Promise<void> {
    const job = this.options.state().jobs.get(jid);
    if (job?.state.kind !== "running" || job.state.run.runId !== run.runId) return;
    // What is stuck in the kernel (a dead NFS server) may take a second KILL once it wakes.
    this.killLater(jid, run, this.options.now() + this.options.killGraceMs);
    await this.executor(job, run).runner.stop(this.nameOf(job, run), "KILL");
  }

  private nextRun(job: Job, run: Run, exitCode: number): { readonly nextRun?: Run } {
    const command = (run.step?.command ?? 0) + 1;
    if (job.spec.kind !== "setup" || exitCode !== 0 || command >= job.spec.cmds.length) return {};
    return { nextRun: this.options.newRun({ state: this.options.state(), job, machine: run.machine, command }) };
  }

  private clearTimers(run: Run): void {
    this.options.timers.clear(`timeout ${run.runId}`);
    this.options.timers.clear(`kill ${run.runId}`);
  }

  private executor(job: Job, run: Run): Executor {
    return this.options.executorOf(run, job.spec.class);
  }

  private nameOf(job: Job, run: Run): RunName {
    const decidedAt = run.bootId ?? (job.state.kind === "starting" ? job.state.bootId : null);
    const bootId = this.executor(job, run).onThisHost ? decidedAt : (run.machineBootId ?? null);
    return {
      jid: job.jid,
      command: run.step?.command ?? 0,
      runId: run.runId,
      machine: run.machine,
      ...(bootId === null ? {} : { hostBootId: bootId }),
    };
  }
}

function logOf(run: Run): RunLog {
  return { stdout: run.log, stderr: run.errLog };
}
