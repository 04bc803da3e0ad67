/** `machine rm`: takes machines out of the pool. */
import { printable } from "../../terminal/printable.ts";
import type { Run } from "../command.ts";
import { reportRefused } from "../report.ts";
import type { removeArguments } from "./arguments.ts";
import { missingMachine, namedMachines } from "./named.ts";

export const run: Run<typeof removeArguments> = async (args, { output, surroundings, withClient }) => {
  const named = namedMachines(args, surroundings);
  const { removed, canceled, missing } = await withClient((client) => client.call("machine.remove", named));
  if (output.json) output.printJson({ removed, canceled });
  else if (output.quiet) output.printLines(removed);
  else output.printLines([...removed.map((addr) => `Removed ${printable(addr)}`), ...canceled.map((jid) => `Canceled job ${jid}`)]);
  const errors = missing.map((name) => missingMachine(name, named.classes));
  return reportRefused(errors, output);
};
