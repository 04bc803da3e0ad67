/**
 * One life of the daemon: the real store, engine, scheduler, retry, runs, fleet, results, snapshots, reconcile and handlers,
 * put together as daemon.ts does, on the simulated disk, clock, hosts and network.
 */
import { DEFAULT_LIMITS, type Fact, type NewRun } from "../../../src/core/command.ts";
import type { Event } from "../../../src/core/event.ts";
import { type Job, type Run, runOf } from "../../../src/core/job.ts";
import { problem } from "../../../src/core/problem.ts";
import type { Effect } from "../../../src/core/react.ts";
import type { CopyOutcome } from "../../../src/daemon/copier/copy-results.ts";
import { DispatchGate } from "../../../src/daemon/dispatch-gate.ts";
import { Engine } from "../../../src/daemon/engine.ts";
import { Fleet } from "../../../src/daemon/fleet.ts";
import { allHandlers } from "../../../src/daemon/handlers/all.ts";
import type { Services } from "../../../src/daemon/handlers/services.ts";
import { JobBook } from "../../../src/daemon/job-book.ts";
import type { DaemonLog } from "../../../src/daemon/log.ts";
import { type MachineShell, MachineShellError, type ShellProcess } from "../../../src/daemon/machine-shell.ts";
import { reconcile } from "../../../src/daemon/reconcile.ts";
import { Results } from "../../../src/daemon/results.ts";
import { Runs } from "../../../src/daemon/runs.ts";
import type { Handlers } from "../../../src/daemon/server/handler.ts";
import { Snapshots } from "../../../src/daemon/snapshots.ts";
import { Timers } from "../../../src/daemon/timers.ts";
import type { MethodName } from "../../../src/protocol/methods.ts";
import type { Store } from "../../../src/store/store.ts";
import { type Hosts, SERVER, unreachable } from "./hosts.ts";
import { SimulatedRunner } from "./runner.ts";
import { stage } from "./stage.ts";

/** Jobs of this class are given to a program on the server's host; those of the others go to their machines. */
export const DRIVER_CLASS = "near";

/** A snapshot after some 4 KB of journal instead of 8 MB. */
const JOURNAL_MAGNIFIED = 2_048;

export interface DaemonOptions {
  readonly store: Store;
  readonly hosts: Hosts;
  /** In the place of store.append. */
  readonly append: (events: readonly Event[]) => Promise<number>;
  readonly onStorageProblem: (error: unknown) => void;
  /** A defect: a rule, a listener, an effect threw. */
  readonly onFault: (text: string) => void;
}

export class SimulatedDaemon {
  readonly engine: Engine;
  readonly book: JobBook;
  readonly store: Store;
  private readonly timers = new Timers(Date.now);
  private readonly gate: DispatchGate;
  private readonly runs: Runs;
  private readonly fleet: Fleet;
  private readonly results: Results;
  private readonly snapshots: Snapshots;
  private readonly handlers: Handlers;
  private readonly log: DaemonLog;
  private dispatching = false;

  constructor(private readonly options: DaemonOptions) {
    const { store, hosts } = options;
    const state = () => this.engine.state;
    const observe = (fact: Fact) => this.engine.observe(fact);
    this.store = store;
    this.log = { error: options.onFault, warn: nothing, info: nothing, debug: nothing, close: async () => undefined };
    this.gate = new DispatchGate(() => void this.engine.dispatch());
    this.engine = new Engine({
      state: store.state,
      sequence: store.sequence,
      append: options.append,
      now: Date.now,
      limits: DEFAULT_LIMITS,
      bootId: hosts.at(SERVER).bootId,
      newRun: (start) => this.newRun(start),
      mayDispatch: () => this.dispatching && this.gate.open,
      perform: (effect) => this.perform(effect),
      onStorageProblem: options.onStorageProblem,
      onFault: (error, where) => options.onFault(`${where}: ${String(error)}`),
    });
    this.book = new JobBook({ state, readHistory: (jids) => store.history.read(jids) });
    this.fleet = this.makeFleet(observe);
    this.runs = new Runs({
      state,
      observe,
      executorOf: (run, className) => this.fleet.executorOf(run, className),
      newRun: (start) => this.newRun(start),
      secret: (name) => store.secrets.get(name),
      caller: null,
      gate: this.gate,
      timers: this.timers,
      now: Date.now,
      killGraceMs: 10_000,
      lookAgain: (machine) => this.fleet.probeLater(machine),
      log: this.log,
    });
    this.results = new Results({
      state,
      observe,
      book: this.book,
      fleet: this.fleet,
      queue: { copy: ({ shell }) => this.copied(shell.machine) },
      workDirectory: "/sim",
      log: this.log,
    });
    const seen = { archive: store.archive.bind(store), snapshot: store.snapshot.bind(store) };
    this.snapshots = new Snapshots({
      engine: this.engine,
      store: Object.defineProperty({ ...seen, journalBytes: 0 }, "journalBytes", { get: () => store.journalBytes * JOURNAL_MAGNIFIED }),
      observe,
      now: Date.now,
      log: { ...this.log, error: nothing },
    });
    this.engine.subscribe((change) => {
      void this.snapshots.considerOne();
      for (const addr of change.before.slots.keys()) if (!change.after.slots.has(addr)) this.fleet.left(addr);
    });
    this.handlers = allHandlers(this.services());
  }

