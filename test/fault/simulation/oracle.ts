/**
 * What must be true whatever happens, judged from outside the daemon: by the records that became durable, the answers that
 * people got, and what the hosts truly executed.
 */
import { apply, applyAll, IllegalEvent } from "../../../src/core/apply.ts";
import type { Event } from "../../../src/core/event.ts";
import { violations } from "../../../src/core/invariants.ts";
import { isEnded, type Job, runOf } from "../../../src/core/job.ts";
import { EMPTY_STATE, type State } from "../../../src/core/state.ts";
import { encodeState } from "../../../src/store/snapshot/state-codec.ts";
import type { Store } from "../../../src/store/store.ts";
import { StoreError } from "../../../src/store/store-error.ts";
import type { Execution } from "./hosts.ts";
import { stage } from "./stage.ts";

export interface Added {
  readonly first: number;
  readonly count: number;
}

export class Oracle {
  readonly violations: string[] = [];
  /** What is durable, by our own count. */
  state: State = EMPTY_STATE;
  sequence = 0;
  /** By request id: what it added. */
  readonly added = new Map<string, Added>();
  readonly issued = new Set<string>();
  readonly forgotten = new Set<number>();
  /** Ended jobs that left the state, and all others that ever were. */
  readonly everSeen = new Set<number>();
  private readonly answered = new Set<string>();
  /** Asked to be written and not yet answered, in order. */
  private pending: (readonly Event[])[] = [];
  /** The disk failed when they were written: they may be there or not. */
  private doubtful: (readonly Event[])[] = [];
  /** The same of earlier lives, each for itself: what a failed disk hid it may show again until something is written behind it. */
  private hidden: (readonly (readonly Event[])[])[] = [];
  private stopBegun = false;
  private readonly intended = new Set<string>();
  private readonly notStarted = new Set<string>();
  private readonly excused = new Set<string>();
  private readonly executions = new Map<string, Execution>();
  private readonly byJob = new Map<number, Execution[]>();

  /** The daemon's way to the journal, watched. */
  appendTo(store: Store): (events: readonly Event[]) => Promise<number> {
    return async (events) => {
      if (events.length > 0) this.pending.push(events);
      try {
        const sequence = await store.append(events);
        if (events.length > 0) this.written(events, sequence);
        return sequence;
      } catch (error) {
        this.pending = this.pending.filter((entry) => entry !== events);
        const isCertain = error instanceof StoreError && (error.code === "no-space" || error.code === "closed");
        if (!isCertain && events.length > 0) this.doubtful.push(events);
        throw error;
      }
    };
  }

  /** A store that was just opened holds all that was acknowledged, and of the rest a prefix. */
  recovered(store: Store): void {
    const more = store.sequence - this.sequence;
    if (more < 0) return this.say(`D1: ${-more} acknowledged records are missing`);
    const candidates = [[...this.pending, ...this.doubtful], ...this.hidden];
    const most = Math.max(...candidates.map((records) => records.length));
    const refused = more - most - (this.stopBegun ? 1 : 0);
    if (refused > 0) return this.say(`D2: ${refused} records are there that were refused`);
    for (const events of this.recordsBehind(candidates, more, store)) this.happened(events);
    this.stopBegun = false;
    this.sequence = store.sequence;
    this.hidden = more > 0 ? [] : [...this.hidden, this.doubtful];
    this.pending = [];
    this.doubtful = [];
    const [ours, theirs] = [textOf(this.state), textOf(store.state)];
    if (ours !== theirs) this.say(`what was recovered differs from what was written: ${firstDifference(ours, theirs)}`);
    this.state = store.state;
    this.judgeSecrets(store);
  }

  /** A clean stop: the store may add a record of its own, after all others. */
  stops(): void {
    this.stopBegun = true;
  }

