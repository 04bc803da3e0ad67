/**
 * The inside of a daemon for tests: a real store in a temporary folder, the real engine, runs, fleet and results, and
 * in the place of machines FakeHosts, which survive the daemon. `restart` is a kill -9 and a new daemon on the same disk.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DEFAULT_LIMITS, type NewRun, type UserCommand } from "../../src/core/command.ts";
import { isEnded, type Job, type JobStateKind, type Run, type RunnerKind, runOf } from "../../src/core/job.ts";
import type { Machine } from "../../src/core/machine.ts";
import type { Effect } from "../../src/core/react.ts";
import { type Answer, machineAt } from "../../src/core/state.ts";
import { CopyQueue } from "../../src/daemon/copier/copy-queue.ts";
import type { CopyOptions, CopyOutcome } from "../../src/daemon/copier/copy-results.ts";
import { DispatchGate } from "../../src/daemon/dispatch-gate.ts";
import { Engine } from "../../src/daemon/engine.ts";
import { Fleet } from "../../src/daemon/fleet.ts";
import { JobBook } from "../../src/daemon/job-book.ts";
import { LocalMachineShell } from "../../src/daemon/local-shell.ts";
import type { DaemonLog } from "../../src/daemon/log.ts";
import { type MachineShell, MachineShellError } from "../../src/daemon/machine-shell.ts";
import { reconcile } from "../../src/daemon/reconcile.ts";
import { Results } from "../../src/daemon/results.ts";
import { ResultsTransfer } from "../../src/daemon/results-transfer.ts";
import type { Runner } from "../../src/daemon/runner/runner.ts";
import { Runs } from "../../src/daemon/runs.ts";
import { Timers } from "../../src/daemon/timers.ts";
import { openStore } from "../../src/store/recovery.ts";
import type { Store } from "../../src/store/store.ts";
import { FakeHosts, FakeRunner } from "../fakes/runner.ts";
import { waitFor } from "../support/wait-for.ts";

export class MemoryLog implements DaemonLog {
  readonly lines: string[] = [];
  error = (text: string): void => void this.lines.push(`error: ${text}`);
  warn = (text: string): void => void this.lines.push(`warn: ${text}`);
  info = (text: string): void => void this.lines.push(`info: ${text}`);
  debug = (): void => undefined;
  close = async (): Promise<void> => undefined;

  get errors(): readonly string[] {
    return this.lines.filter((line) => line.startsWith("error: "));
  }
}

export interface AssemblyOptions {
  /** In the place of the fake: by kind. */
  readonly runners?: Partial<Record<RunnerKind, Runner>>;
  readonly driver?: string | null;
  readonly classes?: Readonly<Record<string, { readonly runner: RunnerKind | null; readonly runRoot: string | null }>>;
  /** Default: what is named is there already. */
  readonly copy?: (options: Omit<CopyOptions, "targets">) => Promise<CopyOutcome>;
  readonly answerTimeoutMs?: number;
  readonly shell?: (machine: string) => MachineShell;
}

export class Assembly implements AsyncDisposable {
  readonly log = new MemoryLog();
  engine: Engine;
  timers = new Timers(Date.now);
  gate: DispatchGate;
  runs: Runs;
  fleet: Fleet;
  results: Results;
  transfer: ResultsTransfer;
  book: JobBook;
  dispatching = true;

