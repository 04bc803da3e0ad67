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
  const { added, moved } = await withClient((client) => client.call("machine.add", { addrs: [...new Set(addrs)], class: className }));
  if (output.json) output.printJson({ added, moved });
  else if (output.quiet) output.printLines([...added, ...moved]);
  else output.printLines([...added.map((addr) => line("Added", addr, className)), ...moved.map((addr) => line("Moved", addr, className))]);
  return 0;
};

function line(verb: string, addr: string, className: string): string {
  return `${verb} ${printable(addr)} to ${printable(className)}`;
}
