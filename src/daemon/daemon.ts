/**
 * The parts of a running daemon, put together: engine in the middle, runs, results and fleet around it. Knows
 * who talks to whom and nothing of why; serve.ts decides when it begins and ends.
 */
import { randomBytes } from "node:crypto";
import { lstatSync } from "node:fs";
import { join } from "node:path";
import type { ClassOptions, ServeOptions } from "../config/serve-options.ts";
import { DEFAULT_LIMITS, type Fact, type Limits, type NewRun } from "../core/command.ts";
import { commandsOf, type Job, type Run, runOf } from "../core/job.ts";
import { NO_CLASS } from "../core/machine.ts";
import type { Effect } from "../core/react.ts";
import type { RetryLimits } from "../core/retry.ts";
import { machineAt, type State } from "../core/state.ts";
import { runDirectoryName } from "../store/run-directory-name.ts";
import type { Store } from "../store/store.ts";
import { CopyQueue } from "./copier/copy-queue.ts";
import { DispatchGate } from "./dispatch-gate.ts";
import { type Change, Engine } from "./engine.ts";
import { Fleet } from "./fleet.ts";
import { JobBook } from "./job-book.ts";
import { logPathsOf } from "./job-logs.ts";
import type { DaemonLog } from "./log.ts";
import { logName, STDERR_SUFFIX } from "./log-name.ts";
import { describe, faultOf } from "./log-words.ts";
import { isLeftover, reconcile } from "./reconcile.ts";
import { Results } from "./results.ts";
import { ResultsTransfer } from "./results-transfer.ts";
import { Retention } from "./retention/retention.ts";
import { commandLine } from "./run-program.ts";
import { DriverRunner } from "./runner/driver.ts";
import { LocalRunner } from "./runner/local.ts";
import { hostBootId } from "./runner/process-identity.ts";
import { listRunDirectories, removeRunDirectory } from "./runner/run-directory.ts";
import type { CallerLimits, Runner } from "./runner/runner.ts";
import { isLeftSpare } from "./runner/spare-run-directories.ts";
import { SshRunner } from "./runner/ssh-runner.ts";
import { Runs } from "./runs.ts";
import { Snapshots } from "./snapshots.ts";
import { SshConnections } from "./ssh/connections.ts";
import { Timers } from "./timers.ts";

export interface DaemonOptions {
  readonly serve: ServeOptions;
  readonly store: Store;
  readonly log: DaemonLog;
  readonly caller: CallerLimits;
  /** Where jobs on this host run: the server's start directory. */
  readonly workDirectory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** In the place of `sh` on this host. */
  readonly localRunner?: Runner;
  /** The storage refused something. */
  readonly onStorageProblem: (error: unknown) => void;
}

export class Daemon {
  readonly engine: Engine;
  readonly book: JobBook;
  readonly fleet: Fleet;
  readonly gate: DispatchGate;
  readonly transfer: ResultsTransfer;
  private readonly timers = new Timers(Date.now);
  private readonly runs: Runs;
  private readonly results: Results;
  private readonly retention: Retention;
  private readonly snapshots: Snapshots;
  private readonly ssh: SshConnections;
  private readonly sshRunners = new Map<string | null, SshRunner>();
  private readonly runRoot: string;
  /** Nothing is handed out before begin(), nor while the daemon stops. */
  private dispatching = false;
  private stopped = false;

  constructor(private readonly options: DaemonOptions) {
    const { serve, store, log, caller } = options;
    const state = () => this.engine.state;
    const observe = (fact: Fact) => this.engine.observe(fact);
    this.runRoot = join(store.paths.runs, store.serverId);
    this.gate = new DispatchGate(() => void this.engine.dispatch());
    this.ssh = new SshConnections({
      settings: {
        ...(serve.sshConfig === null ? {} : { configFile: serve.sshConfig }),
        identityFiles: serve.identities,
        ...(serve.knownHosts === null ? {} : { knownHostsFile: serve.knownHosts }),
      },
      limits: { connectTimeoutMs: serve.limits.connectTimeoutSeconds * 1_000, keepaliveIntervalMs: serve.limits.keepaliveSeconds * 1_000 },
      onDisconnect: (machine, reason) => {
        log.debug(`the connection to ${machine} ended: ${describe(reason)}`);
        if (this.dispatching) this.fleet.contactLost(machine);
      },
    });
    this.engine = new Engine({
      state: store.state,
      sequence: store.sequence,
      append: (events) => store.append(events),
      now: Date.now,
      limits: limitsOf(serve),
      bootId: hostBootId(),
      newRun: (start) => this.newRun(start),
      mayDispatch: () => this.dispatching && this.gate.open,
      perform: (effect) => this.perform(effect),
      onStorageProblem: options.onStorageProblem,
      onFault: (error, where) => log.error(`${where}: ${faultOf(error)}`),
    });
    this.book = new JobBook({ state, readHistory: (jids) => store.history.read(jids) });
    this.fleet = this.makeFleet(observe);
    this.runs = new Runs({
      state,
      observe,
      executorOf: (run, className) => this.fleet.executorOf(run, className),
      newRun: (start) => this.newRun(start),
      secret: (name) => store.secrets.get(name),
      caller,
      gate: this.gate,
      timers: this.timers,
      now: Date.now,
      killGraceMs: serve.limits.killGraceSeconds * 1_000,
      lookAgain: (machine) => this.fleet.probeLater(machine),
      log,
    });
    const queue = new CopyQueue({ copiesMax: serve.limits.copiesAtOnceMax, umask: caller.umask });
    this.results = new Results({
      state,
      observe,
      book: this.book,
      fleet: this.fleet,
      queue,
      workDirectory: options.workDirectory,
      log,
    });
    this.transfer = new ResultsTransfer({ state, observe, book: this.book, results: this.results, queue, now: Date.now, log });
    this.retention = new Retention({
      settings: serve.retention,
      logDir: serve.logDir,
      book: this.book,
      submit: (command) => this.engine.submit(command),
      isAttended: (job) => this.isAttended(job),
      timers: this.timers,
      now: Date.now,
      log,
    });
    this.snapshots = new Snapshots({ engine: this.engine, store, observe, now: Date.now, log });
    this.engine.subscribe((change) => {
      void this.snapshots.considerOne();
      for (const addr of departed(change)) this.fleet.left(addr);
    });
  }

