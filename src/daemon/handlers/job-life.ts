/** What people ask of jobs that are there already: again, with another time, a line after them. And what queueing would do. */
import { isEnded, type Job } from "../../core/job.ts";
import type { Answer } from "../../core/state.ts";
import { RequestError } from "../../protocol/error.ts";
import type { jobLifeMethods } from "../../protocol/methods/job-life.ts";
import type { Params, Result } from "../../protocol/methods.ts";
import type { Selector } from "../../protocol/selector.ts";
import type { JobBook, Resolved } from "../job-book.ts";
import type { Handlers } from "../server/handler.ts";
import { addWarnings, checkCommand, classWarnings } from "./job.ts";
import { perJob } from "./per-job.ts";
import { previewOf } from "./preview.ts";
import { requestIdReused } from "./request-id.ts";
import type { Services } from "./services.ts";

export function jobLifeHandlers(services: Services): Pick<Handlers, keyof typeof jobLifeMethods> {
  const { engine, book } = services;
  return {
    "job.clone": async (params, { requestId }) => (await queueAgain(services, { params, requestId, restart: false })).queued,
    "job.restart": async (params, { requestId }) => {
      const { queued, sources } = await queueAgain(services, { params, requestId, restart: true });
      const stopping = sources.filter(({ jid }) => {
        const state = engine.state.jobs.get(jid)?.state;
        return (state?.kind === "running" || state?.kind === "starting") && state.stop !== null;
      });
      return { ...queued, stopping: stopping.length };
    },
    "job.set_timeout": async ({ ids, timeout }, { requestId }) =>
      await perJob(services, requestId, {
        resolved: await book.resolve(ids),
        concerns: (job) => !isEnded(job.state) && job.state.kind !== "copying",
        command: (jids, lenient) => ({ kind: "set-timeout", jids, lenient, timeoutSeconds: timeout }),
        endedCode: "job-over",
      }),
    "job.line": async ({ after }, { requestId }) => {
      const jid = after === null ? null : await lastOf(book, after);
      await engine.submit({ kind: "set-line", jid }, requestId);
      return { line: engine.state.line };
    },
    "job.preview": async (params) => {
      checkCommand(services, params.class, params.cmd);
      const names = params.keys.map((key) => key.name);
      return { ...previewOf(engine, params), warnings: addWarnings(services, params, names) };
    },
  };
}

interface Again {
  readonly params: Params<"job.clone">;
  readonly requestId: string | null;
  readonly restart: boolean;
}

async function queueAgain(
  services: Services,
  { params, requestId, restart }: Again,
): Promise<{ readonly queued: Result<"job.clone">; readonly sources: readonly Job[] }> {
  const { engine, book } = services;
  const known = engine.answerTo(requestId);
  const resolved = await book.resolve(params.ids);
  const missing = resolved.missing.slice();
  // Carried out before: what its words stand for may have changed since, its answer has not.
  if (known !== null) return { queued: { ...jobsOf(known), missing, warnings: [] }, sources: [] };
  const sources = await sourcesOf(book, resolved, restart);
  if (sources.length === 0) {
    if (missing.length === 0) throw new RequestError("no-jobs");
    return { queued: { first: engine.state.nextId, count: 0, missing, warnings: [] }, sources };
  }
  const answer = await engine.submit({ kind: "clone-jobs", jobs: sources, count: params.count, restart }, requestId);
  const classes = new Set(sources.flatMap(({ spec }) => (spec.kind === "job" ? [spec.class] : [])));
  const warnings = [...classes].flatMap((className) => classWarnings(engine.state, className));
  return { queued: { ...jobsOf(answer), missing, warnings }, sources };
}

/**
 * The jobs to be queued again. Of a set each cell once: the last attempt stands for those before it. One that is
 * named alone stands for itself; when it is stopped first, it is its last attempt that is.
 */
async function sourcesOf(book: JobBook, { jobs, named }: Resolved, restart: boolean): Promise<readonly Job[]> {
  const last = await lastAttempts(book, jobs);
  const sources = new Map<number, Job>();
  for (const job of jobs) {
    const source = named.has(job.jid) && !restart ? job : (last.get(job.jid) ?? job);
    sources.set(source.jid, source);
  }
  return [...sources.values()].sort((a, b) => a.jid - b.jid);
}

/** The attempt that ends the chain of each, as far as it is known. */
async function lastAttempts(book: JobBook, jobs: readonly Job[]): Promise<ReadonlyMap<number, Job>> {
  const known = new Map(jobs.map((job) => [job.jid, job]));
  for (let open = jobs; open.length > 0; ) {
    const next = open.flatMap(({ retriedBy }) => (retriedBy === null || known.has(retriedBy) ? [] : [retriedBy]));
    const found = await book.get(next);
    for (const [jid, job] of found) known.set(jid, job);
    open = [...found.values()];
  }
  // Ids only rise along a chain: from the highest down, each finds the end of the next one's.
  const ends = new Map<number, Job>();
  for (const job of [...known.values()].sort((a, b) => b.jid - a.jid)) {
    ends.set(job.jid, (job.retriedBy === null ? undefined : ends.get(job.retriedBy)) ?? job);
  }
  return ends;
}

function jobsOf(answer: Answer): { first: number; count: number } {
  if (answer.kind !== "jobs") throw requestIdReused(answer);
  return { first: answer.first, count: answer.count };
}

/** The job, or the highest of a set. */
async function lastOf(book: JobBook, selector: Selector): Promise<number> {
  const { jobs } = await book.resolve([selector]);
  const job = jobs.at(-1);
  if (job !== undefined) return job.jid;
  throw selector.kind === "id" ? new RequestError("no-such-id", { id: selector.id }) : new RequestError("no-jobs");
}
