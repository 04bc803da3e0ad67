/** What cpresults and mvresults have in common: ask, say of each job where it is now as soon as it is there, report the rest. */
import { RequestError } from "../../protocol/error.ts";
import type { WireTaken } from "../../protocol/methods/job-results.ts";
import type { Result } from "../../protocol/methods.ts";
import { problemWords } from "../../terminal/problem.ts";
import { takenErrors, takenWarnings, takenWords } from "../../terminal/taken-results.ts";
import type { Arguments } from "../argument.ts";
import type { Context } from "../context.ts";
import { UsageError } from "../failure.ts";
import { parseIds } from "../ids.ts";
import type { Output } from "../output.ts";
import { reportMissing, reportRefused, warnAll } from "../report.ts";
import { absoluteOrNull } from "../values.ts";
import type { takeResultsArguments } from "./arguments.ts";

/** 128 + SIGINT, as shells count. */
const INTERRUPTED = 130;

/** @returns the exit code */
export async function takeResults(
  args: Arguments<typeof takeResultsArguments>,
  mode: "copy" | "move",
  { output, surroundings, withClient }: Context,
): Promise<number> {
  const to = absoluteOrNull(checkedFolder(args.to, mode), surroundings) ?? "";
  const ids = parseIds(args.ids);
  return await withClient(async (client) => {
    const stream = client.stream("job.take-results", { ids, to, mode });
    let interrupted = false;
    const interrupt = (): void => {
      interrupted = true;
      stream.cancel();
    };
    process.once("SIGINT", interrupt);
    const taken: WireTaken[] = [];
    try {
      for await (const one of stream) {
        taken.push(one);
        show(one, output);
      }
      return finish(taken, await stream.result, output);
    } catch (error) {
      if (interrupted && error instanceof RequestError && error.code === "canceled") return INTERRUPTED;
      throw error;
    } finally {
      process.off("SIGINT", interrupt);
    }
  });
}

/** `j job cpresults 5 6` is a slip of the hand far more often than a folder called 5. @throws UsageError */
function checkedFolder(typed: string, mode: "copy" | "move"): string {
  if (typed === "") throw new UsageError("The folder is empty.", "If it came from a shell variable: that one is not set.");
  if (!/^(\d+(-\d+)?|last)$/.test(typed)) return typed;
  const verb = mode === "copy" ? "cpresults" : "mvresults";
  throw new UsageError(
    `"${typed}" is a job id, and the folder comes first.`,
    `Write j job ${verb} TO ${typed}, or ./${typed} for a folder of that name.`,
  );
}

function show(taken: WireTaken, output: Output): void {
  if (!output.json) {
    const isThere = taken.results_path !== null || taken.log !== null;
    if (output.quiet && isThere) output.printLines([String(taken.jid)]);
    else if (!output.quiet && isThere) output.print(takenWords(taken));
  }
  for (const { code, message, hint } of takenErrors(taken)) output.error(code, message, hint);
  for (const { message, hint } of takenWarnings(taken)) output.warn(message, hint);
}

function finish(taken: readonly WireTaken[], result: Result<"job.take-results">, output: Output): number {
  const { missing, failed, not_ended: notEnded, warnings } = result;
  warnAll(warnings, output);
  if (output.json) {
    output.printJson(
      taken
        .toSorted((one, other) => one.jid - other.jid)
        .map(({ problems, problem_count: _, warnings: __, ...one }) => ({
          ...one,
          error: problems[0] === undefined ? null : problemWords(problems[0]).message,
        })),
    );
  } else if (taken.length === 0 && missing.length + failed.length === 0 && !output.quiet) output.print("No job has anything to take.");
  if (notEnded.length > 0) {
    const passed = notEnded.length === 1 ? `Job ${notEnded[0]} has not ended and was` : `${notEnded.length} jobs have not ended and were`;
    output.warn(`${passed} passed over.`, "Repeat the command when all have: what is there already stays as it is.");
  }
  const refused = reportRefused(
    failed.map(({ id, code }) => new RequestError(code, { id, jid: id })),
    output,
  );
  const hasProblems = taken.some((one) => one.problem_count > 0);
  return Math.max(reportMissing(missing, output), refused, hasProblems ? 1 : 0);
}
