/** `job line`: draws a line after a job in listings, or removes it. */
import type { Run } from "../command.ts";
import { UsageError } from "../failure.ts";
import { parseIds } from "../ids.ts";
import type { lineArguments } from "./life-arguments.ts";
import { OLD_LINE_FILE, readOldLine } from "./old-line.ts";

export const run: Run<typeof lineArguments> = async (args, { output, surroundings, withClient }) => {
  const [after = null] = parseIds(args.id === undefined ? [] : [args.id]);
  if (after?.kind === "range") throw new UsageError(`${args.id} is no single job.`, "The line stands after one: name the last.");
  const { line } = await withClient((client) => client.call("job.line", { after }));
  if (output.json) output.printJson({ line });
  else if (output.quiet) output.printLines(line === null ? [] : [String(line)]);
  else output.print(line === null ? "Removed the line" : `Drew a line after job ${line}`);
  const old = line === null ? readOldLine(surroundings.environment) : null;
  if (old !== null) output.warn(`~/${OLD_LINE_FILE} still has the old client's line, after job ${old}.`, "Remove that file too.");
  return 0;
};