  /**
   * The records that came after those that were acknowledged: some that follow one another in one of `candidates`, because each
   * that failed was in the place of the one before. At a stop the last may be the store's own. What is there tells which.
   */
  private recordsBehind(candidates: readonly (readonly (readonly Event[])[])[], more: number, store: Store): readonly (readonly Event[])[] {
    if (more === 0) return [];
    const possible = candidates.flatMap((records) => {
      const before = records.slice(0, more - 1);
      const own = [...before, [lastRecord(applyAll(this.state, before.flat()))]];
      const following = records.map((_, index) => records.slice(index, index + more));
      return [...following, ...(this.stopBegun ? [own] : [])].filter((one) => one.length === more);
    });
    const theirs = textOf(store.state);
    return possible.find((records) => this.leadsTo(theirs, records.flat())) ?? possible[0] ?? [];
  }

  private leadsTo(text: string, events: readonly Event[]): boolean {
    try {
      return textOf(applyAll(this.state, events)) === text;
    } catch (error) {
      // It followed one that is not there.
      if (error instanceof IllegalEvent) return false;
      throw error;
    }
  }

  /** A secret that has a name has a value: the value is written first, and goes last. */
  judgeSecrets(store: Store): void {
    for (const { name, kind } of this.state.variables.values()) {
      if (kind === "secret" && store.secrets.get(name) === undefined) this.say(`D1: the secret ${name} has no value`);
    }
  }

  /** A run begins on a host. */
  started(execution: Execution, alive: readonly Execution[]): void {
    const { runId, jid, machine, command } = execution.request;
    const name = `run ${runId} of job ${jid} on ${machine}`;
    if (!this.intended.has(runId)) this.say(`S1: ${name} began without a durable intent`);
    if (this.notStarted.has(runId)) this.say(`S2: ${name} began after it was declared not started`);
    const former = this.byJob.get(jid) ?? [];
    const wrong = former.find((other) => other.request.command >= command || other.exitCode !== 0);
    if (wrong !== undefined) this.say(`S3: ${name} is another attempt; the former is ${wrong.phase} with ${wrong.exitCode}`);
    // A person gave it up unproven and freed its machine: its start may still have been on its way.
    if (this.excused.has(runId)) return;
    for (const other of alive) {
      if (other === execution || other.request.machine !== machine || this.excused.has(other.request.runId)) continue;
      this.say(`S5: ${name} began beside run ${other.request.runId} of job ${other.request.jid}`);
    }
    this.judgeRetry(jid, name);
    this.executions.set(runId, execution);
    this.byJob.set(jid, [...former, execution]);
  }

  /** A client holds an answer in its hands. */
  acknowledged(requestId: string, answer: unknown): void {
    const added = this.added.get(requestId);
    if (added === undefined || typeof answer !== "object" || answer === null || !("first" in answer) || !("count" in answer)) return;
    if (answer.first !== added.first || answer.count !== added.count) {
      this.say(`D2: request ${requestId} was answered with ${JSON.stringify(answer)}, and made ${JSON.stringify(added)}`);
    }
  }

  /** At the end of it all. @param known ids that the daemon still knows */
  settled(known: ReadonlySet<number>): void {
    for (const jid of this.everSeen) {
      if (!known.has(jid) && !this.forgotten.has(jid)) this.say(`D1: job ${jid} is gone`);
      if (known.has(jid) && this.forgotten.has(jid)) this.say(`D1: job ${jid} was forgotten, and is there`);
    }
    for (const jid of known) if (!this.everSeen.has(jid)) this.say(`job ${jid} was never requested`);
  }

  say(text: string): void {
    this.violations.push(`at ${stage.time.now}: ${text}`);
  }

  private written(events: readonly Event[], sequence: number): void {
    if (stage.disk.frozen) return;
    if (this.pending.shift() !== events) this.say("records became durable in another order");
    if (sequence !== this.sequence + 1) this.say(`record ${sequence} follows ${this.sequence}`);
    this.sequence = sequence;
    this.doubtful = [];
    this.hidden = [];
    this.happened(events);
  }

