/** `job stat`: the jobs somebody asked for, read page by page, so that a million of them never are in memory together. */
import type { JidRange } from "../../core/jid-ranges.ts";
import type { Job } from "../../core/job.ts";
import { RequestError } from "../../protocol/error.ts";
import type { WireJob } from "../../protocol/methods/job.ts";
import type { Params, Result } from "../../protocol/methods.ts";
import type { Selector } from "../../protocol/selector.ts";
import type { JobBook } from "../job-book.ts";
import type { Handlers, StreamContext } from "../server/handler.ts";
import { jobView } from "../views/job.ts";
import { runningJobs } from "../views/job-list.ts";
import { chunked } from "./reply-size.ts";
import type { Services } from "./services.ts";

/** As many ids as a block of history holds, and at the same places: each block is read once. */
const PAGE_IDS = 1_000;

export function jobStatHandlers(services: Services): Pick<Handlers, "job.stat"> {
  return { "job.stat": (params, context) => sendJobs(services, params, context) };
}

async function sendJobs(
  { engine, book, now }: Services,
  params: Params<"job.stat">,
  { emit, signal }: StreamContext<WireJob[]>,
): Promise<Result<"job.stat">> {
  const named = new Set<number>();
  const ranges = await rangesAsked(book, params, named);
  const unseen = new Set(named);
  for (const ids of pages(ranges)) {
    signal.throwIfAborted();
    const found = await book.get(ids.filter((id) => !isSet(book, id)));
    for (const jid of found.keys()) unseen.delete(jid);
    const jobs = ids.flatMap((id) => found.get(id) ?? []).filter((job) => !params.only_done || hasResults(job));
    for (const chunk of chunked(jobs, (job) => jobView(engine.state, job, now()))) await emit(chunk);
  }
  return { missing: [...unseen].sort((a, b) => a - b) };
}

/** @param named takes the ids that were named alone: for one that is no job somebody has to be told */
async function rangesAsked(book: JobBook, params: Params<"job.stat">, named: Set<number>): Promise<readonly JidRange[]> {
  const ranges: JidRange[] = params.running ? runningJobs(book).map(({ jid }) => ({ first: jid, last: jid })) : [];
  const highest = book.state.nextId - 1;
  if (params.after !== null) ranges.push({ first: await firstId(book, params.after), last: highest });
  for (const selector of params.ids) {
    if (selector.kind === "range") ranges.push({ first: selector.first, last: Math.min(selector.last, highest) });
    else ranges.push(...(await rangesOf(book, selector, named)));
  }
  return merged(ranges.filter(({ first, last }) => first <= last));
}

async function rangesOf(book: JobBook, selector: Exclude<Selector, { kind: "range" }>, named: Set<number>): Promise<readonly JidRange[]> {
  const { matrices, tags } = book.state;
  const id = selector.kind === "last" ? await lastId(book) : selector.id;
  const set = matrices.get(id) ?? tags.get(id);
  if (set !== undefined) return set.jids;
  named.add(id);
  return [{ first: id, last: id }];
}

async function firstId(book: JobBook, selector: Selector): Promise<number> {
  switch (selector.kind) {
    case "last":
      return await lastId(book);
    case "id":
      return selector.id;
    case "range":
      return selector.first;
  }
}

async function lastId(book: JobBook): Promise<number> {
  const job = await book.last();
  if (job === null) throw new RequestError("no-jobs");
  return job.jid;
}

/** Ascending and apart. */
function merged(ranges: readonly JidRange[]): readonly JidRange[] {
  const result: { first: number; last: number }[] = [];
  for (const range of ranges.toSorted((a, b) => a.first - b.first)) {
    const before = result.at(-1);
    if (before !== undefined && range.first <= before.last + 1) before.last = Math.max(before.last, range.last);
    else result.push({ ...range });
  }
  return result;
}

/** Every id once, in lists that do not reach over the end of a block of history. */
function* pages(ranges: readonly JidRange[]): Generator<number[]> {
  let page: number[] = [];
  for (const { first, last } of ranges) {
    for (let id = first; id <= last; id++) {
      const [start] = page;
      if (start !== undefined && blockOf(start) !== blockOf(id)) {
        yield page;
        page = [];
      }
      page.push(id);
    }
  }
  if (page.length > 0) yield page;
}

function blockOf(id: number): number {
  return Math.floor(id / PAGE_IDS);
}

function isSet(book: JobBook, id: number): boolean {
  return book.state.matrices.has(id) || book.state.tags.has(id);
}

function hasResults({ state }: Job): boolean {
  return state.kind === "done" && state.prefixes.length > 0;
}
