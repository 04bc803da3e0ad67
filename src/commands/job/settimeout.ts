/** `job settimeout`: sets, changes or removes the timeout of jobs, also of those that run. */
import { formatDuration } from "../../terminal/duration.ts";
import type { Run } from "../command.ts";
import { UsageError } from "../failure.ts";
import { parseIds } from "../ids.ts";
import { parseTime } from "../values.ts";
import { reportChanged } from "./changed.ts";
import type { timeoutArguments } from "./life-arguments.ts";

export const run: Run<typeof timeoutArguments> = async (args, { output, withClient }) => {
  const timeout = args.time === "none" ? null : timeOf(args.time);
  const ids = parseIds(args.ids);
  const changed = await withClient((client) => client.call("job.set_timeout", { ids, timeout }));
  const verb = timeout === null ? "Removed the timeout of" : `Set the timeout to ${formatDuration(timeout)} for`;
  return reportChanged(changed, verb, output);
};

function timeOf(typed: string): number | null {
  try {
    return parseTime(typed, "T");
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(error.message, `${error.hint} To remove it write none.`);
    throw error;
  }
}