  private happened(events: readonly Event[]): void {
    for (const event of events) {
      const before = this.state;
      this.state = apply(before, event);
      const broken = violations(this.state);
      if (broken.length > 0) this.say(`after ${event.kind}: ${broken.join("; ")}`);
      this.judge(event, before);
    }
    const answer = events.find((event) => event.kind === "request-answered");
    const adds = events.filter((event) => event.kind === "jobs-added" || event.kind === "matrix-added");
    if (answer !== undefined) {
      if (this.answered.has(answer.id)) this.say(`D2: request ${answer.id} was carried out twice`);
      this.answered.add(answer.id);
      if (!this.issued.has(answer.id.replace(/\/set$/, ""))) this.say(`request ${answer.id} was never made`);
      if ("first" in answer.answer) this.added.set(answer.id, answer.answer);
    } else if (adds.length > 0) this.say("jobs were added that nobody requested");
  }

  private judge(event: Event, before: State): void {
    switch (event.kind) {
      case "jobs-added":
      case "matrix-added":
        for (const [jid] of this.state.jobs.entriesFrom(before.nextId)) this.everSeen.add(jid);
        return;
      case "job-starting":
      case "job-advanced":
        this.intended.add(event.run.runId);
        return;
      case "job-not-started": {
        const runId = runIn(before, event.jid);
        this.notStarted.add(runId);
        if (this.executions.has(runId)) this.say(`S2: run ${runId} of job ${event.jid} is declared not started, and was executed`);
        return;
      }
      case "job-done":
        return this.judgeExit(before, event.jid, 0);
      case "job-failed":
        if (event.retry !== null) this.everSeen.add(event.retry.jid);
        return this.judgeExit(before, event.jid, event.exitCode);
      case "job-canceled":
        if (event.problem.code === "processes-may-still-run") this.excused.add(runIn(before, event.jid));
        if (event.exitCode !== null) this.judgeExit(before, event.jid, event.exitCode);
        return;
      case "job-lost": {
        const execution = this.executions.get(runIn(before, event.jid));
        if (event.machineFree && execution?.phase === "alive") this.say(`S5: job ${event.jid} is lost, its machine free, and it runs`);
        return;
      }
      case "job-forgotten":
        this.forgotten.add(event.jid);
        return;
      // tidy-allow switch-default: the others say nothing that the world could contradict
      default:
        return;
    }
  }

  private judgeExit(before: State, jid: number, exitCode: number): void {
    const runId = runIn(before, jid);
    const truth = this.executions.get(runId)?.exitCode;
    if (truth !== exitCode) this.say(`R2: job ${jid} is said to have exited with ${exitCode}; run ${runId} did with ${truth}`);
  }

  private judgeRetry(jid: number, name: string): void {
    const job = this.state.jobs.get(jid);
    if (job === undefined || job.retryOf === null) return;
    if (job.spec.retry === null) this.say(`S3: ${name} is a retry without a policy`);
    const [former] = this.byJob.get(job.retryOf) ?? [];
    if (former === undefined || former.phase === "alive" || former.exitCode === null) {
      this.say(`S3: ${name} is a retry of job ${job.retryOf}, whose end is not proven`);
    }
  }
}

function runIn(state: State, jid: number): string {
  const job: Job | undefined = state.jobs.get(jid);
  return (job === undefined ? null : runOf(job.state)?.runId) ?? "";
}

/** Jobs that have not ended. */
export function liveJobs(state: State): readonly Job[] {
  return [...state.jobs.values()].filter((job) => !isEnded(job.state));
}

function textOf(state: State): string {
  return [...encodeState(state, 0)].join("");
}

function firstDifference(ours: string, theirs: string): string {
  const other = theirs.split("\n");
  const index = ours.split("\n").findIndex((line, at) => line !== other[at]);
  return `line ${index}: ${ours.split("\n")[index]} | ${other[index]}`;
}

/** All that has ended is in history then. */
function lastRecord(state: State): Event {
  const ended = [...state.jobs.values()].filter((job) => isEnded(job.state));
  return { kind: "jobs-archived", jids: ended.map((job) => job.jid), requestsBefore: 0 };
}
