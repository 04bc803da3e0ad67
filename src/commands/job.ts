/** The words and flags of `job`. */
import { LISTING_ROWS } from "../config/defaults.ts";
import { type ArgumentsDefinition, entryOf, type Group, leaf } from "./command.ts";

const ids = {
  ids: {
    type: "positional",
    valueHint: "JID",
    rest: true,
    description: "A number, `last`, a range as in 5-9, or the id of a matrix or tag",
  },
} as const satisfies ArgumentsDefinition;

export const addArguments = {
  class: { type: "positional", description: "Class of the machine it runs on" },
  cmd: { type: "positional", description: "The command, in quotes; {NAME} stands for a variable, {MACHINE} for the machine" },
  "cp-path": { type: "positional", required: false, description: "Folder on the server's host that results are copied to" },
  times: { type: "string", alias: "x", valueHint: "N", default: "1", description: "Queue it N times" },
  retry: { type: "boolean", description: "Queue it again when it fails" },
  "max-failures": { type: "string", valueHint: "N", description: "Give up after N failures in all; implies --retry [default: no limit]" },
  timeout: {
    type: "string",
    valueHint: "T",
    description: "Stop it after 90s, 15m, 1h34m or 2d; a bare number is minutes [default: never]",
  },
  tag: { type: "string", valueHint: "ID", description: "Put it in a tag" },
  notify: { type: "boolean", description: "Notify when it ends" },
} as const satisfies ArgumentsDefinition;
const add = leaf({
  name: "add",
  summary: "Queues a job, or N of them, for the first free machine of a class.",
  example: 'j job add c220g5 "bench --size 4 --out {JID}" ~/results -x 3 --timeout 2h',
  arguments: addArguments,
  load: () => import("./job/add.ts"),
});

export const listArguments = {
  ids: { ...ids.ids, required: false, description: "Only these: numbers, `last`, 5-9, a matrix or tag [default: the latest]" },
  limit: {
    type: "string",
    alias: "n",
    valueHint: "N",
    default: String(LISTING_ROWS),
    description: "At most so many rows, and all that run",
  },
  after: { type: "boolean", alias: "a", description: "All from the highest JID given on" },
  running: { type: "boolean", alias: "r", description: "Only those that run" },
} as const satisfies ArgumentsDefinition;
const list = leaf({
  name: "ls",
  summary: "Lists jobs: a summary line and a table; a matrix is one row.",
  example: "j job ls -n 100",
  arguments: listArguments,
  load: () => import("./job/ls.ts"),
});

export const showArguments = ids;
const show = leaf({
  name: "show",
  summary: "Shows everything about a job.",
  example: "j job show last",
  arguments: showArguments,
  load: () => import("./job/show.ts"),
});

export const removeArguments = {
  ...ids,
  forget: { type: "boolean", alias: "f", description: "Also remove it from the records; logs and results stay" },
} as const satisfies ArgumentsDefinition;
const remove = leaf({
  name: "rm",
  summary: "Cancels jobs, and stops their retries. Logs and results are never deleted.",
  example: "j job rm 17 20-25",
  arguments: removeArguments,
  load: () => import("./job/rm.ts"),
});

export const holdArguments = ids;
const hold = leaf({
  name: "hold",
  summary: "Keeps waiting jobs from starting.",
  example: "j job hold 17",
  arguments: holdArguments,
  load: () => import("./job/hold.ts"),
});
const unhold = leaf({
  name: "unhold",
  summary: "Lets held jobs go.",
  example: "j job unhold 17",
  arguments: holdArguments,
  load: () => import("./job/unhold.ts"),
});

export const logArguments = {
  ids: { ...ids.ids, required: false },
  running: { type: "boolean", alias: "r", description: "Of all jobs that run" },
  error: { type: "boolean", alias: "e", description: "The log of standard error" },
  less: { type: "boolean", alias: "l", description: "Page it with less" },
  "raw-control-chars": { type: "boolean", alias: "R", description: "As less takes it: show colours" },
  decompress: { type: "boolean", alias: "z", description: "Page it with zless" },
  tail: { type: "boolean", alias: "t", description: "Follow it until the job ends; works from another host too" },
} as const satisfies ArgumentsDefinition;
const log = leaf({
  name: "log",
  summary: "Prints the path of a job's log, pages it or follows it.",
  example: "j job log -t last",
  arguments: logArguments,
  load: () => import("./job/log.ts"),
});

export const waitArguments = {
  ...ids,
  timeout: {
    type: "string",
    valueHint: "T",
    description: "Give up after 90s, 15m, 1h34m or 2d; a bare number is minutes [default: never]",
  },
} as const satisfies ArgumentsDefinition;
const wait = leaf({
  name: "wait",
  summary: "Blocks until jobs have ended, retries included.",
  details: "Exit code 0 when all are done, 1 when any is not, 124 at the timeout.",
  example: "j job wait 17 --timeout 2h && echo done",
  arguments: waitArguments,
  load: () => import("./job/wait.ts"),
});

export const whyArguments = ids;
const why = leaf({
  name: "why",
  summary: "Says why a job is not running: what it waits for, and what holds each machine back.",
  example: "j job why 17",
  arguments: whyArguments,
  load: () => import("./job/why.ts"),
});

export const job: Group = {
  kind: "group",
  name: "job",
  summary: "Queue, list, watch and cancel jobs.",
  commands: [
    entryOf(add),
    entryOf(list),
    entryOf(show),
    entryOf(remove),
    entryOf(hold),
    entryOf(unhold),
    entryOf(log),
    entryOf(wait),
    entryOf(why),
    { name: "matrix", summary: "Jobs for all combinations of some values", load: async () => (await import("./matrix.ts")).matrix },
  ],
};
