/** `machine restore`: ends a quarantine. */
import { RequestError } from "../../protocol/error.ts";
import { printable } from "../../terminal/printable.ts";
import type { Run } from "../command.ts";
import { reportRefused } from "../report.ts";
import type { restoreArguments } from "./arguments.ts";

export const run: Run<typeof restoreArguments> = async ({ addrs }, { output, withClient }) => {
  const { failed } = await withClient((client) => client.call("machine.restore", { addrs: [...addrs] }));
  const refused = new Set(failed.map((entry) => entry.addr));
  const restored = addrs.filter((addr) => !refused.has(addr));
  if (output.json) output.printJson({ restored });
  else if (output.quiet) output.printLines(restored);
  else output.printLines(restored.map((addr) => `Restored ${printable(addr)}`));
  const errors = failed.map(({ addr, code }) => new RequestError(code, { addr }));
  return reportRefused(errors, output);
};
