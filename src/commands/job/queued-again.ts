/** What clone and restart say: the new ids, in the order of the jobs, and what could not be found. */
import type { Result } from "../../protocol/methods.ts";
import type { Output } from "../output.ts";
import { idRange, idsFrom, reportMissing, warnAll } from "../report.ts";

/** @returns the exit code */
export function reportQueuedAgain({ first, count, missing, warnings }: Result<"job.clone">, output: Output): number {
  warnAll(warnings, output);
  if (output.json) output.printJson({ jids: idsFrom(first, count) });
  else if (output.quiet) output.printLines(idsFrom(first, count).map(String));
  else if (count > 0) output.print(count === 1 ? `Queued job ${first}` : `Queued jobs ${idRange(first, count)}`);
  return reportMissing(missing, output);
}
