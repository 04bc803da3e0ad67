/** `machine restore`: ends a quarantine. */
import { RequestError } from "../../protocol/error.ts";
import type { Run } from "../command.ts";
import { reportRefused } from "../report.ts";
import type { restoreArguments } from "./arguments.ts";

export const run: Run<typeof restoreArguments> = async ({ addrs }, { output, withClient }) => {
  const { failed } = await withClient((client) => client.call("machine.restore", { addrs: [...addrs] }));
  const refused = new Set(failed.map((entry) => entry.addr));
  if (output.json) output.printJson({ restored: addrs.filter((addr) => !refused.has(addr)) });
  const errors = failed.map(({ addr, code }) => new RequestError(code, { addr }));
  return reportRefused(errors, output);
};
