/** `job cpresults` and `mvresults`: which jobs are meant, and what became of each as soon as it is known. */
import { isEnded, type Job, runOf } from "../../core/job.ts";
import { RequestError } from "../../protocol/error.ts";
import type { WireTaken } from "../../protocol/methods/job-results.ts";
import type { Params, Result } from "../../protocol/methods.ts";
import { COPIES_MAX } from "../copier/copy-queue.ts";
import { secretNamed, undefinedNames } from "../results-transfer.ts";
import type { Handlers, StreamContext } from "../server/handler.ts";
import type { Transferred } from "../transferred.ts";
import { wireProblem } from "../views/job.ts";
import type { Services } from "./services.ts";

/** Told of one job; the number of all goes along. */
const PROBLEMS_TOLD_MAX = 20;

export function jobResultsHandlers(services: Services): Pick<Handlers, "job.take-results"> {
  return { "job.take-results": (params, context) => takeResults(services, params, context) };
}

async function takeResults(
  { engine, book, takeResults: take }: Services,
  { ids, to, mode }: Params<"job.take-results">,
  context: StreamContext<WireTaken>,
): Promise<Result<"job.take-results">> {
  const { jobs, missing, named } = await book.resolve(ids);
  const { signal } = context;
  for (const job of jobs) {
    const name = secretNamed(engine.state, job, to);
    if (name !== null) throw new RequestError("bad-placeholder", { name, reason: "secret-in-path" });
  }
  const isMeant = (job: Job): boolean => isEnded(job.state) && runOf(job.state) !== null;
  const meant = jobs.filter(isMeant);
  const queue = meant.values();
  const lane = async (): Promise<void> => {
    for (const { jid } of queue) {
      signal.throwIfAborted();
      await context.emit(view(jid, await take({ jid, to, mode, signal })));
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: COPIES_MAX }, lane));
  const failure = lanes.find((ended) => ended.status === "rejected");
  if (failure !== undefined) throw failure.reason;
  return {
    missing: missing.slice(),
    failed: jobs
      .filter((job) => named.has(job.jid) && !isMeant(job))
      .map((job) => ({ id: job.jid, code: isEnded(job.state) ? "nothing-to-copy" : "job-not-ended" })),
    not_ended: jobs.filter((job) => !named.has(job.jid) && !isEnded(job.state)).map((job) => job.jid),
    warnings: [...new Set(meant.flatMap((job) => undefinedNames(engine.state, job, to)))].map((name) => ({
      code: "placeholder-undefined",
      data: { name },
    })),
  };
}

function view(jid: number, taken: Transferred): WireTaken {
  return {
    jid,
    results_path: taken.resultsPath,
    log: taken.log,
    err_log: taken.errLog,
    files: taken.fileCount,
    bytes: taken.bytes,
    problems: taken.problems.slice(0, PROBLEMS_TOLD_MAX).map(wireProblem),
    problem_count: taken.problems.length,
    warnings: taken.warnings.slice(0, PROBLEMS_TOLD_MAX).map(wireProblem),
  };
}
