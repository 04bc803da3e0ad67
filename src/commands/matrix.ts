/** The words and flags of `job matrix`. */
import { MATRIX_FAILURES_MAX } from "../config/defaults.ts";
import { type ArgumentsDefinition, entryOf, type Group, leaf } from "./command.ts";

export const addArguments = {
  class: { type: "positional", description: "Class of the machines they run on" },
  cmd: { type: "positional", description: "The command, in quotes, with a {KEY} for each variable" },
  words: {
    type: "positional",
    valueHint: "[CP_PATH] KEY=V1,V2,...",
    rest: true,
    description: "Folder for results, then the variables with their values; a comma in a value is written \\,",
  },
  times: { type: "string", alias: "x", valueHint: "N", default: "1", description: "Queue each combination N times" },
  timeout: {
    type: "string",
    valueHint: "T",
    description: "Stop each after 90s, 15m, 1h34m or 2d; a bare number is minutes [default: never]",
  },
  "max-failures": {
    type: "string",
    valueHint: "N",
    default: String(MATRIX_FAILURES_MAX),
    description: "Give up after N failures of a combination; 0: no limit",
  },
  notify: { type: "boolean", description: "Notify when they end" },
} as const satisfies ArgumentsDefinition;
const add = leaf({
  name: "add",
  summary: "Queues one job for each combination of values, the last variable fastest. Failures are retried.",
  usage: "CLASS CMD [CP_PATH] KEY=V1,V2,...",
  example: 'j job matrix add c220g5 "bench --size {SIZE} --mode {MODE}" ~/results SIZE=1,2,4 MODE=linear,quadratic',
  arguments: addArguments,
  load: () => import("./matrix/add.ts"),
});

export const listArguments = {
  id: { type: "positional", description: "The id of the matrix" },
} as const satisfies ArgumentsDefinition;
const list = leaf({
  name: "ls",
  summary: "Lists the jobs of a matrix.",
  example: "j job matrix ls 12",
  arguments: listArguments,
  load: () => import("./matrix/ls.ts"),
});

export const csvArguments = {
  ...listArguments,
  "excel-safe": { type: "boolean", description: "Put a ' before cells that a spreadsheet would take for a formula" },
} as const satisfies ArgumentsDefinition;
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
  commands: [entryOf(add), entryOf(list, "stat"), entryOf(csv)],
};
