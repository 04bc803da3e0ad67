/** `--help` of every level, from the definitions: each argument with its default, and one example. */
import { type ArgumentDefinition, aliasesOf, hintOf, isMany, isNegatable, isRepeatable, usageOf, wordName } from "./argument.ts";
import { calledName, type Group, type Leaf } from "./command.ts";
import { GLOBAL_FLAGS } from "./global-flags.ts";

const WIDTH_MAX = 100;

/** @param width columns of the terminal; lines are never longer than 100 */
export function renderHelp(command: Leaf | Group, path: readonly string[], width: number): string {
  const columns = Math.min(width, WIDTH_MAX);
  const name = calledName(command, path);
  return command.kind === "group" ? groupHelp(command, name, columns) : leafHelp(command, name, columns);
}

function groupHelp(group: Group, name: string, width: number): string {
  const commands = group.commands.map(
    (entry): Row => [entry.alias === undefined ? entry.name : `${entry.name}, ${entry.alias}`, entry.summary],
  );
  return [
    wrap(group.summary, width, 0),
    "",
    `Usage: ${name} COMMAND`,
    "",
    "Commands:",
    ...twoColumns(commands, width),
    "",
    "Flags of every command:",
    ...twoColumns(flagRows(GLOBAL_FLAGS), width),
    "",
    "Example:",
    ...exampleLines(group),
    "",
    `\`${name} COMMAND --help\` tells more about a command.`,
  ].join("\n");
}

function leafHelp(command: Leaf, name: string, width: number): string {
  const words = Object.entries(command.arguments).filter(([, definition]) => definition.type === "positional");
  const flags = flagRows(command.arguments);
  const shape = usageOf(command);
  const lines = [wrap(command.summary, width, 0)];
  if (command.details !== undefined) lines.push("", wrap(command.details, width, 0));
  lines.push("", ...indented(`Usage: ${name}`, `${flags.length > 0 ? " [FLAGS]" : ""}${shape === "" ? "" : ` ${shape}`}`, width));
  if (words.length > 0) {
    const rows = words.map(([word, definition]): Row => [wordName(word, definition), described(definition)]);
    lines.push("", "Arguments:", ...twoColumns(rows, width));
  }
  if (flags.length > 0) lines.push("", "Flags:", ...twoColumns(flags, width));
  lines.push("", "Flags of every command:", ...twoColumns(flagRows(GLOBAL_FLAGS, command.arguments), width));
  lines.push("", "Example:", ...exampleLines(command));
  return lines.join("\n");
}

function exampleLines(command: Leaf | Group): string[] {
  return command.example.split("\n").map((line) => `  ${line}`);
}

type Row = readonly [left: string, right: string];

function flagRows(definitions: Leaf["arguments"], except: Leaf["arguments"] = {}): Row[] {
  return Object.entries(definitions)
    .filter(([name, definition]) => definition.type !== "positional" && !Object.hasOwn(except, name))
    .map(([name, definition]) => [flagSpelling(name, definition), described(definition)]);
}

function flagSpelling(name: string, definition: ArgumentDefinition): string {
  const short = aliasesOf(definition).find((alias) => alias.length === 1);
  const long = isNegatable(definition) ? `--no-${name}` : `--${name}`;
  const value = definition.type === "boolean" ? "" : ` ${hintOf(definition)}${isMany(definition) ? "..." : ""}`;
  return `${short === undefined ? "    " : `-${short}, `}${long}${value}`;
}

function described(definition: ArgumentDefinition): string {
  const text = definition.description ?? "";
  const notes: string[] = [];
  if (isRepeatable(definition) && !isMany(definition)) notes.push("may be repeated");
  if (typeof definition.default === "string") notes.push(`default: ${definition.default}`);
  return notes.length === 0 ? text : `${text} [${notes.join("; ")}]`;
}

function twoColumns(rows: readonly Row[], width: number): string[] {
  const left = Math.min(34, Math.max(...rows.map(([text]) => text.length)));
  return rows.flatMap(([text, description]) => {
    const lines = wrap(description, width, left + 4).split("\n");
    if (text.length > left) return [`  ${text}`, ...lines.map((line) => " ".repeat(left + 4) + line)];
    return lines.map((line, index) => (index === 0 ? `  ${text.padEnd(left)}  ${line}` : " ".repeat(left + 4) + line));
  });
}

function indented(start: string, rest: string, width: number): string[] {
  return wrap(start + rest, width, 4)
    .split("\n")
    .map((line, index) => (index === 0 ? line : `    ${line}`));
}

function wrap(text: string, width: number, indent: number): string {
  return Bun.wrapAnsi(text, Math.max(20, width - indent), { hard: false, trim: true, wordWrap: true });
}
