/** The commands of `job matrix`, as help and parsing need them: what runs them is loaded when it is called. */
import { entryOf, type Group, leaf } from "./command.ts";
import { addArguments, csvArguments, listArguments } from "./matrix/arguments.ts";

const add = leaf({
  name: "add",
  summary: "Queues one job for each combination of values, the last variable fastest. Failures are retried.",
  usage: "CLASS CMD [CP_PATH] KEY=V1,V2,...",
  example: 'j job matrix add c220g5 "bench --size {SIZE} --mode {MODE}" ~/results SIZE=1,2,4 MODE=linear,quadratic',
  arguments: addArguments,
  load: () => import("./matrix/add.ts"),
});

const list = leaf({
  name: "ls",
  summary: "Lists the jobs of a matrix.",
  example: "j job matrix ls 12",
  arguments: listArguments,
  load: () => import("./matrix/ls.ts"),
});

const csv = leaf({
  name: "csv",
  summary: "Prints a matrix as CSV: jid, its variables, status, machine, duration, results path; one row a cell, its last attempt.",
  example: "j job matrix csv 12 >runs.csv",
  arguments: csvArguments,
  load: () => import("./matrix/csv.ts"),
});

export const matrix: Group = {
  kind: "group",
  name: "matrix",
  summary: "Jobs for all combinations of some values.",
  example: 'j job matrix add c220g5 "bench --size {SIZE}" ~/results SIZE=1,2,4',
  commands: [entryOf(add), entryOf(list, "stat"), entryOf(csv)],
};
