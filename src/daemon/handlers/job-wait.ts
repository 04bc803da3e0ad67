/** `job wait`: answers when jobs have ended, and the retries that go on in their names. */
import { isEnded, type Job } from "../../core/job.ts";
import type { State } from "../../core/state.ts";
import type { Params, Result } from "../../protocol/methods.ts";
import type { RequestContext } from "../server/handler.ts";
import { jobView } from "../views/job.ts";
import type { Services } from "./services.ts";

export async function waitForJobs(services: Services, params: Params<"job.wait">, context: RequestContext): Promise<Result<"job.wait">> {
  const { engine, book, now } = services;
  // Subscribed before it is looked at: nothing can end in between.
  const changed = new Set<number>();
  let wake: () => void = () => undefined;
  const unsubscribe = engine.subscribe(({ events }) => {
    for (const event of events) if ("jid" in event) changed.add(event.jid);
    wake();
  });
  const alarm = params.timeout === null ? null : AbortSignal.timeout(params.timeout * 1_000);
  const wakeNow = (): void => wake();
  alarm?.addEventListener("abort", wakeNow);
  context.signal.addEventListener("abort", wakeNow);
  try {
    const { jobs, missing } = await book.resolve(params.ids);
    const last = new Map<number, Job>(jobs.map((job) => [job.jid, job]));
    const open = new Set(jobs.map((job) => job.jid));
    for (;;) {
      for (const jid of [...open]) await settle(services, jid, { last, open });
      if (open.size === 0 || alarm?.aborted === true) break;
      context.signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        wake = () => {
          if ([...open].some((jid) => changed.has(jid)) || alarm?.aborted === true || context.signal.aborted) resolve();
        };
        wake();
      });
      changed.clear();
    }
    const ended = [...last.values()].sort((a, b) => a.jid - b.jid);
    return { timed_out: open.size > 0, jobs: ended.map((job) => jobView(engine.state, job, now())), missing: missing.slice() };
  } finally {
    unsubscribe();
    alarm?.removeEventListener("abort", wakeNow);
    context.signal.removeEventListener("abort", wakeNow);
  }
}

/** Takes an ended job off the list, or puts the attempt that follows it in its place. */
async function settle(services: Services, jid: number, progress: { last: Map<number, Job>; open: Set<number> }): Promise<void> {
  const job = await current(services, jid);
  if (job === undefined) {
    // Forgotten while we waited.
    progress.open.delete(jid);
    return;
  }
  progress.last.set(jid, job);
  if (!isEnded(job.state)) return;
  progress.open.delete(jid);
  if (job.retriedBy === null) return;
  progress.last.delete(jid);
  progress.open.add(job.retriedBy);
  await settle(services, job.retriedBy, progress);
}

async function current({ engine, book }: Services, jid: number): Promise<Job | undefined> {
  const state: State = engine.state;
  return state.jobs.get(jid) ?? (await book.get([jid])).get(jid);
}
