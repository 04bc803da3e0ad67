/** `tag unset`: takes jobs out of their tag. */
import type { Run } from "../command.ts";
import { parseIds } from "../ids.ts";
import { reportChanged } from "../job/changed.ts";
import type { unsetArguments } from "./arguments.ts";

export const run: Run<typeof unsetArguments> = async (args, { output, withClient }) => {
  const ids = parseIds(args.ids);
  const changed = await withClient((client) => client.call("tag.unset", { ids }));
  return reportChanged(changed, "Untagged", output);
};
