/** The words and flags of `machine`. */
import { type ArgumentsDefinition, entryOf, type Group, leaf } from "./command.ts";

const which = {
  machine: { type: "string", alias: "m", valueHint: "ADDR", repeat: true, description: "A machine, as it was added" },
  class: { type: "string", alias: "c", valueHint: "CLASS", repeat: true, description: "All machines of a class" },
  file: { type: "string", alias: "f", valueHint: "FILE", repeat: true, description: "The machines in a file, one a line" },
} as const satisfies ArgumentsDefinition;

export const listArguments = {
  class: { type: "string", alias: "c", valueHint: "CLASS", description: "Only this class [default: all]" },
} as const satisfies ArgumentsDefinition;
const list = leaf({
  name: "ls",
  summary: "Lists the pool: Machine, Class, State, Running, Since.",
  example: "j machine ls --class c220g5",
  arguments: listArguments,
  load: () => import("./machine/ls.ts"),
});

export const addArguments = {
  words: {
    type: "positional",
    valueHint: "ADDR... CLASS",
    rest: true,
    description: "Machines (HOST, HOST:PORT, user@HOST, local, local/NAME), and their class",
  },
} as const satisfies ArgumentsDefinition;
const add = leaf({
  name: "add",
  summary: "Puts machines in the pool. One already there moves class, and keeps its running job.",
  usage: "ADDR... CLASS",
  example: "j machine add node1.lab:22 node2.lab:22 c220g5",
  arguments: addArguments,
  load: () => import("./machine/add.ts"),
});

export const removeArguments = which;
const remove = leaf({
  name: "rm",
  summary: "Takes machines out of the pool. A job that runs there is canceled.",
  example: "j machine rm -m node1.lab:22 -m node2.lab:22",
  arguments: removeArguments,
  load: () => import("./machine/rm.ts"),
});

export const moveArguments = {
  ...which,
  "new-class": { type: "positional", description: "The class they move to" },
} as const satisfies ArgumentsDefinition;
const move = leaf({
  name: "mv",
  summary: "Moves machines to another class, without touching what runs there; ends a quarantine.",
  example: "j machine mv -c old -m node7.lab:22 new",
  arguments: moveArguments,
  load: () => import("./machine/mv.ts"),
});

export const checkArguments = {
  addrs: { type: "positional", valueHint: "ADDR", rest: true, required: false, description: "Machines [default: all]" },
} as const satisfies ArgumentsDefinition;
const check = leaf({
  name: "check",
  summary: "Tries to reach each machine now, and says what is wrong.",
  details: "Exit code 1 when one cannot be used.",
  example: "j machine check node1.lab:22",
  arguments: checkArguments,
  load: () => import("./machine/check.ts"),
});

export const restoreArguments = {
  addrs: { type: "positional", valueHint: "ADDR", rest: true, description: "Quarantined machines" },
} as const satisfies ArgumentsDefinition;
const restore = leaf({
  name: "restore",
  summary: "Puts quarantined machines back to work.",
  example: "j machine restore node1.lab:22",
  arguments: restoreArguments,
  load: () => import("./machine/restore.ts"),
});

export const machine: Group = {
  kind: "group",
  name: "machine",
  summary: "The pool of machines, by class.",
  commands: [entryOf(list), entryOf(add), entryOf(remove), entryOf(move), entryOf(check), entryOf(restore)],
};