  private constructor(
    readonly folder: string,
    public store: Store,
    readonly hosts: FakeHosts,
    private readonly options: AssemblyOptions,
  ) {
    const state = () => this.engine.state;
    const observe = (fact: Parameters<Engine["observe"]>[0]) => this.engine.observe(fact);
    this.gate = new DispatchGate(() => void this.engine.dispatch());
    this.engine = new Engine({
      state: store.state,
      sequence: store.sequence,
      append: (events) => this.store.append(events),
      now: Date.now,
      limits: { ...DEFAULT_LIMITS, backOffFirstMs: 20 },
      bootId: "boot-of-this-host",
      newRun: (start) => this.newRun(start),
      mayDispatch: () => this.dispatching && this.gate.open,
      perform: (effect) => void this.perform(effect),
      onStorageProblem: (error) => this.log.error(`storage: ${String(error)}`),
      onFault: (error, where) => this.log.error(`${where}: ${String(error)}`),
    });
    this.book = new JobBook({ state, readHistory: (jids) => this.store.history.read(jids) });
    const fake = new FakeRunner(hosts);
    const { runners = {} } = options;
    this.fleet = new Fleet({
      state,
      observe,
      takeUp: async (job) => {
        if (job.state.kind !== "copying") return (await this.runs.attach(job.jid)) === "unreachable" ? "unreachable" : "taken";
        void this.results.copy(job.jid);
        return "taken";
      },
      isAttended: (job) =>
        job.state.kind === "copying" ? this.results.isCopying(job.jid) : this.runs.isAttended(runOf(job.state)?.runId ?? ""),
      driver: options.driver == null ? null : { path: options.driver, args: [] },
      classOptions: (className) => options.classes?.[className] ?? { runner: null, runRoot: null },
      runners: { local: runners.local ?? fake, driver: runners.driver ?? null, ssh: () => runners.ssh ?? fake },
      ssh: { shell: options.shell ?? ((machine) => this.shell(machine)), forgetFailures: () => undefined, forget: () => undefined },
      timers: this.timers,
      now: Date.now,
      random: () => 0.5,
      log: this.log,
      answerTimeoutMs: options.answerTimeoutMs ?? 5_000,
      probeFirstMs: 20,
    });
    this.runs = new Runs({
      state,
      observe,
      executorOf: (run, className) => this.fleet.executorOf(run, className),
      newRun: (start) => this.newRun(start),
      secret: (name) => this.store.secrets.get(name),
      caller: null,
      gate: this.gate,
      timers: this.timers,
      now: Date.now,
      killGraceMs: 30,
      lookAgain: (machine) => this.fleet.probeLater(machine),
      log: this.log,
    });
    const copied: CopyOutcome = {
      kind: "copied",
      resultsPath: "/results",
      record: "/results/.expjobserver/0.toml",
      files: [],
      displaced: [],
      warnings: [],
    };
    const queue = new CopyQueue();
    this.results = new Results({
      state,
      observe,
      book: this.book,
      fleet: this.fleet,
      queue: { copy: options.copy ?? (async () => copied) },
      workDirectory: folder,
      log: this.log,
    });
    this.transfer = new ResultsTransfer({ state, observe, book: this.book, results: this.results, queue, now: Date.now, log: this.log });
  }

  static async open(options: AssemblyOptions = {}): Promise<Assembly> {
    return await Assembly.in(mkdtempSync(join(tmpdir(), "expjob-assembly-")), new FakeHosts(), options);
  }

  static async in(folder: string, hosts: FakeHosts, options: AssemblyOptions = {}): Promise<Assembly> {
    const store = await openStore(join(folder, "state"), {
      allowSnapshotFailure: false,
      allowNetworkFileSystem: true,
      highestIdInLogs: () => -1,
      now: Date.now,
    });
    return new Assembly(folder, store, hosts, options);
  }

  /** A kill -9 and a new start; nothing is handed out and nothing taken up before `begin`. */
  async restart(options: AssemblyOptions = this.options): Promise<Assembly> {
    this.silence();
    await this.store.close(null);
    const next = await Assembly.in(this.folder, this.hosts, options);
    next.dispatching = false;
    return next;
  }

  async begin(): Promise<void> {
    const taken = reconcile({
      state: this.engine.state,
      attach: (jid) => this.runs.attach(jid),
      isHere: (run, className) => this.fleet.executorOf(run, className).onThisHost,
      copy: (jid) => void this.results.copy(jid),
      watchBackOff: () => undefined,
      probe: (addr) => this.fleet.probeLater(addr),
      log: this.log,
    });
    this.dispatching = true;
    await this.engine.dispatch();
    await taken;
  }