  /** What was left is taken up, and new jobs are handed out. */
  begin(): void {
    const taken = reconcile({
      state: this.engine.state,
      attach: (jid) => this.runs.attach(jid),
      isHere: (run, className) => this.fleet.executorOf(run, className).onThisHost,
      copy: (jid) => void this.results.copy(jid),
      watchBackOff: (jid, notBefore) => this.watchBackOff(jid, notBefore),
      probe: (addr) => this.fleet.probeLater(addr),
      log: this.log,
    });
    taken.catch((error: unknown) => this.options.onFault(`reconcile: ${String(error)}`));
    this.dispatching = true;
    void this.snapshots.considerOne();
    void this.engine.dispatch();
  }

  /** A request as the server hands it on. */
  call(method: MethodName, params: unknown, requestId: string): Promise<unknown> {
    const context = { requestId, signal: new AbortController().signal, emit: async () => undefined };
    // One table, one name: whoever asks knows the parameters of the method.
    const handler = this.handlers[method] as unknown as (params: unknown, context: unknown) => Promise<unknown>;
    return handler(params, context);
  }

  /** A clean stop. */
  async stop(): Promise<void> {
    this.dispatching = false;
    this.gate.stop();
    this.timers.stop();
    this.results.stop();
    this.snapshots.stop();
    this.engine.stop();
    await this.store.close(this.engine);
  }

  private perform(effect: Effect): void {
    this.performed(effect).catch((error: unknown) => this.options.onFault(`${effect.kind}: ${String(error)}`));
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

  private newRun({ state, job, machine, command }: Parameters<NewRun>[0]): Run {
    const runId = stage.dice.name();
    const log = `/sim/logs/${job.jid}-${command}-${runId}`;
    const { spec } = job;
    const place =
      spec.kind === "setup" && spec.class === "" ? (state.machines.get(state.slots.get(machine) ?? -1)?.class ?? "") : spec.class;
    return { runId, machine, ...this.fleet.placeFor(machine, place), log, errLog: `${log}.err` };
  }

  private makeFleet(observe: (fact: Fact) => Promise<void>): Fleet {
    const { hosts } = this.options;
    const ssh = new SimulatedRunner(hosts, "ssh");
    const driver = new SimulatedRunner(hosts, "driver");
    return new Fleet({
      state: () => this.engine.state,
      observe,
      takeUp: async (job) => {
        if (job.state.kind !== "copying") return (await this.runs.attach(job.jid)) === "unreachable" ? "unreachable" : "taken";
        void this.results.copy(job.jid);
        return "taken";
      },
      isAttended: (job) => this.isAttended(job),
      driver: { path: "/sim/driver", args: [] },
      classOptions: (name) => ({ runner: name === DRIVER_CLASS ? "driver" : "ssh", runRoot: null }),
      runners: { local: driver, driver, ssh: () => ssh },
      ssh: { shell: (machine) => this.shell(machine), forgetFailures: () => undefined, forget: () => undefined },
      timers: this.timers,
      now: Date.now,
      random: () => stage.dice.number(),
      log: this.log,
    });
  }

  private isAttended(job: Job): boolean {
    if (job.state.kind === "copying") return this.results.isCopying(job.jid);
    return this.runs.isAttended(runOf(job.state)?.runId ?? "");
  }

  private shell(machine: string): MachineShell {
    const host = this.options.hosts.at(machine);
    return {
      machine,
      run: async () => {
        await later(stage.dice.delayMs(0.5, 2_000));
        if (!host.isReachable) throw new MachineShellError(unreachable(machine));
        return answeringShell();
      },
    };
  }

  private async copied(machine: string): Promise<CopyOutcome> {
    const { dice } = stage;
    await later(dice.delayMs(5, 20_000));
    const { hosts } = this.options;
    if (!hosts.at(machine).isReachable) return { kind: "failed", problem: unreachable(machine), retryable: true };
    const fate = hosts.settling ? 99 : dice.below(100);
    if (fate < 10) return { kind: "failed", problem: problem("transfer-cut", { machine }), retryable: true };
    if (fate < 20) return { kind: "failed", problem: problem("results-unreadable", { machine, path: "x" }), retryable: true };
    return { kind: "copied", resultsPath: "/r", record: "/r/.expjobserver/0.toml", files: [], displaced: [], warnings: [] };
  }

  private services(): Services {
    const { engine, book, store, fleet, gate } = this;
    return {
      engine,
      book,
      now: Date.now,
      secrets: {
        get: (name) => store.secrets.get(name),
        set: (name, value) => store.secrets.set(name, value),
        remove: (name) => store.secrets.remove([name]),
      },
      checkMachine: (addr) => fleet.check(addr),
      forgetConnectFailures: () => fleet.forgetConnectFailures(),
      readRecordedFiles: async () => null,
      takeResults: () => Promise.reject(new Error("not in this world")),
      testWebhooks: async () => [],
      mayHaveDeletedLogOf: () => false,
      gateProblem: () => gate.problem,
      server: {
        version: "0.0.0",
        startedAt: 0,
        address: "127.0.0.1:3030",
        stateDir: "/sim/state",
        logDir: "/sim/logs",
        tokenFile: "/sim/state/token",
        configFile: null,
        runner: null,
        splitsWords: (className) => fleet.usesDriver(className),
        conditions: () => [],
      },
      requestStop: () => undefined,
    };
  }
}

function nothing(): void {
  // Nobody reads this log.
}

function later(delayMs: number): Promise<void> {
  return new Promise((resolve) => stage.time.after(delayMs, "daemon", resolve));
}

/** A command that says nothing and succeeds. */
function answeringShell(): ShellProcess {
  const silence: AsyncIterable<Uint8Array> = { [Symbol.asyncIterator]: () => ({ next: async () => ({ done: true, value: undefined }) }) };
  return {
    stdout: silence,
    stderr: silence,
    collectStderr: async () => "",
    write: async () => undefined,
    closeInput: () => undefined,
    exited: Promise.resolve(0),
    kill: () => undefined,
  };
}
