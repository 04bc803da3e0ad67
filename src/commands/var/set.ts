/** `var set`: sets a variable, its value from the line or from stdin. */
import type { Run } from "../command.ts";
import { UsageError } from "../failure.ts";
import type { setArguments } from "./arguments.ts";

const VALUE_BYTES_MAX = 65_536;

export const run: Run<typeof setArguments> = async (args, { output, withClient }) => {
  const value = args.value === "-" ? await fromStdin(args.name) : args.value;
  if (Buffer.byteLength(value) > VALUE_BYTES_MAX)
    throw new UsageError("The value is longer than 64 KiB.", "Put it in a file, and set its path.");
  if (value.includes("\0")) throw new UsageError("The value holds a NUL byte.", "Values are text: put it in a file, and set its path.");
  await withClient((client) => client.call("variable.set", { name: args.name, value, secret: args.secret ?? false }));
  if (output.json) output.printJson({ name: args.name, secret: args.secret ?? false });
  return 0;
};

/** One line break at the end belongs to the tool that wrote it. */
async function fromStdin(name: string): Promise<string> {
  const bytes = await Bun.stdin.bytes();
  // What failed before us in a pipe prints nothing: that must not take the old value's place.
  if (bytes.length === 0) throw new UsageError("Nothing came on stdin.", `To set an empty value, write j var set ${name} ''.`);
  return decoded(bytes).replace(/\r?\n$/, "");
}

function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new UsageError("The value is not UTF-8.", "Values are text: put it in a file, and set its path.");
  }
}