  /**
   * Takes up what an earlier run of the server left and hands out jobs. Machines that had a job are not free until
   * its end is known, so new jobs need not wait for the old. Resolves when all that was left is classified.
   */
  async begin(): Promise<void> {
    if (this.stopped) return;
    const { engine, runs, results, fleet } = this;
    const taken = reconcile({
      state: engine.state,
      attach: (jid) => runs.attach(jid),
      isHere: (run, className) => fleet.executorOf(run, className).onThisHost,
      copy: (jid) => void results.copy(jid),
      watchBackOff: (jid, notBefore) => this.watchBackOff(jid, notBefore),
      probe: (addr) => fleet.probeLater(addr),
      log: this.options.log,
    });
    this.dispatching = true;
    this.retention.start();
    void this.snapshots.considerOne();
    await Promise.all([engine.dispatch(), taken]);
    await this.removeLeftovers();
  }

  /** Takes over what can change while jobs run; what cannot is as it was at the start. */
  configure(serve: ServeOptions): void {
    this.engine.setLimits(limitsOf(serve));
    this.retention.configure(serve.retention);
  }

  mayHaveDeletedLogOf(job: Job): boolean {
    return this.retention.mayHaveDeletedLogOf(job);
  }

  /** Ends what we do; jobs that run go on. What is seen from now on is left to the next start. */
  stop(): void {
    this.stopped = true;
    this.dispatching = false;
    this.gate.stop();
    this.retention.stop();
    this.snapshots.stop();
    this.timers.stop();
    this.results.stop();
    this.engine.stop();
    for (const runner of this.sshRunners.values()) runner.close();
    this.ssh.close();
  }

  private perform(effect: Effect): void {
    this.performed(effect)?.catch((error: unknown) => {
      this.options.log.error(`${effect.kind}: ${faultOf(error)}`);
    });
  }

  /** What it throws at once is logged by the engine. */
  private performed(effect: Effect): Promise<unknown> | undefined {
    switch (effect.kind) {
      case "start-run":
        return this.runs.start(effect.jid);
      case "stop-run":
        return this.runs.stop(effect.jid);
      case "copy-results":
        return this.results.copy(effect.jid);
      case "abort-copy":
        this.results.abort(effect.jid);
        return;
      case "release-run":
        return this.runs.release(effect.job);
      case "watch-timeout":
        this.runs.watchTimeout(effect.jid);
        return;
      case "watch-back-off":
        this.watchBackOff(effect.jid, effect.notBefore);
        return;
      case "probe-machine":
        this.fleet.probeLater(effect.addr);
        return;
    }
  }

  private watchBackOff(jid: number, notBefore: number): void {
    this.timers.set(`back-off ${jid}`, notBefore, () => void this.engine.observe({ kind: "back-off-over", jid }));
  }

  /** Goes on with a job on a machine that answers again. */
  private async takeUp(job: Job): Promise<"unreachable" | "taken"> {
    if (job.state.kind !== "copying") return (await this.runs.attach(job.jid)) === "unreachable" ? "unreachable" : "taken";
    void this.results.copy(job.jid);
    return "taken";
  }

  private isAttended(job: Job): boolean {
    if (job.state.kind === "copying") return this.results.isCopying(job.jid);
    const run = runOf(job.state);
    return run !== null && this.runs.isAttended(run.runId);
  }

