/**
 * The only holder of state. Commands and facts go in; what they make happen is written down, and only when
 * that is durable do callers get their answer and the world its effects. Order is everything here:
 * decide on the pending state, apply, append, sync, advance the durable state, answer, perform.
 */
import { apply } from "../core/apply.ts";
import type { Command, Context, Fact, Limits, NewRun, UserCommand } from "../core/command.ts";
import { decide } from "../core/decide.ts";
import type { Event } from "../core/event.ts";
import { withoutForgotten } from "../core/forgotten.ts";
import { type Effect, react } from "../core/react.ts";
import { schedule } from "../core/schedule.ts";
import type { Answer, State } from "../core/state.ts";
import { RequestError } from "../protocol/error.ts";
import { StoreError } from "../store/store-error.ts";

export interface EngineOptions {
  readonly state: State;
  /** The last record that made `state`. */
  readonly sequence: number;
  /**
   * Resolves with the record's sequence when the events are on stable storage, in the order of the calls. Rejects
   * when they are certain not to be replayed, together with all appends after them, and takes no new ones until
   * those have heard of it.
   */
  readonly append: (events: readonly Event[]) => Promise<number>;
  readonly now: () => number;
  readonly limits: Limits;
  /** Of this host. */
  readonly bootId: string | null;
  readonly newRun: NewRun;
  /** May the scheduler hand out jobs now? */
  readonly mayDispatch: () => boolean;
  /** Called for each effect of what has become durable, in order, but starts on free machines first. */
  readonly perform: (effect: Effect) => void;
  /** The storage refused an append. Facts are kept and tried again. */
  readonly onStorageProblem: (error: unknown) => void;
  /** A defect of ours: a rule, a listener or an effect threw. What was being done is left out, all else goes on. */
  readonly onFault: (error: unknown, where: string) => void;
}

/** What became durable together. */
export interface Change {
  readonly events: readonly Event[];
  readonly before: State;
  readonly after: State;
}

interface Record {
  readonly change: Change;
  readonly effects: readonly Effect[];
}

/** The journal did not take a record. */
class AppendRefused extends Error {
  override readonly name = "AppendRefused";
}

/** How long a refused fact waits for the storage to take it, milliseconds. */
const FACT_RETRY_MS = 1_000;

export class Engine {
  private pendingState: State;
  private durableState: State;
  private durableSequence: number;
  private inFlight = 0;
  private readonly listeners = new Set<(change: Change) => void>();
  private readonly answering = new Map<string, Promise<Answer>>();
  /** Since the start of the server; of some of them that may not be durable yet. */
  private readonly forgotten = new Set<number>();
  private refusedFacts: { readonly fact: Fact; readonly settle: () => void }[] = [];
  private retryTimer: ReturnType<typeof setTimeout> | null = null;
  private stopped = false;
  private limits: Limits;

  constructor(private readonly options: EngineOptions) {
    this.limits = options.limits;
    this.pendingState = options.state;
    this.durableState = options.state;
    this.durableSequence = options.sequence;
  }

  /** What is on stable storage: all that reads may show. */
  get state(): State {
    return this.durableState;
  }

  /** The last record in it. */
  get sequence(): number {
    return this.durableSequence;
  }

  /**
   * Carries out what a person asked for. A request id that was answered before gets the same answer and
   * changes nothing (D2).
   * @throws {RequestError} when the rules refuse it; what `append` rejects with, when the storage does.
   */
  async submit(command: UserCommand, requestId: string | null = null): Promise<Answer> {
    if (requestId === null) return await this.carryOut(command, null);
    const known = this.durableState.requests.get(requestId);
    if (known !== undefined) return known.answer;
    const pending = this.answering.get(requestId);
    if (pending !== undefined) return await pending;
    const answer = this.carryOut(command, requestId);
    this.answering.set(requestId, answer);
    try {
      return await answer;
    } finally {
      this.answering.delete(requestId);
    }
  }

  /** The state as the command would make it; nothing happens. @throws {RequestError} when the rules refuse it */
  rehearse(command: UserCommand): { readonly state: State; readonly answer: Answer } {
    const decision = decide(this.pendingState, command, this.context());
    if (decision.kind === "refused") throw new RequestError(decision.code, decision.data);
    return { state: applied(this.pendingState, decision.events).change.after, answer: decision.answer };
  }

  /** What the request was answered with, when it was carried out before. */
  answerTo(requestId: string | null): Answer | null {
    return requestId === null ? null : (this.durableState.requests.get(requestId)?.answer ?? null);
  }

  /**
   * Writes down what was observed. Observed is observed: a full disk delays it, nothing loses it. Never rejects.
   * After stop() nothing is taken any more: the next start of the server sees for itself.
   */
  async observe(fact: Fact): Promise<void> {
    if (this.stopped) return;
    try {
      await this.record(fact, null);
    } catch (error) {
      const refusal = error instanceof AppendRefused ? error.cause : null;
      // Neither passes with time: asking again every second would only fill the log.
      if (refusal === null || isTooLarge(refusal)) return this.options.onFault(refusal ?? error, fact.kind);
      this.options.onStorageProblem(refusal);
      if (this.stopped) return;
      await new Promise<void>((settle) => {
        this.refusedFacts.push({ fact, settle });
        this.retryTimer ??= setTimeout(() => this.observeRefused(), FACT_RETRY_MS);
      });
    }
  }

