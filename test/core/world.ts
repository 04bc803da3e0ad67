/**
 * A simulated world for the rules: machines that run, refuse, end and lose what they are given, people who
 * ask for things, and a daemon that does what engine.ts does, without disk or network. It knows the truth
 * about every run and compares what the rules believe with it.
 */

import { apply } from "../../src/core/apply.ts";
import { type Command, type Context, DEFAULT_LIMITS, type Fact } from "../../src/core/command.ts";
import { decide } from "../../src/core/decide.ts";
import type { Event } from "../../src/core/event.ts";
import { violations } from "../../src/core/invariants.ts";
import { isEnded, type Job, type Run, runOf } from "../../src/core/job.ts";
import { jobOn } from "../../src/core/machine.ts";
import { type Problem, type ProblemCode, problem } from "../../src/core/problem.ts";
import { react } from "../../src/core/react.ts";
import { schedule } from "../../src/core/schedule.ts";
import { EMPTY_STATE, machineAt, type State } from "../../src/core/state.ts";
import { addJobs, addMatrix, someResults } from "./lab.ts";

/** What a run truly is. "refused": it never began. "vanished": it ended and nobody can tell how. */
type Truth = "pending" | "alive" | "refused" | "ended" | "vanished";

interface TrueRun {
  readonly jid: number;
  readonly run: Run;
  truth: Truth;
  exitCode: number | null;
}

export const ACTIONS = [
  "add-jobs",
  "add-matrix",
  "add-machine",
  "move-machine",
  "remove-machine",
  "restore-machine",
  "set-secret",
  "remove-secret",
  "cancel",
  "hold",
  "unhold",
  "add-setup",
  "clone",
  "restart",
  "set-timeout",
  "add-tag",
  "tag",
  "set-line",
  "start",
  "start",
  "start",
  "refuse",
  "exit",
  "exit",
  "exit",
  "lose",
  "find",
  "stale",
  "copy",
  "fetch-later",
  "timeout",
  "back-off",
  "unreachable",
  "reachable",
  "archive",
  "wait",
] as const;

export interface Step {
  readonly action: (typeof ACTIONS)[number];
  /** Choose among what there is. */
  readonly pick: number;
  readonly detail: number;
}

const ADDRS = ["a", "b", "c", "local/1"] as const;
const CLASSES = ["fast", "slow"] as const;
const NOT_STARTED: readonly [ProblemCode, ...ProblemCode[]] = [
  "driver-missing",
  "unreachable",
  "host-key-unknown",
  "no-space",
  "start-failed",
];

export class World {
  state: State = EMPTY_STATE;
  readonly journal: Event[] = [];
  readonly runs: TrueRun[] = [];
  readonly history = new Map<number, Job>();
  private now = 1_000;
  private runsNamed = 0;

  take(step: Step): void {
    this.now += 1 + (step.detail % 7) * 1_000;
    for (const command of this.commandsOf(step)) this.carryOut(command);
  }

  /** Everything that stands in the way goes, every run ends: then nothing may be left waiting. */
  settle(): void {
    this.carryOut({ kind: "set-variable", name: "KEY", value: "k", secret: true });
    this.carryOut({ kind: "add-machines", addrs: ["spare/0"], class: "fast" });
    this.carryOut({ kind: "add-machines", addrs: ["spare/1"], class: "slow" });
    // A machine that is half set up takes no other job.
    const halfWay = this.live().filter(({ state }) => state.kind === "held" && state.step !== undefined);
    if (halfWay.length > 0) this.carryOut({ kind: "unhold-jobs", jids: halfWay.map(({ jid }) => jid), lenient: false });
    const waitsForIt = new Set(this.state.setups.values());
    this.carryOut({ kind: "restore-machines", addrs: [...waitsForIt] });
    for (let before: State | null = null; before !== this.state; ) {
      before = this.state;
      for (const job of this.live()) {
        if (job.state.kind === "waiting" && job.state.notBefore !== null) this.carryOut({ kind: "back-off-over", jid: job.jid });
        if (job.state.kind === "unknown") this.carryOut(cancel([job.jid]));
        if (job.state.kind === "starting") for (const fact of this.startOf(this.truth(job))) this.carryOut(fact);
      }
      for (const job of this.live()) {
        if (job.state.kind === "running") this.carryOut(this.exitOf(this.truth(job), 0, 0));
        if (job.state.kind === "copying") this.carryOut(copied(job));
      }
    }
  }

