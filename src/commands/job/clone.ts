/** `job clone`: queues jobs again with the same properties. */
import type { Run } from "../command.ts";
import { parseIds } from "../ids.ts";
import { parseCount } from "../values.ts";
import type { cloneArguments } from "./life-arguments.ts";
import { reportQueuedAgain } from "./queued-again.ts";

export const run: Run<typeof cloneArguments> = async (args, { output, withClient }) => {
  const request = { ids: parseIds(args.ids), count: parseCount(args.times, "--times", 1) };
  return reportQueuedAgain(await withClient((client) => client.call("job.clone", request)), output);
};
