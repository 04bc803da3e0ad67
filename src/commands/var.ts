/** The words and flags of `var`. */
import { type ArgumentsDefinition, entryOf, type Group, leaf } from "./command.ts";

export const setArguments = {
  name: { type: "positional", description: "Letters, digits and _" },
  value: { type: "positional", description: "Its value; `-` reads it from stdin, so that it stays out of the shell history" },
  secret: { type: "boolean", description: "Mask it in every listing, log, file name and notification" },
} as const satisfies ArgumentsDefinition;
const set = leaf({
  name: "set",
  summary: "Sets a variable, for the placeholder {NAME} of the commands queued from now on.",
  example: "pass show token | j var set TOKEN - --secret",
  arguments: setArguments,
  load: () => import("./var/set.ts"),
});

export const listArguments = {} as const satisfies ArgumentsDefinition;
const list = leaf({
  name: "ls",
  summary: "Lists the variables; secrets are masked.",
  example: "j var ls --json",
  arguments: listArguments,
  load: () => import("./var/ls.ts"),
});

export const removeArguments = {
  names: { type: "positional", valueHint: "NAME", rest: true, description: "Variables to remove" },
} as const satisfies ArgumentsDefinition;
const remove = leaf({
  name: "rm",
  summary: "Removes variables. Jobs that are queued keep the values they were given.",
  example: "j var rm TOKEN",
  arguments: removeArguments,
  load: () => import("./var/rm.ts"),
});

export const variable: Group = {
  kind: "group",
  name: "var",
  summary: "Variables for the placeholders of commands.",
  commands: [entryOf(set), entryOf(list), entryOf(remove)],
};