  private get context(): Context {
    return { now: this.now, limits: DEFAULT_LIMITS, bootId: "boot" };
  }

  live(): readonly Job[] {
    return [...this.state.jobs.values()].filter((job) => !isEnded(job.state));
  }

  private carryOut(command: Command): void {
    const decision = decide(this.state, command, this.context);
    if (decision.kind === "refused") throw new Error(`${JSON.stringify(command)} was refused: ${decision.code}`);
    if (decision.events.length === 0) return;
    this.happen(decision.events);
    this.happen(schedule(this.state, this.context, ({ job, machine }) => this.newRun(job.jid, machine)));
  }

  private happen(events: readonly Event[]): void {
    for (const event of events) {
      const before = this.state;
      this.state = apply(before, event);
      this.journal.push(event);
      const broken = violations(this.state);
      if (broken.length > 0) throw new Error(`after ${event.kind}: ${broken.join("; ")}`);
      if (this.state.nextId < before.nextId) throw new Error(`after ${event.kind} ids went back`);
      this.checkNewIds(before);
      for (const effect of react(event, before, this.state)) {
        if (effect.kind === "start-run") this.startRequested(effect.jid);
      }
      if (event.kind === "job-forgotten") this.history.delete(event.jid);
      if (event.kind === "jobs-archived") for (const jid of event.jids) this.keep(before.jobs.get(jid));
    }
  }

  private keep(job: Job | undefined): void {
    if (job !== undefined) this.history.set(job.jid, job);
  }

  private checkNewIds(before: State): void {
    for (const [jid] of this.state.jobs.entriesFrom(before.nextId)) {
      if (before.jobs.has(jid) || this.history.has(jid)) throw new Error(`id ${jid} was drawn twice`);
    }
  }

  /** In memory or in history; no more than a handful, so that clones do not outgrow the world. */
  private known(jids: readonly number[]): readonly Job[] {
    return jids.flatMap((jid) => this.state.jobs.get(jid) ?? this.history.get(jid) ?? []).slice(0, 5);
  }

  private newRun(jid: number, machine: string): Run {
    const name = `run-${this.runsNamed++}-${jid}-${machine}`;
    return { runId: name, machine, log: `/logs/${name}.out`, errLog: `/logs/${name}.err` };
  }

  /** The rules have asked for a start: here it is checked what they may not do. */
  private startRequested(jid: number): void {
    const job = this.state.jobs.get(jid);
    const run = job === undefined ? null : runOf(job.state);
    if (run === null) throw new Error(`job ${jid} is to be started without a run`);
    if (this.runs.some((other) => other.run.runId === run.runId)) throw new Error(`run ${run.runId} is started twice`);
    // The commands of a setup job are runs of their own, each after the one before it succeeded.
    const setup = job?.spec.kind === "setup";
    const former = this.runs.find((other) => other.jid === jid && other.truth !== "refused" && !(setup && other.exitCode === 0));
    if (former !== undefined) throw new Error(`job ${jid} is started again, though its run ${former.run.runId} is ${former.truth}`);
    const there = this.runs.find((other) => other.run.machine === run.machine && this.mayLive(other));
    if (there !== undefined) throw new Error(`job ${jid} is started on ${run.machine} beside job ${there.jid}`);
    this.runs.push({ jid, run, truth: "pending", exitCode: null });
  }

  /** Alive or about to be, and nobody has said to go on regardless. */
  private mayLive({ jid, truth, run }: TrueRun): boolean {
    if (truth !== "alive" && truth !== "pending") return false;
    const job = this.state.jobs.get(jid) ?? this.history.get(jid);
    if (job === undefined || runOf(job.state)?.runId !== run.runId) return false;
    return !(job.state.kind === "canceled" && job.state.problem.code === "processes-may-still-run");
  }

