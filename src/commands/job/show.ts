/** `job show`: everything about some jobs. */
import type { WireJob } from "../../protocol/methods/job.ts";
import { renderJobDetails } from "../../terminal/job-details.ts";
import { jobJson } from "../../terminal/job-json.ts";
import type { Run } from "../command.ts";
import { parseIds } from "../ids.ts";
import { reportMissing } from "../report.ts";
import type { showArguments } from "./arguments.ts";

interface Page {
  readonly jobs: readonly WireJob[];
  readonly missing: readonly number[];
  readonly more?: boolean | undefined;
}

/** Many jobs come page by page. An older server has one page, or refuses. */
async function allOf(page: (after: number) => Promise<Page>): Promise<Page> {
  const jobs: WireJob[] = [];
  for (;;) {
    const next = await page(jobs.at(-1)?.jid ?? -1);
    jobs.push(...next.jobs);
    if (next.more !== true || next.jobs.length === 0) return { jobs, missing: next.missing };
  }
}

export const run: Run<typeof showArguments> = async (args, { output, withClient }) => {
  const ids = parseIds(args.ids);
  const { jobs, missing } = await withClient((client) => allOf((after) => client.call("job.show", { ids, after })));
  const screen = await output.screen();
  if (output.json) output.printJson(jobs.map(jobJson));
  else if (output.quiet) output.printLines(jobs.map((job) => String(job.jid)));
  else if (jobs.length > 0) output.print(jobs.map((job) => renderJobDetails(job, screen)).join("\n\n"));
  return reportMissing(missing, output);
};
