/** The commands of `var`, as help and parsing need them: what runs them is loaded when it is called. */
import { entryOf, type Group, leaf } from "./command.ts";
import { listArguments, removeArguments, setArguments } from "./var/arguments.ts";

const set = leaf({
  name: "set",
  summary: "Sets a variable, for the placeholder {NAME} of the commands queued from now on.",
  example: "pass show token | j var set TOKEN - --secret",
  arguments: setArguments,
  load: () => import("./var/set.ts"),
});

const list = leaf({
  name: "ls",
  summary: "Lists the variables; secrets are masked.",
  example: "j var ls --json",
  arguments: listArguments,
  load: () => import("./var/ls.ts"),
});

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
  example: "j var set USER_DIR /data/exp",
  commands: [entryOf(set), entryOf(list), entryOf(remove)],
};