  private commandsOf({ action, pick, detail }: Step): readonly Command[] {
    const addr = chosen(ADDRS, pick);
    const ids = [...this.state.jobs.keys(), ...this.history.keys()];
    const some = ids.filter((_, index) => (index + pick) % (1 + (detail % 4)) === 0);
    switch (action) {
      case "add-jobs":
        return [
          addJobs({
            class: chosen(CLASSES, detail),
            cmd: chosen(["run {JID}", "run {KEY}", "other"], pick),
            count: 1 + (detail % 3),
            retry: chosen([null, { maxFailures: 2 }, { maxFailures: null }], pick),
            copyTo: chosen([null, "/r"], detail),
            timeoutSeconds: chosen([null, 60], pick),
          }),
        ];
      case "add-matrix":
        return [addMatrix({ class: chosen(CLASSES, pick), keys: [{ name: "A", values: ["1", "2"] }], retry: { maxFailures: 3 } })];
      case "add-machine":
        return [{ kind: "add-machines", addrs: [addr], class: chosen(CLASSES, detail) }];
      case "move-machine":
        return [{ kind: "move-machines", addrs: [addr], class: chosen(CLASSES, detail) }];
      case "remove-machine":
        return [{ kind: "remove-machines", addrs: ADDRS.slice(pick % ADDRS.length, (pick % ADDRS.length) + 1 + (detail % 2)) }];
      case "restore-machine":
        return [{ kind: "restore-machines", addrs: [addr] }];
      case "set-secret":
        return [{ kind: "set-variable", name: "KEY", value: "k", secret: true }];
      case "remove-secret":
        return [{ kind: "remove-variables", names: ["KEY"] }];
      case "cancel":
        return [
          { ...cancel(some), forget: detail % 3 === 0, recalled: [...this.history.values()].filter(({ jid }) => some.includes(jid)) },
        ];
      case "hold":
        return [{ kind: "hold-jobs", jids: some, lenient: detail % 2 === 0 }];
      case "unhold":
        return [{ kind: "unhold-jobs", jids: some, lenient: detail % 2 === 0 }];
      case "add-setup":
        return [
          {
            kind: "add-setups",
            addrs: [addr, chosen(ADDRS, detail)],
            class: chosen([null, ...CLASSES], detail) ?? null,
            cmds: ["install", "tune {KEY}", "reboot"].slice(detail % 3),
            timeoutSeconds: chosen([null, 60], pick) ?? null,
            staggerSeconds: chosen([0, 5], pick),
            notify: false,
          },
        ];
      case "clone":
      case "restart":
        return [{ kind: "clone-jobs", jobs: this.known(some), count: 1 + (detail % 2), restart: action === "restart" }];
      case "set-timeout":
        return [{ kind: "set-timeout", jids: some, lenient: detail % 2 === 0, timeoutSeconds: chosen([null, 30, 90], detail) ?? null }];
      case "add-tag":
        return [{ kind: "add-tag" }];
      case "tag": {
        const tag = chosen([null, ...this.state.tags.keys()], pick) ?? null;
        return [{ kind: "tag-jobs", jids: some, recalled: this.known(some), lenient: detail % 2 === 0, tag }];
      }
      case "set-line":
        return [{ kind: "set-line", jid: chosen([null, ...ids], pick) ?? null }];
      case "archive":
        return [{ kind: "jobs-in-history", jobs: [...this.state.jobs.values()].filter((job) => isEnded(job.state)).slice(detail % 3) }];
      case "unreachable":
        return [{ kind: "machine-unreachable", addr, problem: reasonOf(detail) }];
      case "reachable":
        return [{ kind: "machine-reachable", addr }];
      case "wait":
        return [];
      case "back-off":
        return ids.map((jid) => ({ kind: "back-off-over", jid }));
      case "copy":
        return this.live()
          .filter(({ state }) => state.kind === "copying")
          .map((job) => (detail % 3 === 0 ? copyFailed(job) : copied(job)));
      case "fetch-later": {
        const job = chosen([...this.state.jobs.values(), ...this.history.values()], pick);
        return job === undefined ? [] : [{ kind: "results-changed", job, results: someResults }];
      }
      case "start":
      case "refuse":
      case "exit":
      case "lose":
      case "find":
      case "stale":
      case "timeout": {
        const run = chosen(this.runs, pick);
        return run === undefined ? [] : this.factsOf(action, run, detail);
      }
    }
  }

