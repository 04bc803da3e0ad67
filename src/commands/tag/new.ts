/** `tag new`: makes a tag, for jobs to be put in. */
import type { Run } from "../command.ts";
import type { newArguments } from "./arguments.ts";

export const run: Run<typeof newArguments> = async (_args, { output, withClient }) => {
  const { id } = await withClient((client) => client.call("tag.new", {}));
  if (output.json) output.printJson({ id });
  else output.print(output.quiet ? String(id) : `Made tag ${id}`);
  return 0;
};
