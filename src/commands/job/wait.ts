/** `job wait`: blocks until jobs have ended; its exit code says how. */
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
  const { timed_out, jobs, omitted, missing } = await withClient((client) => client.call("job.wait", request));
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
