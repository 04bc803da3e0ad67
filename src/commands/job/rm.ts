/** `job rm`: cancels jobs, and forgets them when told to. */
import { printable } from "../../terminal/printable.ts";
import type { Run } from "../command.ts";
import { parseIds } from "../ids.ts";
import type { removeArguments } from "./arguments.ts";
import { reportChanged } from "./changed.ts";

export const run: Run<typeof removeArguments> = async (args, { output, withClient }) => {
  const ids = parseIds(args.ids);
  const forget = args.forget ?? false;
  const changed = await withClient((client) => client.call("job.cancel", { ids, forget }));
  const code = reportChanged({ ...changed, forgets: forget }, forget ? "Forgot" : "Canceled", output);
  for (const { jid, machine } of changed.unreachable ?? []) {
    output.warn(
      `Machine "${printable(machine)}" cannot be reached: job ${jid} ends when it answers again.`,
      `\`j job rm ${jid}\` once more ends it now and frees the machine; its processes may still run.`,
    );
  }
  return code;
};
