/** `job stat`: jobs for scripts, with columns, formats and programs of the caller's choice. */
import type { Client } from "../../client/client.ts";
import type { WireJob } from "../../protocol/methods/job.ts";
import { type StatRecord, statRecord } from "../../terminal/job-stat.ts";
import type { Run } from "../command.ts";
import type { Context } from "../context.ts";
import { reportMissing } from "../report.ts";
import type { statArguments } from "./stat-arguments.ts";
import { type StatPrinter, statPrinter } from "./stat-output.ts";
import { planStat, type StatPlan } from "./stat-plan.ts";
import { withResultsPath } from "./stat-results.ts";

export const run: Run<typeof statArguments> = async (args, context) => {
  const plan = planStat(args, context);
  const { output } = context;
  const printer = await statPrinter(plan, output);
  return await context.withClient(async (client) => {
    const stream = client.stream("job.stat", plan.request);
    const isRead = plan.columnMaps.length === 0 && plan.mapper === null;
    const outcome = isRead ? await printAll(stream, plan, printer) : await printMapped(stream, { plan, printer, context });
    if (outcome === "unread") return 0;
    await printer.end();
    const { missing } = await stream.result;
    return Math.max(reportMissing(missing, output), outcome === "failed" ? 1 : 0);
  });
};

type Stream = ReturnType<typeof Client.prototype.stream<"job.stat">>;
/** `unread`: nobody reads what is printed. `failed`: a mapper did, for some job. */
type Outcome = "done" | "unread" | "failed";

async function printAll(stream: Stream, plan: StatPlan, printer: StatPrinter): Promise<Outcome> {
  for await (const jobs of stream) {
    if (!printer.print(jobs.map((job) => ({ record: recordOf(job, plan), added: [] })))) return "unread";
  }
  return "done";
}

async function printMapped(
  stream: Stream,
  { plan, printer, context }: { readonly plan: StatPlan; readonly printer: StatPrinter; readonly context: Context },
): Promise<Outcome> {
  const { mapRecords } = await import("./stat-mappers.ts");
  const { output, surroundings } = context;
  const gone = new AbortController();
  let outcome: Outcome = "done";
  try {
    for await (const mapped of mapRecords(recordsOf(stream, plan), plan, { ...surroundings, signal: gone.signal })) {
      for (const complaint of mapped.complaints) output.errorText(complaint);
      if (mapped.kind === "failed") {
        output.error("mapper-failed", mapped.message, "The other jobs were printed; try it with --id and this job alone.");
        outcome = "failed";
      } else if (!printer.print([mapped.row])) return "unread";
    }
    return outcome;
  } finally {
    gone.abort();
  }
}

async function* recordsOf(stream: Stream, plan: StatPlan): AsyncGenerator<StatRecord> {
  for await (const jobs of stream) for (const job of jobs) yield recordOf(job, plan);
}

function recordOf(job: WireJob, plan: StatPlan): StatRecord {
  return withResultsPath(statRecord(job), plan);
}
