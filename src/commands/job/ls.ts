/** `job ls`: the listing, which comes in chunks. */
import type { WireRow } from "../../protocol/methods/job.ts";
import { jobJson } from "../../terminal/job-json.ts";
import type { Run } from "../command.ts";
import { UsageError } from "../failure.ts";
import { parseIds } from "../ids.ts";
import { reportMissing } from "../report.ts";
import { parseCount } from "../values.ts";
import type { listArguments } from "./arguments.ts";
import { readOldLine } from "./old-line.ts";

export const run: Run<typeof listArguments> = async (args, { output, surroundings, withClient }) => {
  const allAfter = args.after ?? false;
  if (allAfter && args.ids.length === 0) throw new UsageError("--after needs a JID.", "Write j job ls -a JID.");
  const request = {
    ids: parseIds(args.ids),
    limit: parseCount(args.limit, "--limit", 1),
    all: allAfter,
    running: args.running ?? false,
    // Scripts want every job, and so does who names a matrix.
    collapse: !output.json && !output.quiet && (args.ids.length === 0 || allAfter),
  };
  const { rows, counts, missing, line, now } = await withClient(async (client) => {
    const stream = client.stream("job.list", request);
    // Loaded now, it is there when the server has answered.
    if (!output.json && !output.quiet) await import("../../terminal/job-listing.ts");
    const received: WireRow[] = [];
    for await (const chunk of stream) received.push(...chunk);
    return { rows: received, ...(await stream.result) };
  });
  if (output.json) output.printJson(rows.flatMap((row) => (row.kind === "job" ? [jobJson(row.job)] : [])));
  else if (output.quiet) output.printLines(rows.map((row) => String(row.kind === "job" ? row.job.jid : row.id)));
  else {
    const { renderJobListing } = await import("../../terminal/job-listing.ts");
    const after = line ?? readOldLine(surroundings.environment);
    output.print(renderJobListing({ counts, rows, line: after, now }, await output.screen()));
  }
  return reportMissing(missing, output);
};
