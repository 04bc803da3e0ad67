/** `job hold`: keeps waiting jobs from starting. */
import type { Run } from "../command.ts";
import { parseIds } from "../ids.ts";
import type { holdArguments } from "./arguments.ts";
import { reportChanged } from "./changed.ts";

export const run: Run<typeof holdArguments> = async (args, { output, withClient }) => {
  const ids = parseIds(args.ids);
  const changed = await withClient((client) => client.call("job.hold", { ids }));
  return reportChanged(changed, "Held", output);
};
