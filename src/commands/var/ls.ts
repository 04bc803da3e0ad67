/** `var ls`: names and values, secrets masked by the server. */
import { renderVariableTable } from "../../terminal/variable-table.ts";
import type { Run } from "../command.ts";
import type { listArguments } from "./arguments.ts";

export const run: Run<typeof listArguments> = async (_args, { output, withClient }) => {
  const { variables } = await withClient((client) => client.call("variable.list", {}));
  if (output.json) output.printJson(variables);
  else if (output.quiet) output.printLines(variables.map((variable) => variable.name));
  else output.print(renderVariableTable(variables, await output.screen()));
  return 0;
};
