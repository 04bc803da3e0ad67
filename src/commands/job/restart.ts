/** `job restart`: cancels jobs, and queues them again. */
import type { Run } from "../command.ts";
import { parseIds } from "../ids.ts";
import type { restartArguments } from "./life-arguments.ts";
import { reportQueuedAgain } from "./queued-again.ts";

export const run: Run<typeof restartArguments> = async (args, { output, withClient }) => {
  const ids = parseIds(args.ids);
  const queued = await withClient((client) => client.call("job.restart", { ids, count: 1 }));
  const { stopping } = queued;
  if (stopping > 0 && !output.json && !output.quiet) output.print(`Stopping ${stopping === 1 ? "1 job" : `${stopping} jobs`}`);
  return reportQueuedAgain(queued, output);
};
