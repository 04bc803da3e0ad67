/** How a change of jobs reaches the indexes and the counts; the only code that writes them. */

import { COMMANDS_MAX } from "./blame.ts";
import type { JobsArchived } from "./event.ts";
import { IntMap } from "./int-map.ts";
import { withJid, withJids, withoutJid } from "./jid-ranges.ts";
import { isEnded, type Job, type JobCounts, type JobStateKind, NO_JOBS } from "./job.ts";
import type { State } from "./state.ts";

/** Adds jobs that did not exist, ids ascending. */
export function addJobs(state: State, added: readonly Job[]): State {
  let { ready, matrices, tags, setups } = state;
  const jobs = state.jobs.setAll(added.map((job) => [job.jid, job]));
  const nextId = Math.max(state.nextId, (added[added.length - 1]?.jid ?? -1) + 1);
  for (const [className, members] of grouped(added.filter(isReady), (job) => job.spec.class)) {
    const queue = ready.get(className) ?? IntMap.empty<true>();
    ready = ready.set(className, queue.setAll(members.map((job) => [job.jid, true])));
  }
  for (const { jid, spec } of added) if (spec.kind === "setup") setups = setups.set(jid, spec.machine);
  for (const [id, members] of grouped(added, (job) => job.matrix?.id ?? null)) {
    const matrix = id === null ? undefined : matrices.get(id);
    if (matrix === undefined) continue;
    const jids = withJids(matrix.jids, members.map(idOf));
    matrices = matrices.set(matrix.id, { ...matrix, jids, counts: addCounts(members, matrix.counts) });
  }
  for (const [id, members] of grouped(added, (job) => job.tag)) {
    const tag = id === null ? undefined : tags.get(id);
    if (tag === undefined) continue;
    tags = tags.set(tag.id, { ...tag, jids: withJids(tag.jids, members.map(idOf)) });
  }
  return { ...state, jobs, ready, matrices, tags, setups, nextId, counts: addCounts(added, state.counts) };
}

/** Puts `after` in the place of `before`, the same job. */
export function changeJob(state: State, before: Job, after: Job): State {
  const setups = after.spec.kind === "setup" && isEnded(after.state) ? state.setups.delete(after.jid) : state.setups;
  const next = { ...state, jobs: state.jobs.set(after.jid, after), ready: readyAfter(state, before, after), setups };
  const from = countedAs(before.state.kind);
  const to = countedAs(after.state.kind);
  return from === to ? next : shiftCounts(next, after, from, to);
}

/** Takes an ended job out of every record of ours. A matrix without jobs goes with its last one. */
export function forgetJob(state: State, job: Job): State {
  const untagged = tagJob(state, job, null);
  const line = state.line === job.jid ? null : state.line;
  const next = shiftCounts({ ...untagged, line, jobs: untagged.jobs.delete(job.jid) }, job, countedAs(job.state.kind), null);
  const matrix = job.matrix === null ? undefined : next.matrices.get(job.matrix.id);
  if (matrix === undefined || total(matrix.counts) > 0) return next;
  return { ...next, matrices: next.matrices.delete(matrix.id) };
}

/** Puts the job into another tag; null: into none. */
export function tagJob(state: State, job: Job, tag: number | null): State {
  let { tags } = state;
  const from = job.tag === null ? undefined : tags.get(job.tag);
  if (from !== undefined) tags = tags.set(from.id, { ...from, jids: withoutJid(from.jids, job.jid) });
  const to = tag === null ? undefined : tags.get(tag);
  if (to !== undefined) tags = tags.set(to.id, { ...to, jids: withJid(to.jids, job.jid) });
  return { ...state, tags, jobs: state.jobs.set(job.jid, { ...job, tag }) };
}

/** Brings an ended job back from its history block. It was counted all the time. */
export function recallJob(state: State, job: Job): State {
  return isEnded(job.state) && !state.jobs.has(job.jid) ? { ...state, jobs: state.jobs.set(job.jid, job) } : state;
}

