/** `job wait`: answers when jobs have ended, and the retries that go on in their names. */
import { isEnded, type Job } from "../../core/job.ts";
import type { WireJob } from "../../protocol/methods/job.ts";
import type { Params, Result } from "../../protocol/methods.ts";
import type { RequestContext } from "../server/handler.ts";
import { Timers } from "../timers.ts";
import { jobView } from "../views/job.ts";
import { othersTurn, PAGE_ROWS_MAX, ReplySize } from "./reply-size.ts";
import type { Services } from "./services.ts";

export async function waitForJobs(services: Services, params: Params<"job.wait">, context: RequestContext): Promise<Result<"job.wait">> {
  const { engine, book } = services;
  const waiting = new Waiting(services);
  // Subscribed before anything is looked at: nothing can end in between.
  const unsubscribe = engine.subscribe(({ events }) => {
    for (const event of events) if ("jid" in event) waiting.changed(event.jid);
  });
  const timers = new Timers(services.now);
  let timedOut = false;
  if (params.timeout !== null) {
    timers.set("timeout", services.now() + params.timeout * 1_000, () => {
      timedOut = true;
      waiting.wake();
    });
  }
  const wake = (): void => waiting.wake();
  context.signal.addEventListener("abort", wake);
  try {
    const { jobs, missing } = await book.resolve(params.ids);
    await waiting.begin(jobs);
    while (waiting.isOpen && !timedOut) {
      context.signal.throwIfAborted();
      await waiting.change();
    }
    const timedOutOpen = waiting.isOpen;
    const { after } = params;
    const answer = after === undefined ? await shown(services, waiting.last()) : await page(services, waiting.last(), after);
    return { timed_out: timedOutOpen, ...answer, missing: missing.slice() };
  } finally {
    unsubscribe();
    timers.stop();
    context.signal.removeEventListener("abort", wake);
  }
}

/** A thousand of these may wait at once: a change costs each one look into a set. */
class Waiting {
  /** The last attempt of each, by its id. */
  private readonly jobs = new Map<number, Job>();
  private readonly open = new Set<number>();
  private readonly dirty = new Set<number>();
  private wakeUp: (() => void) | null = null;
  private begun = false;

  constructor(private readonly services: Services) {}

  get isOpen(): boolean {
    return this.open.size > 0;
  }

  async begin(jobs: readonly Job[]): Promise<void> {
    for (const job of jobs) await this.settle(this.services.engine.state.jobs.get(job.jid) ?? job);
    this.begun = true;
    await this.settleDirty();
  }

  changed(jid: number): void {
    // Before the ids are resolved, any job may turn out to be one of them.
    if (this.begun && !this.open.has(jid)) return;
    this.dirty.add(jid);
    this.wake();
  }

  wake(): void {
    this.wakeUp?.();
  }

  /** Resolves when something changed, or on wake(). */
  async change(): Promise<void> {
    if (this.dirty.size === 0) {
      await new Promise<void>((resolve) => {
        this.wakeUp = resolve;
      });
      this.wakeUp = null;
    }
    await this.settleDirty();
  }

  last(): readonly Job[] {
    return [...this.jobs.values()];
  }

  private async settleDirty(): Promise<void> {
    const dirty = [...this.dirty].filter((jid) => this.open.has(jid));
    this.dirty.clear();
    const now = await this.services.book.get(dirty);
    for (const jid of dirty) {
      const job = now.get(jid);
      // Forgotten while we waited.
      if (job === undefined) this.open.delete(jid);
      else await this.settle(job);
    }
  }

  /** Takes a job off the list that is over, or puts the attempt that follows it in its place. */
  private async settle(job: Job): Promise<void> {
    this.jobs.set(job.jid, job);
    this.open.add(job.jid);
    if (!isOver(job)) return;
    this.open.delete(job.jid);
    if (job.retriedBy === null) return;
    this.jobs.delete(job.jid);
    const retry = (await this.services.book.get([job.retriedBy])).get(job.retriedBy);
    if (retry !== undefined) await this.settle(retry);
  }
}

/** An unknown job of which nothing runs any more stays as it is: waiting for it would never end. */
function isOver({ state }: Job): boolean {
  return isEnded(state) || (state.kind === "unknown" && !state.holdsMachine);
}

interface Shown {
  readonly jobs: WireJob[];
  readonly omitted: number;
}

/** Those above an id, in order, as many as make a page. */
async function page({ engine, now }: Services, jobs: readonly Job[], after: number): Promise<Shown> {
  const rest = jobs.filter(({ jid }) => jid > after).toSorted((a, b) => a.jid - b.jid);
  const size = new ReplySize();
  const views: WireJob[] = [];
  for (const job of rest) {
    await othersTurn(views.length);
    const view = jobView(engine.state, job, now());
    if (views.length >= PAGE_ROWS_MAX || !size.takes(view)) break;
    views.push(view);
  }
  return { jobs: views, omitted: rest.length - views.length };
}

/** All that fit one reply; those that are not done go first, because the answer to `wait` hangs on them. */
async function shown({ engine, now }: Services, jobs: readonly Job[]): Promise<Shown> {
  const size = new ReplySize();
  const views: WireJob[] = [];
  for (const isDone of [false, true]) {
    for (const job of jobs) {
      if ((job.state.kind === "done") !== isDone) continue;
      await othersTurn(views.length);
      const view = jobView(engine.state, job, now());
      if (!size.takes(view)) return { jobs: sorted(views), omitted: jobs.length - views.length };
      views.push(view);
    }
  }
  return { jobs: sorted(views), omitted: 0 };
}

function sorted(views: readonly WireJob[]): WireJob[] {
  return views.toSorted((a, b) => a.jid - b.jid);
}
