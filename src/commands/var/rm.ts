/** `var rm`: removes variables. */
import { RequestError } from "../../protocol/error.ts";
import type { Run } from "../command.ts";
import { reportRefused } from "../report.ts";
import type { removeArguments } from "./arguments.ts";

export const run: Run<typeof removeArguments> = async ({ names }, { output, withClient }) => {
  const { missing } = await withClient((client) => client.call("variable.remove", { names: [...names] }));
  const absent = new Set(missing);
  if (output.json) output.printJson({ removed: names.filter((name) => !absent.has(name)) });
  const errors = missing.map((name) => new RequestError("no-such-variable", { name }));
  return reportRefused(errors, output);
};
