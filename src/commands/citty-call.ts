/** Hands a checked command line to citty, which gives each argument its type and default and calls the command. */
import { defineCommand, runCommand } from "citty";
import { type ArgumentDefinition, isFlag, isRepeatable, isRest } from "./argument.ts";
import type { Context } from "./context.ts";
import type { ParsedCall } from "./parse.ts";

export async function callCommand(call: ParsedCall, context: Context): Promise<number> {
  const { command, flags, words } = call;
  let exitCode = 0;
  const cittyCommand = defineCommand({
    meta: { name: command.name, description: command.summary },
    args: definitionsFor(call),
    run: async ({ args }) => {
      exitCode = await command.run(argumentValues(call, args), context);
    },
  });
  await runCommand(cittyCommand, { rawArgs: canonical(command.arguments, flags, words) });
  return exitCode;
}

/** What citty has something to say about: it spells each name in several ways, which takes longer than the rest of it. */
function definitionsFor({ command, flags }: ParsedCall): Record<string, ArgumentDefinition> {
  const entries = Object.entries(command.arguments).filter(
    ([name, definition]) => definition.default !== undefined || (isFlag(definition) ? flags.has(name) : !isRest(definition)),
  );
  return Object.fromEntries(entries);
}

/** One spelling for everything: `--name=value`, then `--`, then the words. */
function canonical(definitions: ParsedCall["command"]["arguments"], flags: ParsedCall["flags"], words: ParsedCall["words"]): string[] {
  const rawArgs: string[] = [];
  for (const [name, values] of flags) {
    const definition = definitions[name];
    if (definition === undefined) continue;
    if (definition.type === "boolean") rawArgs.push(values[0] === "false" ? `--no-${name}` : `--${name}`);
    else rawArgs.push(...values.map((value) => `--${name}=${value}`));
  }
  return [...rawArgs, "--", ...words];
}

/** citty keeps the last of repeated flags and one word a positional: lists are put in from what was checked. */
function argumentValues(call: ParsedCall, args: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  let position = 0;
  for (const [name, definition] of Object.entries(call.command.arguments)) {
    if (isRest(definition)) values[name] = call.words.slice(position);
    else if (isRepeatable(definition)) values[name] = call.flags.get(name) ?? [];
    else values[name] = Object.hasOwn(args, name) ? args[name] : undefined;
    if (definition.type === "positional") position += 1;
  }
  return values;
}
