/** `job add`: queues one job or many. */
import type { Run } from "../command.ts";
import { parseId } from "../ids.ts";
import { idRange, idsFrom, warnAll } from "../report.ts";
import { absoluteOrNull, checkedCommand, checkedName, parseCount, parseRetry, parseTime } from "../values.ts";
import type { addArguments } from "./arguments.ts";
import { showPreview } from "./preview.ts";

export const run: Run<typeof addArguments> = async (args, context) => {
  const { output, surroundings, withClient } = context;
  const request = {
    class: checkedName(args.class, "class"),
    cmd: checkedCommand(args.cmd),
    cp_results: absoluteOrNull(args["cp-path"], surroundings),
    count: parseCount(args.times, "--times", 1),
    retry: parseRetry(args.retry, args["max-failures"]),
    timeout: parseTime(args.timeout, "--timeout"),
    tag: args.tag === undefined ? null : parseId(args.tag, "tag"),
    notify: args.notify ?? false,
  };
  if (args["dry-run"] === true) {
    const { class: className, cmd, cp_results, count, tag } = request;
    return await showPreview({ class: className, cmd, cp_results, count, tag, keys: [] }, context);
  }
  const { first, count, warnings } = await withClient((client) => client.call("job.add", request));
  warnAll(warnings, output);
  if (output.json) output.printJson({ jids: idsFrom(first, count) });
  else if (output.quiet) output.printLines(idsFrom(first, count).map(String));
  else output.print(count === 1 ? `Queued job ${first}` : `Queued jobs ${idRange(first, count)}`);
  return 0;
};
