/** `job show`: everything about some jobs. */
import { renderJobDetails } from "../../terminal/job-details.ts";
import { jobJson } from "../../terminal/job-json.ts";
import type { Run } from "../command.ts";
import { parseIds } from "../ids.ts";
import { reportMissing } from "../report.ts";
import type { showArguments } from "./arguments.ts";

export const run: Run<typeof showArguments> = async (args, { output, withClient }) => {
  const ids = parseIds(args.ids);
  const { jobs, missing } = await withClient((client) => client.call("job.show", { ids }));
  const screen = await output.screen();
  if (output.json) output.printJson(jobs.map(jobJson));
  else if (output.quiet) output.printLines(jobs.map((job) => String(job.jid)));
  else if (jobs.length > 0) output.print(jobs.map((job) => renderJobDetails(job, screen)).join("\n\n"));
  return reportMissing(missing, output);
};
