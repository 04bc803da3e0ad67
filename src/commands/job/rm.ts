/** `job rm`: cancels jobs, and forgets them when told to. */
import type { Run } from "../command.ts";
import { parseIds } from "../ids.ts";
import type { removeArguments } from "./arguments.ts";
import { reportChanged } from "./changed.ts";

export const run: Run<typeof removeArguments> = async (args, { output, withClient }) => {
  const ids = parseIds(args.ids);
  const forget = args.forget ?? false;
  const changed = await withClient((client) => client.call("job.cancel", { ids, forget }));
  return reportChanged(changed, forget ? "Forgot" : "Canceled", output);
};
