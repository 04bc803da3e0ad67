/** `machine add`: puts machines in the pool. */
import { printable } from "../../terminal/printable.ts";
import type { Run } from "../command.ts";
import { UsageError } from "../failure.ts";
import { checkedName } from "../values.ts";
import type { addArguments } from "./arguments.ts";

export const run: Run<typeof addArguments> = async ({ words }, { output, withClient }) => {
  const addrs = words.slice(0, -1);
  const className = words.at(-1);
  if (className === undefined || addrs.length === 0) {
    throw new UsageError("`j machine add` needs a machine and a class.", "Write j machine add ADDR... CLASS: the class stands last.");
  }
  for (const addr of addrs) checkedName(addr, "machine");
  checkedName(className, "class");
  const {
    added,
    moved,
    unchanged = [],
  } = await withClient((client) => client.call("machine.add", { addrs: [...new Set(addrs)], class: className }));
  if (output.json) output.printJson({ added, moved, unchanged });
  else if (output.quiet) output.printLines([...added, ...moved]);
  else {
    output.printLines([
      ...added.map((addr) => `Added ${printable(addr)} to ${printable(className)}`),
      ...moved.map((addr) => `Moved ${printable(addr)} to ${printable(className)}`),
      ...unchanged.map((addr) => `${printable(addr)} is in ${printable(className)} already: nothing changed`),
    ]);
  }
  return 0;
};
