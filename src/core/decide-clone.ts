/** Rules for queueing jobs again: a clone has the same properties, and joins the same matrix and tag. */
import { applyAll } from "./apply.ts";
import type { CloneJobs, Context } from "./command.ts";
import { liveRetry, queueOverflow, stopEvents } from "./decide-job.ts";
import { accepted, type Decision } from "./decision.ts";
import type { Event, JobsAdded } from "./event.ts";
import { isEnded, type Job, type JobSpec } from "./job.ts";
import type { State } from "./state.ts";

export function decideClone(state: State, command: CloneJobs, context: Context): Decision {
  const sources = [...new Map(command.jobs.map((job) => [job.jid, state.jobs.get(job.jid) ?? job])).values()];
  const stops = command.restart ? stopped(state, sources, context) : [];
  // Of 100,000 stops only what they leave behind matters here: those that only cancel leave all but the counts as it is.
  const isPlain = stops.every(({ kind }) => kind === "job-canceled" || kind === "job-stop-requested");
  const after = isPlain ? state : applyAll(state, stops);
  const freed = isPlain ? stops.filter(({ kind }) => kind === "job-canceled").length : 0;
  const overflow = queueOverflow(after, sources.length * command.count - freed, context);
  if (overflow !== null) return overflow;
  const first = after.nextId;
  const clones = clonedEvents(after, sources, { first, count: command.count, at: context.now });
  return accepted([...stops, ...clones], { kind: "jobs", first, count: sources.length * command.count });
}

function stopped(state: State, sources: readonly Job[], context: Context): readonly Event[] {
  const live = new Map<number, Job>();
  for (const job of sources) {
    const stands = isEnded(job.state) ? liveRetry(state, job) : job;
    // What the request read may have ended and left the memory since.
    if (stands !== null && state.jobs.has(stands.jid)) live.set(stands.jid, stands);
  }
  return [...live.values()].flatMap((job) => stopEvents(state, job, { cause: "user", at: context.now, forget: false }));
}

/** Neighbours with the same properties are one event: a matrix of 100,000 is queued again by one. */
function clonedEvents(state: State, sources: readonly Job[], clones: { first: number; count: number; at: number }): readonly Event[] {
  const events: JobsAdded[] = [];
  let cells: number[] = [];
  let like: Job | null = null;
  let next = clones.first;
  const end = (): void => {
    if (like === null || cells.length === 0) return;
    const { spec, timeoutSeconds, matrix } = like;
    const tag = like.tag !== null && state.tags.has(like.tag) ? like.tag : null;
    const member = matrix !== null && state.matrices.has(matrix.id) ? { matrix: { id: matrix.id, cells } } : {};
    events.push({ kind: "jobs-added", at: clones.at, first: next, count: cells.length, spec, timeoutSeconds, tag, ...member });
    next += cells.length;
    cells = [];
  };
  for (const job of sources) {
    if (like === null || !isAlike(like, job)) end();
    if (cells.length === 0) like = job;
    for (let index = 0; index < clones.count; index++) cells.push(job.matrix?.cell ?? 0);
  }
  end();
  return events;
}

function isAlike(a: Job, b: Job): boolean {
  return a.timeoutSeconds === b.timeoutSeconds && a.tag === b.tag && a.matrix?.id === b.matrix?.id && isSameSpec(a.spec, b.spec);
}

/** Jobs of one request share the object; those read from history may not. */
function isSameSpec(a: JobSpec, b: JobSpec): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