  /** Gives free machines their next jobs: after a pause, or when something outside the state has changed. */
  async dispatch(): Promise<void> {
    try {
      await this.commit([]);
    } catch (error) {
      if (error instanceof AppendRefused) this.options.onStorageProblem(error.cause);
      else this.options.onFault(error, "dispatch");
    }
  }

  /** @returns a function that ends the subscription */
  subscribe(listener: (change: Change) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** For what is decided from now on. */
  setLimits(limits: Limits): void {
    this.limits = limits;
  }

  /** No fact is taken any more and nobody is told of changes; what was asked for before is still answered. */
  stop(): void {
    this.stopped = true;
    if (this.retryTimer !== null) clearTimeout(this.retryTimer);
    this.listeners.clear();
  }

  private async carryOut(command: UserCommand, requestId: string | null): Promise<Answer> {
    try {
      return await this.record(command, requestId);
    } catch (error) {
      if (!(error instanceof AppendRefused)) throw error;
      if (!isTooLarge(error.cause)) this.options.onStorageProblem(error.cause);
      throw error.cause;
    }
  }

  private async record(command: Command, requestId: string | null): Promise<Answer> {
    const still = withoutForgotten(command, this.forgotten);
    if (still === null) return { kind: "done" };
    const decision = decide(this.pendingState, still, this.context());
    if (decision.kind === "refused") throw new RequestError(decision.code, decision.data);
    const { answer } = decision;
    if (decision.events.length === 0) {
      // Nothing changes, but what the answer rests on may still be on its way to the disk.
      await this.commit([]);
      return answer;
    }
    const answered: readonly Event[] =
      requestId === null ? [] : [{ kind: "request-answered", at: this.options.now(), id: requestId, answer }];
    await this.commit([...decision.events, ...answered]);
    return answer;
  }

  /** Writes down the events and, in the same record, the starts that they make possible. */
  private async commit(events: readonly Event[]): Promise<void> {
    const record = this.withStarts(applied(this.pendingState, events));
    if (record.change.events.length === 0 && this.inFlight === 0) return;
    this.pendingState = record.change.after;
    this.inFlight++;
    const forgotten = forgottenIn(record.change.events);
    for (const jid of forgotten) this.forgotten.add(jid);
    try {
      this.durableSequence = await this.options.append(record.change.events);
    } catch (error) {
      // All that was decided on top of it is refused with it, before anything new is taken: see the journal's writer.
      this.pendingState = this.durableState;
      for (const jid of forgotten) this.forgotten.delete(jid);
      throw new AppendRefused("the journal did not take it", { cause: error });
    } finally {
      this.inFlight--;
    }
    this.durableState = record.change.after;
    for (const listener of this.listeners) this.guarded("a listener", () => listener(record.change));
    for (const effect of record.effects) this.guarded(effect.kind, () => this.options.perform(effect));
  }

  /** It is durable: whatever one of them does, the others hear of it and the caller gets its answer. */
  private guarded(where: string, call: () => void): void {
    try {
      call();
    } catch (error) {
      this.options.onFault(error, where);
    }
  }

  private withStarts(record: Record): Record {
    if (!this.options.mayDispatch()) return record;
    const starts = this.starts(record.change.after);
    if (starts.length === 0) return record;
    const { change, effects } = applied(record.change.after, starts);
    return {
      change: { events: [...record.change.events, ...starts], before: record.change.before, after: change.after },
      // Nothing is before a start: a machine waits for it. What the end of its last job leaves to do takes the same turn.
      effects: [...effects, ...record.effects],
    };
  }

  /** What was asked for or observed is written down even when handing out jobs fails. */
  private starts(state: State): readonly Event[] {
    try {
      return schedule(state, this.context(), this.options.newRun);
    } catch (error) {
      this.options.onFault(error, "schedule");
      return [];
    }
  }

  private observeRefused(): void {
    this.retryTimer = null;
    const refused = this.refusedFacts;
    this.refusedFacts = [];
    for (const { fact, settle } of refused) void this.observe(fact).then(settle);
  }

  private context(): Context {
    return { now: this.options.now(), limits: this.limits, bootId: this.options.bootId };
  }
}

function isTooLarge(error: unknown): boolean {
  return error instanceof StoreError && error.code === "record-too-large";
}

function forgottenIn(events: readonly Event[]): readonly number[] {
  const forgotten: number[] = [];
  for (const event of events) if (event.kind === "job-forgotten") forgotten.push(event.jid);
  return forgotten;
}

function applied(before: State, events: readonly Event[]): Record {
  const effects: Effect[] = [];
  let state = before;
  for (const event of events) {
    const after = apply(state, event);
    for (const effect of react(event, state, after)) effects.push(effect);
    state = after;
  }
  return { change: { events, before, after: state }, effects };
}
