/**
 * The parts of a running daemon, put together: engine in the middle, runs, results and fleet around it. Knows
 * who talks to whom and nothing of why; serve.ts decides when it begins and ends.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { ClassOptions, ServeOptions } from "../config/serve-options.ts";
import { DEFAULT_LIMITS, type Fact, type Limits, type NewRun } from "../core/command.ts";
import type { Run } from "../core/job.ts";
import type { Effect } from "../core/react.ts";
import type { RetryLimits } from "../core/retry.ts";
import type { Store } from "../store/store.ts";
import { CopyQueue } from "./copier/copy-queue.ts";
import { DispatchGate } from "./dispatch-gate.ts";
import { Engine } from "./engine.ts";
import { Fleet } from "./fleet.ts";
import { JobBook } from "./job-book.ts";
import type { DaemonLog } from "./log.ts";
import { logName, STDERR_SUFFIX } from "./log-name.ts";
import { isLeftover, reconcile } from "./reconcile.ts";
import { Results } from "./results.ts";
import { commandLine } from "./run-program.ts";
import { DriverRunner } from "./runner/driver.ts";
import { LocalRunner } from "./runner/local.ts";
import { hostBootId } from "./runner/process-identity.ts";
import { listRunDirectories, removeRunDirectory, runDirectoryName } from "./runner/run-directory.ts";
import type { CallerLimits } from "./runner/runner.ts";
import { SshRunner } from "./runner/ssh-runner.ts";
import { describe, Runs } from "./runs.ts";
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
  /** The storage refused something. */
  readonly onStorageProblem: (error: unknown) => void;
}

export class Daemon {
  readonly engine: Engine;
  readonly book: JobBook;
  readonly fleet: Fleet;
  readonly gate: DispatchGate;
  private readonly timers = new Timers(Date.now);
  private readonly runs: Runs;
  private readonly results: Results;
  private readonly ssh: SshConnections;
  private readonly sshRunners = new Map<string | null, SshRunner>();
  private readonly runRoot: string;
  /** Nothing is handed out before the past is taken up, nor while the daemon stops. */
  private dispatching = false;

  constructor(private readonly options: DaemonOptions) {
    const { serve, store, log, caller } = options;
    const state = () => this.engine.state;
    const observe = (fact: Fact) => this.engine.observe(fact);
    this.runRoot = join(store.paths.runs, store.serverId);
    this.gate = new DispatchGate(() => void this.engine.dispatch());
    this.ssh = new SshConnections({
      settings: {
        ...(serve.sshConfig === null ? {} : { configFile: serve.sshConfig }),
        ...(serve.identities[0] === undefined ? {} : { identityFile: serve.identities[0] }),
        ...(serve.knownHosts === null ? {} : { knownHostsFile: serve.knownHosts }),
      },
      limits: { connectTimeoutMs: serve.limits.connectTimeoutSeconds * 1_000 },
      onDisconnect: (machine, reason) => log.debug(`the connection to ${machine} ended: ${describe(reason)}`),
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
    });
    this.book = new JobBook({ state, readHistory: (jids) => store.history.read(jids) });
    this.fleet = this.makeFleet(observe);
    this.runs = new Runs({
      state,
      observe,
      runnerFor: (machine, className) => this.fleet.runnerFor(machine, className),
      secret: (name) => store.secrets.get(name),
      caller,
      gate: this.gate,
      timers: this.timers,
      now: Date.now,
      killGraceMs: serve.limits.killGraceSeconds * 1_000,
      log,
    });
    this.results = new Results({
      state,
      observe,
      book: this.book,
      fleet: this.fleet,
      queue: new CopyQueue({ copiesMax: serve.limits.copiesAtOnceMax }),
      workDirectory: options.workDirectory,
      log,
    });
    const snapshots = new Snapshots({ engine: this.engine, store, observe, log });
    this.engine.subscribe(() => void snapshots.considerOne());
  }

  /** Takes up what an earlier run of the server left, then begins to hand out jobs. */
  async begin(): Promise<void> {
    const { engine, runs, results, fleet } = this;
    await reconcile({
      state: engine.state,
      attach: (jid) => runs.attach(jid),
      copy: (jid) => void results.copy(jid),
      watchBackOff: (jid, notBefore) => this.watchBackOff(jid, notBefore),
      probe: (addr) => fleet.probeLater(addr),
      log: this.options.log,
    });
    this.dispatching = true;
    await engine.dispatch();
    void this.removeLeftovers();
  }

  /** Ends what we do; jobs that run go on. */
  stop(): void {
    this.dispatching = false;
    this.gate.stop();
    this.timers.stop();
    this.results.stop();
    this.engine.stop();
    for (const runner of this.sshRunners.values()) runner.close();
    this.ssh.close();
  }

  private perform(effect: Effect): void {
    this.performed(effect).catch((error: unknown) => {
      this.options.log.error(`${effect.kind}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    });
  }

  private async performed(effect: Effect): Promise<void> {
    switch (effect.kind) {
      case "start-run":
        return await this.runs.start(effect.jid);
      case "stop-run":
        return await this.runs.stop(effect.jid);
      case "copy-results":
        return await this.results.copy(effect.jid);
      case "abort-copy":
        return this.results.abort(effect.jid);
      case "release-run":
        return await this.runs.release(effect.job);
      case "watch-timeout":
        return this.runs.watchTimeout(effect.jid);
      case "watch-back-off":
        return this.watchBackOff(effect.jid, effect.notBefore);
      case "probe-machine":
        return this.fleet.probeLater(effect.addr);
    }
  }

  private watchBackOff(jid: number, notBefore: number): void {
    this.timers.set(`back-off ${jid}`, notBefore, () => void this.engine.observe({ kind: "back-off-over", jid }));
  }

  /** Random, so that no run id is ever drawn twice; the log is named after the masked command. */
  private newRun({ state, job, machine }: Parameters<NewRun>[0]): Run {
    const log = join(this.options.serve.logDir, logName(job.jid, commandLine(state, job, machine)));
    return { runId: randomBytes(8).toString("hex"), machine, log, errLog: `${log}${STDERR_SUFFIX}` };
  }

  private makeFleet(observe: (fact: Fact) => Promise<void>): Fleet {
    const { serve, log, workDirectory, environment } = this.options;
    const warn = (problem: Parameters<typeof describe>[0]): void => log.warn(describe(problem));
    const onHost = { root: this.runRoot, workDirectory, environment, warn };
    const driver = serve.runner === null ? null : { path: serve.runner, args: serve.runnerArgs };
    return new Fleet({
      state: () => this.engine.state,
      observe,
      attach: (jid) => this.runs.attach(jid),
      driver,
      classOptions: (className) => serve.classes[className] ?? serve.classDefaults,
      runners: {
        local: new LocalRunner(onHost),
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

  /** Run directories on this host that a crash kept from being removed. */
  private async removeLeftovers(): Promise<void> {
    const { runs } = listRunDirectories(this.runRoot);
    const past = await this.book.get(runs.map((run) => run.jid));
    for (const run of runs) {
      if (isLeftover(this.engine.state, run, past.get(run.jid))) await removeRunDirectory(join(this.runRoot, runDirectoryName(run)));
    }
  }
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
