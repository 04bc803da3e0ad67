/**
 * A small laboratory for tests of the rules: holds a state, puts commands and facts through decide and
 * apply, and checks the invariants after every event. It knows no rule of its own.
 */
import { expect } from "bun:test";
import { apply } from "../../src/core/apply.ts";
import {
  type AddJobs,
  type AddMatrix,
  type Command,
  type Context,
  DEFAULT_LIMITS,
  type Fact,
  type Limits,
  type UserCommand,
} from "../../src/core/command.ts";
import { decide } from "../../src/core/decide.ts";
import type { Event, EventKind } from "../../src/core/event.ts";
import { violations } from "../../src/core/invariants.ts";
import { type CopiedResults, type Job, type JobState, type JobStateKind, type Run, runOf } from "../../src/core/job.ts";
import type { Machine } from "../../src/core/machine.ts";
import { type Problem, problem } from "../../src/core/problem.ts";
import { schedule } from "../../src/core/schedule.ts";
import { type Answer, EMPTY_STATE, machineAt, type State } from "../../src/core/state.ts";

export class Lab {
  /** Milliseconds; a test sets it. */
  now = 1_000;
  limits: Limits = DEFAULT_LIMITS;
  state: State = EMPTY_STATE;
  /** Everything that ever happened. */
  readonly journal: Event[] = [];
  private runsNamed = 0;

  /** A pool of one class. */
  static withMachines(...addrs: readonly string[]): Lab {
    const lab = new Lab();
    lab.command({ kind: "add-machines", addrs, class: "fast" });
    return lab;
  }

  get context(): Context {
    return { now: this.now, limits: this.limits, bootId: null };
  }

  /** @returns what happened */
  command(command: Command): readonly Event[] {
    const decision = decide(this.state, command, this.context);
    if (decision.kind === "refused") throw new Error(`${command.kind} was refused: ${decision.code}`);
    this.happen(decision.events);
    return decision.events;
  }

  answer(command: UserCommand): Answer {
    const decision = decide(this.state, command, this.context);
    if (decision.kind === "refused") throw new Error(`${command.kind} was refused: ${decision.code}`);
    this.happen(decision.events);
    return decision.answer;
  }

  /** The refusal of a command, as `code` or `code: data`. */
  refusal(command: UserCommand): string | null {
    const decision = decide(this.state, command, this.context);
    if (decision.kind === "accepted") return null;
    const data = Object.values(decision.data)
      .filter((part) => part !== "")
      .join(" ");
    return data === "" ? decision.code : `${decision.code}: ${data}`;
  }

  happen(events: readonly Event[]): void {
    for (const event of events) {
      this.state = apply(this.state, event);
      this.journal.push(event);
      const broken = violations(this.state);
      if (broken.length > 0) throw new Error(`after ${event.kind}: ${broken.join("; ")}`);
    }
  }

  add(job: Partial<AddJobs> = {}): number {
    const answer = this.answer(addJobs(job));
    if (answer.kind !== "jobs") throw new Error(`jobs were answered with ${answer.kind}`);
    return answer.first;
  }

  addMatrix(matrix: Partial<AddMatrix>): { readonly id: number; readonly first: number; readonly count: number } {
    const answer = this.answer(addMatrix(matrix));
    if (answer.kind !== "matrix") throw new Error(`a matrix was answered with ${answer.kind}`);
    return answer;
  }

  /** Lets the scheduler hand out what it can. @returns `jid@machine` for each start */
  dispatch(): readonly string[] {
    const events = schedule(this.state, this.context, ({ job, machine }) => this.newRun(job.jid, machine));
    this.happen(events);
    return events.flatMap((event) => (event.kind === "job-starting" ? [`${event.jid}@${event.run.machine}`] : []));
  }

  /** One job that runs. */
  running(job: Partial<AddJobs> = {}): number {
    const jid = this.add(job);
    this.dispatch();
    this.start(jid);
    return jid;
  }

  start(jid: number): readonly Event[] {
    return this.command({ kind: "run-started", jid, runId: this.runId(jid), at: this.now });
  }

  exit(jid: number, exitCode: number, more: Partial<Extract<Fact, { kind: "run-exited" }>> = {}): readonly Event[] {
    return this.command({
      kind: "run-exited",
      jid,
      runId: this.runId(jid),
      startedAt: null,
      at: this.now,
      exitCode,
      prefixes: [],
      invalidLine: null,
      ...more,
    });
  }

  lose(jid: number, sessionEmpty: boolean): readonly Event[] {
    return this.command({ kind: "run-lost", jid, runId: this.runId(jid), problem: problem("rebooted"), sessionEmpty });
  }

  cancel(jids: readonly number[], how: { forget?: boolean; lenient?: boolean; recalled?: readonly Job[] } = {}): Answer {
    return this.answer({ kind: "cancel-jobs", jids, recalled: [], forget: false, lenient: false, ...how });
  }

  unreachable(addr: string, reason: Problem = problem("unreachable")): readonly Event[] {
    return this.command({ kind: "machine-unreachable", addr, problem: reason });
  }

  job(jid: number): Job {
    const job = this.state.jobs.get(jid);
    if (job === undefined) throw new Error(`there is no job ${jid}`);
    return job;
  }

  kind(jid: number): JobStateKind {
    return this.job(jid).state.kind;
  }

  /** The state of a job that is expected to be of this kind. */
  stateOf<Kind extends JobStateKind>(jid: number, kind: Kind): Extract<JobState, { kind: Kind }> {
    const { state } = this.job(jid);
    expect(state.kind).toBe(kind);
    return state as Extract<JobState, { kind: Kind }>;
  }

  runId(jid: number): string {
    const run = runOf(this.job(jid).state);
    if (run === null) throw new Error(`job ${jid} has no run`);
    return run.runId;
  }

  machine(addr: string): Machine {
    const machine = machineAt(this.state, addr);
    if (machine === undefined) throw new Error(`there is no machine ${addr}`);
    return machine;
  }

  private newRun(jid: number, machine: string): Run {
    this.runsNamed++;
    return { runId: `run-${this.runsNamed}`, machine, log: `/logs/${jid}.out`, errLog: `/logs/${jid}.err` };
  }
}

export function addJobs(job: Partial<AddJobs> = {}): AddJobs {
  return {
    kind: "add-jobs",
    class: "fast",
    cmd: "measure",
    copyTo: null,
    count: 1,
    retry: null,
    timeoutSeconds: null,
    tag: null,
    notify: false,
    ...job,
  };
}

export function addMatrix(matrix: Partial<AddMatrix> = {}): AddMatrix {
  const { tag: _tag, ...job } = addJobs();
  return { ...job, kind: "add-matrix", keys: [], ...matrix };
}

export const someResults: CopiedResults = {
  path: "/results",
  fileCount: 1,
  bytes: 3,
  files: null,
  record: "/results/.expjobserver/0.toml",
};

export function kinds(events: readonly Event[]): readonly EventKind[] {
  return events.map((event) => event.kind);
}
