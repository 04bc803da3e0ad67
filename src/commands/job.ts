/** The commands of `job`, as help and parsing need them: what runs them is loaded when it is called. */
import { entryOf, type Group, leaf } from "./command.ts";
import {
  addArguments,
  holdArguments,
  listArguments,
  logArguments,
  removeArguments,
  showArguments,
  takeResultsArguments,
  waitArguments,
  whyArguments,
} from "./job/arguments.ts";
import { statArguments } from "./job/stat-arguments.ts";
import { clone, line, restart, setTimeoutOf } from "./job-life.ts";

const add = leaf({
  name: "add",
  summary: "Queues a job, or N of them, for the first free machine of a class.",
  example: 'j job add c220g5 "bench --size 4 --out {JID}" ~/results -x 3 --timeout 2h',
  arguments: addArguments,
  load: () => import("./job/add.ts"),
});

const list = leaf({
  name: "ls",
  summary: "Lists jobs: a summary line and a table; a matrix is one row.",
  example: "j job ls -n 100",
  arguments: listArguments,
  load: () => import("./job/ls.ts"),
});

const show = leaf({
  name: "show",
  summary: "Shows everything about a job.",
  example: "j job show last",
  arguments: showArguments,
  load: () => import("./job/show.ts"),
});

const remove = leaf({
  name: "rm",
  summary: "Cancels jobs, and stops their retries. Logs and results are never deleted.",
  example: "j job rm 17 20-25",
  arguments: removeArguments,
  load: () => import("./job/rm.ts"),
});

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

const log = leaf({
  name: "log",
  summary: "Prints the path of a job's log, pages it or follows it.",
  details:
    "A log that the server has compressed is found as well, and -l and -t work from another host too. A setup job has a log for each of its commands: 12.2| is the second one's.",
  example: "j job log -t last",
  arguments: logArguments,
  load: () => import("./job/log.ts"),
});

const stat = leaf({
  name: "stat",
  summary: "Prints jobs for scripts: columns of your choice as text, CSV or JSON.",
  details:
    "Columns come in the order in which their flags stand; without any, --json prints whole jobs, and --text and --csv all columns. A PROG is a program, or words for the shell: it reads a value (with --mapper: the job as JSON) on stdin, and what it prints takes its place; as many run at once as there are cores.",
  example: "j job stat --after 40 --only-done --csv --jid --vars --duration --results-path .json",
  arguments: statArguments,
  load: () => import("./job/stat.ts"),
});

const wait = leaf({
  name: "wait",
  summary: "Blocks until jobs have ended, retries included.",
  details: "Exit code 0 when all are done, 1 when any is not, 124 at the timeout.",
  example: "j job wait 17 --timeout 2h && echo done",
  arguments: waitArguments,
  load: () => import("./job/wait.ts"),
});

const why = leaf({
  name: "why",
  summary: "Says why a job is not running: what it waits for, and what holds each machine back.",
  example: "j job why 17",
  arguments: whyArguments,
  load: () => import("./job/why.ts"),
});

const TAKEN =
  "Done by the server, which fetches from the machine what was never copied: a job that failed for that alone is done then. " +
  "Nothing is overwritten: what is in the way is kept as NAME.~1~. Repeating the command is harmless.";

const copyResults = leaf({
  name: "cpresults",
  summary: "Copies results and logs of ended jobs to another folder.",
  details: TAKEN,
  example: "j job cpresults ~/paper/data/{JID} 17 20-25",
  arguments: takeResultsArguments,
  load: () => import("./job/cpresults.ts"),
});

const moveResults = leaf({
  name: "mvresults",
  summary: "Moves results and logs of ended jobs to another folder; their records follow.",
  details: TAKEN,
  example: "j job mvresults /archive/2026 17",
  arguments: takeResultsArguments,
  load: () => import("./job/mvresults.ts"),
});

export const job: Group = {
  kind: "group",
  name: "job",
  summary: "Queue, list, watch and cancel jobs.",
  example: 'j job add c220g5 "bench --size 4" ~/results',
  commands: [
    entryOf(add),
    entryOf(list),
    entryOf(show),
    entryOf(remove),
    entryOf(hold),
    entryOf(unhold),
    entryOf(clone),
    entryOf(restart),
    entryOf(setTimeoutOf),
    entryOf(log),
    entryOf(stat),
    entryOf(copyResults),
    entryOf(moveResults),
    entryOf(wait),
    entryOf(why),
    entryOf(line),
    { name: "matrix", summary: "Jobs for all combinations of some values", load: async () => (await import("./matrix.ts")).matrix },
    { name: "tag", summary: "Groups of jobs, made by hand", load: async () => (await import("./tag.ts")).tag },
  ],
};
