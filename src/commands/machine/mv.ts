/** `machine mv`: moves machines to another class. */
import { printable } from "../../terminal/printable.ts";
import type { Run } from "../command.ts";
import { reportRefused } from "../report.ts";
import { checkedName } from "../values.ts";
import type { moveArguments } from "./arguments.ts";
import { missingMachine, namedMachines } from "./named.ts";

export const run: Run<typeof moveArguments> = async (args, { output, surroundings, withClient }) => {
  const named = namedMachines(args, surroundings);
  const target = checkedName(args["new-class"], "class");
  const { moved, missing } = await withClient((client) => client.call("machine.move", { ...named, class: target }));
  if (output.json) output.printJson({ moved });
  else if (output.quiet) output.printLines(moved);
  else output.printLines(moved.map((addr) => `Moved ${printable(addr)} to ${printable(target)}`));
  const errors = missing.map((name) => missingMachine(name, named.classes));
  return reportRefused(errors, output);
};
