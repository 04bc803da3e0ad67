/**
 * Calls a command by citty with the values of a line that parse.ts has read and checked. citty would read the line once
 * more, to the same values: that took a call a tenth of all its time above an empty program (docs/adr/0008-a-light-client.md).
 */
import { defineCommand, runCommand } from "citty";
import { isRepeatable, isRest } from "./argument.ts";
import type { Context } from "./context.ts";
import type { ParsedCall } from "./parse.ts";

export async function callCommand(call: ParsedCall, context: Context): Promise<number> {
  const { command } = call;
  let exitCode = 0;
  const cittyCommand = defineCommand({
    meta: { name: command.name, description: command.summary },
    run: async () => {
      exitCode = await command.run(argumentValues(call), context);
    },
  });
  await runCommand(cittyCommand, { rawArgs: [] });
  return exitCode;
}

/** Each argument in its type, with its default: undefined when it was not given and has none. */
export function argumentValues({ command, flags, words }: Pick<ParsedCall, "command" | "flags" | "words">): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  let position = 0;
  for (const [name, definition] of Object.entries(command.arguments)) {
    const given = flags.get(name);
    if (definition.type === "positional") {
      values[name] = isRest(definition) ? words.slice(position) : (words[position] ?? definition.default);
      position += 1;
    } else if (isRepeatable(definition)) values[name] = given ?? [];
    else if (given === undefined) values[name] = definition.default;
    else values[name] = definition.type === "boolean" ? given[0] !== "false" : given.at(-1);
  }
  return values;
}
