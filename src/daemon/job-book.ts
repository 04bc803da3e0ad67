/** All jobs ever queued and not forgotten, wherever they are: in memory, or in a history block. Reads only what is durable. */

import type { JidRange } from "../core/jid-ranges.ts";
import type { Job } from "../core/job.ts";
import type { State } from "../core/state.ts";
import { RequestError } from "../protocol/error.ts";
import type { Selector } from "../protocol/selector.ts";

export interface JobBookOptions {
  readonly state: () => State;
  /** Ended jobs that left the memory; ids that are not there are missing from the map. */
  readonly readHistory: (jids: readonly number[]) => Promise<ReadonlyMap<number, Job>>;
}

/** A look at so many takes some milliseconds; then others have their turn. */
const JOBS_PER_TURN = 10_000;

/** More ids than this in one request are refused: nobody reads them, and each may cost a read of the disk. */
const RESOLVED_MAX = 1_000_000;

/** Ids that are looked at together, going down. */
const PAGE_IDS = 64;
const PAGE_IDS_MIN = 8;

export interface Resolved {
  /** Ascending, each once; jobs that exist. */
  readonly jobs: readonly Job[];
  /** Ids named alone that are neither a job nor a matrix nor a tag. */
  readonly missing: readonly number[];
  /** Jobs that were named one by one, not as members of a set. */
  readonly named: ReadonlySet<number>;
}

export class JobBook {
  constructor(private readonly options: JobBookOptions) {}

  get state(): State {
    return this.options.state();
  }

  async get(jids: readonly number[]): Promise<ReadonlyMap<number, Job>> {
    const { jobs } = this.state;
    const found = new Map<number, Job>();
    const past: number[] = [];
    for (const [index, jid] of jids.entries()) {
      if (index % JOBS_PER_TURN === JOBS_PER_TURN - 1) await othersTurn();
      const job = jobs.get(jid);
      if (job !== undefined) found.set(jid, job);
      else past.push(jid);
    }
    if (past.length > 0) for (const [jid, job] of await this.options.readHistory(past)) found.set(jid, job);
    return found;
  }

  async one(jid: number): Promise<Job> {
    const job = (await this.get([jid])).get(jid);
    if (job === undefined) throw new RequestError("no-such-job", { jid });
    return job;
  }

  /** What the words of a command line stand for. @throws {RequestError} when they are far too many */
  async resolve(selectors: readonly Selector[]): Promise<Resolved> {
    const jids = new Set<number>();
    const named = new Set<number>();
    for (const selector of selectors) {
      for (const range of await this.rangesOf(selector, named)) {
        if (jids.size + range.last - range.first >= RESOLVED_MAX)
          throw new RequestError("limit-exceeded", { what: "ids", max: RESOLVED_MAX });
        for (let jid = range.first; jid <= range.last; jid++) jids.add(jid);
      }
    }
    const ascending = [...jids].sort((a, b) => a - b);
    const found = await this.get(ascending);
    return {
      jobs: ascending.flatMap((jid) => found.get(jid) ?? []),
      missing: [...named].filter((jid) => !found.has(jid)),
      named,
    };
  }

  /** The highest job, or null when there is none. */
  async last(): Promise<Job | null> {
    return (await this.before(this.state.nextId, 1))[0] ?? null;
  }

  /** Up to `count` jobs with ids below `jid`, descending. */
  async before(jid: number, count: number): Promise<readonly Job[]> {
    const { state } = this;
    const jobs: Job[] = [];
    for (let end = Math.min(jid, state.nextId); end > 0 && jobs.length < count; ) {
      // Many ids may be of no job any more; of history no more is read than is asked for.
      const start = Math.max(0, end - Math.min(PAGE_IDS, Math.max(PAGE_IDS_MIN, count - jobs.length)));
      const ids = idsOfJobs(state, { first: start, last: end - 1 });
      const found = await this.get(ids);
      for (const id of ids.reverse()) {
        const job = found.get(id);
        if (job !== undefined && jobs.length < count) jobs.push(job);
      }
      end = start;
    }
    return jobs;
  }

  private async rangesOf(selector: Selector, named: Set<number>): Promise<readonly JidRange[]> {
    const { state } = this;
    switch (selector.kind) {
      case "last": {
        const job = await this.last();
        if (job === null) throw new RequestError("no-jobs");
        named.add(job.jid);
        return [{ first: job.jid, last: job.jid }];
      }
      case "id": {
        const set = state.matrices.get(selector.id) ?? state.tags.get(selector.id);
        if (set !== undefined) return set.jids;
        named.add(selector.id);
        return [{ first: selector.id, last: selector.id }];
      }
      case "range":
        return idsOfJobs(state, selector).map((jid) => ({ first: jid, last: jid }));
    }
  }
}

function othersTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The ids in a range that may be jobs: drawn, and not those of matrices and tags. */
function idsOfJobs(state: State, range: JidRange): number[] {
  const last = Math.min(range.last, state.nextId - 1);
  if (last - range.first >= RESOLVED_MAX) throw new RequestError("limit-exceeded", { what: "ids", max: RESOLVED_MAX });
  const ids: number[] = [];
  for (let id = range.first; id <= last; id++) {
    if (!state.matrices.has(id) && !state.tags.has(id)) ids.push(id);
  }
  return ids;
}