  async pool(className: string, ...addrs: readonly string[]): Promise<void> {
    await this.engine.submit({ kind: "add-machines", addrs, class: className });
  }

  /** @returns its id */
  async add(more: Partial<Extract<UserCommand, { kind: "add-jobs" }>> = {}): Promise<number> {
    const answer: Answer = await this.engine.submit({
      kind: "add-jobs",
      class: "x",
      cmd: "true",
      copyTo: null,
      count: 1,
      retry: null,
      timeoutSeconds: null,
      tag: null,
      notify: false,
      ...more,
    });
    if (answer.kind !== "jobs") throw new Error(answer.kind);
    return answer.first;
  }

  cancel(jid: number, forget = false): Promise<Answer> {
    return this.engine.submit({ kind: "cancel-jobs", jids: [jid], recalled: [], forget, lenient: false });
  }

  job(jid: number): Job {
    const job = this.engine.state.jobs.get(jid);
    if (job === undefined) throw new Error(`there is no job ${jid}`);
    return job;
  }

  run(jid: number): Run {
    const run = runOf(this.job(jid).state);
    if (run === null) throw new Error(`job ${jid} has no run`);
    return run;
  }

  machine(addr: string): Machine {
    const machine = machineAt(this.engine.state, addr);
    if (machine === undefined) throw new Error(`there is no machine ${addr}`);
    return machine;
  }

  async until(jid: number, kind: JobStateKind): Promise<void> {
    await waitFor(() => this.job(jid).state.kind === kind, { what: () => JSON.stringify([kind, this.job(jid).state, this.log.lines]) });
  }

  async untilEnded(jid: number): Promise<void> {
    await waitFor(() => isEnded(this.job(jid).state), { what: () => JSON.stringify([this.job(jid).state, this.log.lines]) });
  }

  /** A job that runs on the fakes. @returns its run id */
  async running(more: Parameters<Assembly["add"]>[0] = {}): Promise<{ jid: number; runId: string }> {
    const jid = await this.add(more);
    await this.until(jid, "running");
    return { jid, runId: this.run(jid).runId };
  }

  /** What the job has printed, before `finish`. */
  printed(jid: number, text: string): void {
    writeFileSync(this.run(jid).log, text);
  }

  /** A stop that leaves the folder. */
  async close(): Promise<void> {
    this.silence();
    await this.store.close(null);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private silence(): void {
    this.dispatching = false;
    this.gate.stop();
    this.timers.stop();
    this.results.stop();
    this.engine.stop();
  }

  private shell(machine: string): MachineShell {
    const { hosts } = this;
    return {
      machine,
      run: async (script, options) => {
        const gone = hosts.unreachable.get(machine);
        if (gone !== undefined) throw new MachineShellError(gone);
        return await new LocalMachineShell(machine).run(script, options);
      },
    };
  }

  private runsNamed = 0;

  private newRun({ job, machine, command }: Parameters<NewRun>[0]): Run {
    const log = join(this.folder, command === 0 ? `${job.jid}-log` : `${job.jid}-log.${command + 1}`);
    const runId = `run${job.jid}n${this.runsNamed++}n${Math.random().toString(36).slice(2)}`;
    return { runId, machine, ...this.fleet.placeFor(machine, job.spec.class), log, errLog: `${log}.err` };
  }

  private async perform(effect: Effect): Promise<void> {
    try {
      await this.performed(effect);
    } catch (error) {
      this.log.error(`${effect.kind}: ${String(error)}`);
    }
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
        return this.timers.set(`back-off ${effect.jid}`, effect.notBefore, () => {
          void this.engine.observe({ kind: "back-off-over", jid: effect.jid });
        });
      case "probe-machine":
        return this.fleet.probeLater(effect.addr);
    }
  }
}