/** Takes ended jobs out of memory; their history blocks have them and they stay counted. What nobody needs any more goes with the last of them. */
export function archiveJobs(state: State, archived: JobsArchived): State {
  let { jobs, requests } = state;
  for (const jid of archived.jids) {
    const job = jobs.get(jid);
    if (job !== undefined && isEnded(job.state)) jobs = jobs.delete(jid);
  }
  if (archived.requests !== undefined) for (const id of archived.requests) requests = requests.delete(id);
  else if (archived.requestsBefore === 0) return { ...state, jobs };
  else for (const { id, at } of state.requests.values()) if (at < archived.requestsBefore) requests = requests.delete(id);
  return { ...state, jobs, requests, templates: templatesInUse({ ...state, jobs }), commands: latestCommands(state.commands) };
}

export function addCounts(jobs: readonly Job[], counts: JobCounts = NO_JOBS): JobCounts {
  const next: Record<keyof JobCounts, number> = { ...counts };
  for (const job of jobs) next[countedAs(job.state.kind)]++;
  return next;
}

export function total(counts: JobCounts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** As people see it: a job that is being started runs. */
export function countedAs(kind: JobStateKind): keyof JobCounts {
  return kind === "starting" ? "running" : kind;
}

/** Waits for a machine of its class. Setup jobs have a machine of their own: see State.setups. */
export function isReady(job: Job): boolean {
  return job.spec.kind === "job" && isDue(job);
}

/** Waits, and not for a time. */
export function isDue(job: Job): boolean {
  return job.state.kind === "waiting" && job.state.notBefore === null;
}

function readyAfter(state: State, before: Job, after: Job): State["ready"] {
  const was = isReady(before);
  const is = isReady(after);
  if (was === is) return state.ready;
  const queue = state.ready.get(after.spec.class) ?? IntMap.empty<true>();
  const next = is ? queue.set(after.jid, true) : queue.delete(after.jid);
  return next.size === 0 ? state.ready.delete(after.spec.class) : state.ready.set(after.spec.class, next);
}

function shiftCounts(state: State, job: Job, from: keyof JobCounts, to: keyof JobCounts | null): State {
  const counts = shifted(state.counts, from, to);
  const matrix = job.matrix === null ? undefined : state.matrices.get(job.matrix.id);
  if (matrix === undefined) return { ...state, counts };
  const matrices = state.matrices.set(matrix.id, { ...matrix, counts: shifted(matrix.counts, from, to) });
  return { ...state, counts, matrices };
}

function shifted(counts: JobCounts, from: keyof JobCounts, to: keyof JobCounts | null): JobCounts {
  const next: Record<keyof JobCounts, number> = { ...counts };
  next[from]--;
  if (to !== null) next[to]++;
  return next;
}

function idOf(job: Job): number {
  return job.jid;
}

function grouped<Item, Key>(items: readonly Item[], keyOf: (item: Item) => Key): Map<Key, Item[]> {
  return Map.groupBy(items, keyOf);
}

/** What is known of a command matters while jobs with it are there; otherwise every command ever typed would be kept. */
function templatesInUse(state: State): State["templates"] {
  const unused = new Set(state.templates.keys());
  let last: Job["spec"] | null = null;
  for (const { spec } of state.jobs.values()) {
    if (unused.size === 0) break;
    // Jobs of one request share it.
    if (spec !== last) unused.delete(spec.cmd);
    last = spec;
  }
  let { templates } = state;
  for (const template of unused) templates = templates.delete(template);
  return templates;
}

function latestCommands(commands: State["commands"]): State["commands"] {
  if (commands.size <= COMMANDS_MAX) return commands;
  const oldest = [...commands].sort(([, a], [, b]) => a.jid - b.jid).slice(0, commands.size - COMMANDS_MAX);
  return oldest.reduce((next, [key]) => next.delete(key), commands);
}
