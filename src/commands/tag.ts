/** The commands of `tag`, as help and parsing need them: what runs them is loaded when it is called. */
import { entryOf, type Group, leaf } from "./command.ts";
import { listArguments, newArguments, setArguments, unsetArguments } from "./tag/arguments.ts";

const create = leaf({
  name: "new",
  summary: "Makes a tag, and prints its id: it stands for all jobs that are put in it.",
  example: "j job tag new",
  arguments: newArguments,
  load: () => import("./tag/new.ts"),
});

const set = leaf({
  name: "set",
  summary: "Puts jobs in a tag, out of the one they were in. Their retries and clones join it.",
  usage: "JID... TAG",
  example: "j job tag set 17 20-25 12",
  arguments: setArguments,
  load: () => import("./tag/set.ts"),
});

const unset = leaf({
  name: "unset",
  summary: "Takes jobs out of their tag.",
  example: "j job tag unset 17 20-25",
  arguments: unsetArguments,
  load: () => import("./tag/unset.ts"),
});

const list = leaf({
  name: "ls",
  summary: "Lists the jobs of a tag; without ID all tags with their jobs by state.",
  example: "j job tag ls 12",
  arguments: listArguments,
  load: () => import("./tag/ls.ts"),
});

export const tag: Group = {
  kind: "group",
  name: "tag",
  summary: "Groups of jobs, made by hand.",
  example: 'j job tag new\nj job add c220g5 "bench" --tag 12\nj job tag ls 12',
  commands: [entryOf(create), entryOf(set), entryOf(unset), entryOf(list, "stat")],
};
