/** `job wait`: blocks until jobs have ended; its exit code says how. */
import type { WireJob } from "../../protocol/methods/job.ts";
import { jobJson } from "../../terminal/job-json.ts";
import { renderJobTable } from "../../terminal/job-listing.ts";
import type { Run } from "../command.ts";
import { parseIds } from "../ids.ts";
import { reportMissing } from "../report.ts";
import { parseTime } from "../values.ts";
import type { waitArguments } from "./arguments.ts";

const TIMED_OUT = 124;
const ENDED: readonly string[] = ["done", "failed", "canceled"];

export const run: Run<typeof waitArguments> = async (args, { output, withClient }) => {
  const request = { ids: parseIds(args.ids), timeout: parseTime(args.timeout, "--timeout") };
  const { timed_out, jobs, omitted, missing } = await withClient(async (client) => {
    const answer = await client.call("job.wait", request);
    return await withTheRest(answer, (after) => client.call("job.wait", { ids: request.ids, timeout: 0, after }));
  });
  const notDone = jobs.filter((job) => job.status !== "done");
  if (output.json) output.printJson(jobs.map(jobJson));
  else if (output.quiet) output.printLines(notDone.map((job) => String(job.jid)));
  else if (jobs.length > 0) output.print(renderJobTable(jobs, await output.screen()).join("\n"));
  if (omitted !== undefined && omitted > 0) {
    output.warn(
      `${omitted === 1 ? "1 more job was" : `${omitted} more jobs were`} waited for and did not fit the answer.`,
      "Those that are not done came first; `j job ls ID...` lists all.",
    );
  }
  const missingCode = reportMissing(missing, output);
  if (timed_out) {
    const left = jobs.filter((job) => !ENDED.includes(job.status)).length;
    output.error(
      "timed-out",
      `${left === 1 ? "1 job has" : `${left} jobs have`} not ended in time.`,
      "They go on; wait again, or see `j job why`.",
    );
    return TIMED_OUT;
  }
  return notDone.length > 0 ? 1 : missingCode;
};

interface Answer {
  readonly timed_out: boolean;
  readonly jobs: readonly WireJob[];
  readonly omitted?: number | undefined;
  readonly missing: readonly number[];
}

/** What did not fit the answer is fetched page by page, in order. An older server says again what it said before. */
async function withTheRest(answer: Answer, page: (after: number) => Promise<Answer>): Promise<Answer> {
  if ((answer.omitted ?? 0) === 0) return answer;
  const jobs: WireJob[] = [];
  for (;;) {
    const after = jobs.at(-1)?.jid ?? -1;
    const next = await page(after);
    if (next.jobs.some(({ jid }) => jid <= after)) return answer;
    jobs.push(...next.jobs);
    if ((next.omitted ?? 0) === 0 || next.jobs.length === 0) return { ...answer, jobs, omitted: next.omitted };
  }
}
