/** `var set`: sets a variable, its value from the line or from stdin. */
import type { Run } from "../command.ts";
import { UsageError } from "../failure.ts";
import type { setArguments } from "./arguments.ts";

const VALUE_BYTES_MAX = 65_536;

export const run: Run<typeof setArguments> = async (args, { output, withClient }) => {
  const value = args.value === "-" ? await fromStdin() : args.value;
  if (Buffer.byteLength(value) > VALUE_BYTES_MAX)
    throw new UsageError("The value is longer than 64 KiB.", "Put it in a file, and set its path.");
  await withClient((client) => client.call("variable.set", { name: args.name, value, secret: args.secret ?? false }));
  if (output.json) output.printJson({ name: args.name, secret: args.secret ?? false });
  return 0;
};

/** One line break at the end belongs to the tool that wrote it. */
async function fromStdin(): Promise<string> {
  return (await Bun.stdin.text()).replace(/\r?\n$/, "");
}
