/** `machine ls`: the pool. */
import { RequestError } from "../../protocol/error.ts";
import { machineJson } from "../../terminal/job-json.ts";
import { renderMachineTable } from "../../terminal/machine-table.ts";
import type { Run } from "../command.ts";
import { reportRefused } from "../report.ts";
import type { listArguments } from "./arguments.ts";

export const run: Run<typeof listArguments> = async (args, { output, withClient }) => {
  const { machines } = await withClient((client) => client.call("machine.list", { class: args.class ?? null }));
  if (output.json) output.printJson(machines.map(machineJson));
  else if (output.quiet) output.printLines(machines.map((machine) => machine.addr));
  else if (machines.length > 0 || args.class === undefined) output.print(renderMachineTable(machines, await output.screen()));
  const missing = machines.length === 0 && args.class !== undefined ? [new RequestError("no-such-class", { class: args.class })] : [];
  return reportRefused(missing, output);
};
