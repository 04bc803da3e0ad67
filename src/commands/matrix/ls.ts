/** `job matrix ls`: the jobs of a matrix. */
import { jobJson } from "../../terminal/job-json.ts";
import { renderMatrixListing } from "../../terminal/matrix-listing.ts";
import type { Run } from "../command.ts";
import { parseId } from "../ids.ts";
import type { listArguments } from "./arguments.ts";
import { readMatrix } from "./read.ts";

export const run: Run<typeof listArguments> = async (args, { output, withClient }) => {
  const id = parseId(args.id, "matrix");
  const { matrix, jobs } = await withClient((client) => readMatrix(client, id));
  if (output.json) output.printJson({ ...matrix, jobs: jobs.map(jobJson) });
  else if (output.quiet) output.printLines(jobs.map((job) => String(job.jid)));
  else output.print(renderMatrixListing(matrix, jobs, await output.screen()));
  return 0;
};
