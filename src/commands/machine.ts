/** The commands of `machine`, as help and parsing need them: what runs them is loaded when it is called. */
import { entryOf, type Group, leaf } from "./command.ts";
import {
  addArguments,
  checkArguments,
  listArguments,
  moveArguments,
  removeArguments,
  restoreArguments,
  setupArguments,
} from "./machine/arguments.ts";

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

const setup = leaf({
  name: "setup",
  summary: "Runs commands in order on each machine, one setup job a machine; when all succeed it joins a class.",
  usage: "(-m ADDR | -f FILE | -e) [-c CLASS] -- CMD...",
  details:
    "Each CMD is run on its own and has a log of its own; the next begins when the one before it has exited with 0. A machine that is busy is waited for. When a command fails, a new machine stays out of the pool, and one that is in it gets no jobs until it is set up again or restored.",
  example: 'j machine setup -m node1.lab -m node2.lab -c c220g5 -- "./install {MACHINE}" "./warm-up --all"',
  arguments: setupArguments,
  load: () => import("./machine/setup.ts"),
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
  commands: [entryOf(list), entryOf(add), entryOf(remove), entryOf(move), entryOf(setup), entryOf(check), entryOf(restore)],
};
