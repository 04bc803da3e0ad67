/** `status`: that a server runs, since when, with what. */
import { renderServerStatus } from "../../terminal/server-status.ts";
import type { Run } from "../command.ts";
import type { NoArguments } from "./arguments.ts";

export const run: Run<NoArguments> = async (_args, { output, withClient }) => {
  const status = await withClient((client) => client.call("server.status", {}));
  if (output.json) output.printJson(status);
  else output.print(output.quiet ? String(status.pid) : renderServerStatus(status, await output.screen()));
  return 0;
};