  private factsOf(
    action: "start" | "refuse" | "exit" | "lose" | "find" | "stale" | "timeout",
    run: TrueRun,
    detail: number,
  ): readonly Fact[] {
    const { jid } = run;
    const { runId } = run.run;
    switch (action) {
      case "start":
        // The news of a start may get lost.
        return this.startOf(run).filter(() => detail % 4 !== 0);
      case "refuse":
        if (run.truth === "pending") run.truth = "refused";
        return run.truth === "refused" ? [{ kind: "run-not-started", jid, runId, problem: reasonOf(detail) }] : [];
      case "exit":
        return run.truth === "alive" ? [this.exitOf(run, chosen([0, 0, 1, 137], detail), detail)] : [];
      case "lose": {
        if (run.truth === "pending") return [];
        const sessionEmpty = detail % 2 === 0 || run.truth !== "alive";
        if (run.truth === "alive" && sessionEmpty) run.truth = "vanished";
        return [{ kind: "run-lost", jid, runId, problem: problem("supervisor-gone"), sessionEmpty }];
      }
      case "find":
        return run.truth === "alive" ? [{ kind: "run-found", jid, runId, startedAt: this.now }] : [];
      case "stale":
        return [
          { kind: "run-started", jid, runId: `${runId}-of-before`, at: this.now },
          { kind: "run-lost", jid, runId: `${runId}-of-before`, problem: problem("rebooted"), sessionEmpty: true },
          { kind: "run-exited", jid: jid + 1_000, runId, startedAt: null, at: 1, exitCode: 0, prefixes: [], invalidLine: null },
        ];
      case "timeout":
        return [{ kind: "timeout-reached", jid, runId }];
    }
  }

  private startOf(run: TrueRun): readonly Fact[] {
    if (run.truth === "pending") run.truth = "alive";
    const { jid } = run;
    return run.truth === "alive" ? [{ kind: "run-started", jid, runId: run.run.runId, at: this.now }] : [];
  }

  private exitOf(run: TrueRun, exitCode: number, detail: number): Fact {
    run.truth = "ended";
    run.exitCode = exitCode;
    return {
      kind: "run-exited",
      jid: run.jid,
      runId: run.run.runId,
      startedAt: chosen([null, this.now - 1], detail),
      at: this.now,
      exitCode,
      prefixes: chosen([[], ["out"]], detail),
      invalidLine: detail % 11 === 10 ? problem("results-line-invalid") : null,
      nextRun: this.newRun(run.jid, run.run.machine),
    };
  }

  private truth(job: Job): TrueRun {
    const run = this.runs.find((candidate) => candidate.run.runId === runOf(job.state)?.runId);
    if (run === undefined) throw new Error(`job ${job.jid} is ${job.state.kind} in a run that was never asked for`);
    return run;
  }

  /** What the rules believe about ended jobs against what happened. */
  lies(): readonly string[] {
    return [...this.state.jobs.values(), ...this.history.values()].flatMap(({ jid, state }) => {
      const run = runOf(state);
      const truth = this.runs.find((candidate) => candidate.run.runId === run?.runId);
      const believed = state.kind === "done" ? 0 : state.kind === "failed" || state.kind === "canceled" ? state.exitCode : null;
      return believed === null || truth?.exitCode === believed
        ? []
        : [`job ${jid} is ${state.kind} with ${believed}, not ${truth?.exitCode}`];
    });
  }

  /** Waiting although a machine of its class is free and nothing keeps it back. */
  overlooked(): readonly number[] {
    const free = (className: string) =>
      [...this.state.machines.values()].some(
        (machine) => machine.class === className && jobOn(machine) === null && machineAt(this.state, machine.addr)?.health.kind === "ok",
      );
    return this.live().flatMap((job) => {
      if (job.state.kind !== "waiting") return [];
      if (job.spec.kind === "job") return free(job.spec.class) ? [job.jid] : [];
      const machine = machineAt(this.state, job.spec.machine);
      return machine === undefined || (jobOn(machine) === null && machine.health.kind === "ok") ? [job.jid] : [];
    });
  }
}

function cancel(jids: readonly number[]): Extract<Command, { kind: "cancel-jobs" }> {
  return { kind: "cancel-jobs", jids, recalled: [], forget: false, lenient: false };
}

function copied(job: Job): Fact {
  return { kind: "results-copied", jid: job.jid, runId: runOf(job.state)?.runId ?? "", results: someResults, warning: null };
}

function copyFailed(job: Job): Fact {
  return { kind: "results-failed", jid: job.jid, runId: runOf(job.state)?.runId ?? "", problem: problem("transfer-cut") };
}

function reasonOf(detail: number): Problem {
  return problem(chosen(NOT_STARTED, detail));
}

function chosen<Item>(items: readonly [Item, ...Item[]], pick: number): Item;
function chosen<Item>(items: readonly Item[], pick: number): Item | undefined;
function chosen<Item>(items: readonly Item[], pick: number): Item | undefined {
  return items[pick % Math.max(1, items.length)];
}
