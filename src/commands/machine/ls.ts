/** `machine ls`: the pool. */
import { machineJson } from "../../terminal/job-json.ts";
import { renderMachineTable } from "../../terminal/machine-table.ts";
import type { Run } from "../command.ts";
import type { listArguments } from "./arguments.ts";

export const run: Run<typeof listArguments> = async (args, { output, withClient }) => {
  const { machines } = await withClient((client) => client.call("machine.list", { class: args.class ?? null }));
  if (output.json) output.printJson(machines.map(machineJson));
  else if (output.quiet) output.printLines(machines.map((machine) => machine.addr));
  else output.print(renderMachineTable(machines, await output.screen()));
  return 0;
};
