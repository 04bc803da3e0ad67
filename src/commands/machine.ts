/** The commands of `machine`, as help and parsing need them: what runs them is loaded when it is called. */
import { entryOf, type Group, leaf } from "./command.ts";
import { addArguments, checkArguments, listArguments, moveArguments, removeArguments, restoreArguments } from "./machine/arguments.ts";

const list = leaf({
  name: "ls",
  summary: "Lists the pool: Machine, Class, State, Running, Since.",
  example: "j machine ls --class c220g5",
  arguments: listArguments,
  load: () => import("./machine/ls.ts"),
});

const add = leaf({
  name: "add",
  summary: "Puts machines in the pool. One already there moves class, and keeps its running job.",
  usage: "ADDR... CLASS",
  example: "j machine add node1.lab:22 node2.lab:22 c220g5",
  arguments: addArguments,
  load: () => import("./machine/add.ts"),
});

const remove = leaf({
  name: "rm",
  summary: "Takes machines out of the pool. A job that runs there is canceled.",
  example: "j machine rm -m node1.lab:22 -m node2.lab:22",
  arguments: removeArguments,
  load: () => import("./machine/rm.ts"),
});

const move = leaf({
  name: "mv",
  summary: "Moves machines to another class, without touching what runs there; ends a quarantine.",
  example: "j machine mv -c old -m node7.lab:22 new",
  arguments: moveArguments,
  load: () => import("./machine/mv.ts"),
});

const check = leaf({
  name: "check",
  summary: "Tries to reach each machine now, and says what is wrong.",
  details: "Exit code 1 when one cannot be used.",
  example: "j machine check node1.lab:22",
  arguments: checkArguments,
  load: () => import("./machine/check.ts"),
});

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
  example: "j machine add node1.lab node2.lab c220g5",
  commands: [entryOf(list), entryOf(add), entryOf(remove), entryOf(move), entryOf(check), entryOf(restore)],
};