  /**
   * Random, so that no run id is ever drawn twice; the log is named after the masked command. What a file of that name
   * holds is of another server, or of an earlier life of this one; an empty one is what a refused start leaves. The
   * commands of a setup job have a log each, also when two of them are alike.
   */
  private newRun({ state, job, machine, command }: Parameters<NewRun>[0]): Run {
    const runId = randomBytes(8).toString("hex");
    const line = commandLine(state, job, machine, commandsOf(job.spec)[command]);
    const paths = (distinction: string) => {
      const log = join(this.options.serve.logDir, logName(job.jid, line, distinction));
      return { log, errLog: `${log}${STDERR_SUFFIX}` };
    };
    const earlier = command === 0 ? [] : logPathsOf(job);
    const isFree = ({ log, errLog }: ReturnType<typeof paths>): boolean => !earlier.includes(log) && [log, errLog].every(isUnused);
    const names = [paths(""), ...(command === 0 ? [] : [paths(String(command + 1))])];
    const place = this.fleet.placeFor(machine, placeClass(state, job));
    const machineBootId = place.runner === "ssh" ? this.runs.lastBootIdOf(machine) : null;
    const boot = machineBootId === null ? {} : { machineBootId };
    return { runId, machine, ...place, ...boot, ...(names.find(isFree) ?? paths(runId)) };
  }

  private makeFleet(observe: (fact: Fact) => Promise<void>): Fleet {
    const { serve, log, workDirectory, environment } = this.options;
    const warn = (problem: Parameters<typeof describe>[0]): void => log.warn(describe(problem));
    const onHost = { root: this.runRoot, workDirectory, environment, warn };
    const driver = serve.runner === null ? null : { path: serve.runner, args: serve.runnerArgs };
    return new Fleet({
      state: () => this.engine.state,
      observe,
      takeUp: (job) => this.takeUp(job),
      isAttended: (job) => this.isAttended(job),
      driver,
      classOptions: (className) => serve.classes[className] ?? serve.classDefaults,
      runners: {
        local: this.options.localRunner ?? new LocalRunner(onHost),
        driver: driver === null ? null : new DriverRunner({ ...onHost, driver: driver.path }),
        ssh: (runRoot) => this.sshRunner(runRoot),
      },
      ssh: this.ssh,
      timers: this.timers,
      now: Date.now,
      random: Math.random,
      log,
    });
  }

  private sshRunner(runRoot: string | null): SshRunner {
    const known = this.sshRunners.get(runRoot);
    if (known !== undefined) return known;
    const runner = new SshRunner({
      shell: (machine) => this.fleet.shellFor(machine),
      serverId: this.options.store.serverId,
      runRoot,
      now: Date.now,
    });
    this.sshRunners.set(runRoot, runner);
    return runner;
  }

  /** Run directories on this host that a crash kept from being removed. They cost space, no more. */
  private async removeLeftovers(): Promise<void> {
    try {
      const { runs, strangers } = listRunDirectories(this.runRoot);
      const past = await this.book.get(runs.map((run) => run.jid));
      for (const run of runs) {
        if (this.stopped) return;
        if (isLeftover(this.engine.state, run, past.get(run.jid))) await removeRunDirectory(join(this.runRoot, runDirectoryName(run)));
      }
      for (const name of strangers.filter(isLeftSpare)) await removeRunDirectory(join(this.runRoot, name));
    } catch (error) {
      this.options.log.warn(`run directories of ended jobs were not removed: ${faultOf(error)}`);
    }
  }
}

/** Whose settings say where the job runs: a machine that joins no class by its setup job is set up as the class it is in says. */
function placeClass(state: State, { spec }: Job): string {
  if (spec.kind === "job" || spec.class !== NO_CLASS) return spec.class;
  return machineAt(state, spec.machine)?.class ?? NO_CLASS;
}

/** Machines that are no longer in the pool. */
function departed({ before, after }: Change): readonly string[] {
  if (before.slots === after.slots) return [];
  return [...before.slots.keys()].filter((addr) => !after.slots.has(addr));
}

function limitsOf(serve: ServeOptions): Limits {
  return {
    ...DEFAULT_LIMITS,
    ...backOffOf(serve.classDefaults),
    classBackOff: Object.fromEntries(Object.entries(serve.classes).map(([name, options]) => [name, backOffOf(options)])),
    quarantineAfterFailures: serve.limits.failuresBeforeQuarantine,
    queuedJobsMax: serve.limits.queuedJobsMax,
  };
}

function backOffOf({ backoffSeconds, backoffSecondsMax }: ClassOptions): RetryLimits {
  return { backOffFirstMs: backoffSeconds * 1_000, backOffMaxMs: backoffSecondsMax * 1_000 };
}

/** Nothing is there, or an empty file of ours. A link or a FIFO may be of somebody who knows the next job's id. */
function isUnused(path: string): boolean {
  const there = lstatSync(path, { throwIfNoEntry: false });
  return there === undefined || (there.isFile() && there.size === 0 && there.uid === process.geteuid?.());
}
