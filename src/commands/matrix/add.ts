/** `job matrix add`: queues one job for each combination of values. */
import type { Run } from "../command.ts";
import { showPreview } from "../job/preview.ts";
import { idRange, idsFrom, warnAll } from "../report.ts";
import { absoluteOrNull, checkedCommand, checkedName, parseCount, parseRetry, parseTime } from "../values.ts";
import type { addArguments } from "./arguments.ts";
import { parseMatrixWords } from "./keys.ts";

export const run: Run<typeof addArguments> = async (args, context) => {
  const { output, surroundings, withClient } = context;
  const { copyTo, keys } = parseMatrixWords(args.words);
  const request = {
    class: checkedName(args.class, "class"),
    cmd: checkedCommand(args.cmd),
    cp_results: absoluteOrNull(copyTo, surroundings),
    keys,
    count: parseCount(args.times, "--times", 1),
    retry: parseRetry(true, args["max-failures"]),
    timeout: parseTime(args.timeout, "--timeout"),
    notify: args.notify ?? false,
  };
  if (args["dry-run"] === true) {
    const { class: className, cmd, cp_results, count, keys: variables } = request;
    return await showPreview({ class: className, cmd, cp_results, count, keys: variables, tag: null }, context);
  }
  const { id, first, count, warnings } = await withClient((client) => client.call("matrix.add", request));
  warnAll(warnings, output);
  if (output.json) output.printJson({ id, jids: idsFrom(first, count) });
  else if (output.quiet) output.print(String(id));
  else output.print(`Queued matrix ${id}: ${count === 1 ? "job" : `${count} jobs,`} ${idRange(first, count)}`);
  return 0;
};
