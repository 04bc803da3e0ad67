/** The flags of `job stat`: which jobs, which columns in which form, and the programs that values go through. */
import type { ArgumentsDefinition } from "../argument.ts";

const program = { type: "string", valueHint: "PROG", completes: "file" } as const;
const same = { ...program, description: "As --jid-map" } as const;

export const statArguments = {
  id: { type: "string", many: true, valueHint: "JID", description: "These: numbers, `last`, 5-9, a matrix or tag" },
  after: { type: "string", valueHint: "JID", description: "This one and all with higher ids" },
  running: { type: "boolean", description: "All that run" },
  "only-done": { type: "boolean", description: "Of these, only those that are done and have results" },
  text: { type: "boolean", description: "A line a job, with a tab between values; a table on a terminal [default]" },
  csv: { type: "boolean", description: "CSV with a header" },
  headers: { type: "boolean", default: true, description: "With --text: no line of headers" },
  "excel-safe": { type: "boolean", description: "With --csv: ' before cells that a spreadsheet would take for a formula" },
  jid: { type: "boolean", description: "Column: the job's id" },
  matrix: { type: "boolean", description: "Column: the id of its matrix" },
  cmd: { type: "boolean", description: "Column: the command, as it was typed" },
  class: { type: "boolean", description: "Column: the class" },
  machine: { type: "boolean", description: "Column: the machine" },
  status: { type: "boolean", description: "Column: the status" },
  error: { type: "boolean", description: "Column: the error" },
  vars: { type: "boolean", description: "Column: the variables, as JSON" },
  results: { type: "boolean", description: "Column: what the job printed after RESULTS:" },
  "results-path": {
    type: "string",
    empty: true,
    valueHint: "SUFFIX",
    description:
      'Column: where the results are: what the job printed, as it is called on the server\'s host, with SUFFIX behind it ("" for none)',
  },
  starttime: { type: "boolean", description: "Column: when it started" },
  endtime: { type: "boolean", description: "Column: when it ended" },
  duration: { type: "boolean", description: "Column: how long it ran, in seconds" },
  log: { type: "boolean", description: "Column: the path of its log" },
  "results-dir": { type: "boolean", description: "Column: the CP_PATH it was queued with" },
  "jid-map": { ...program, description: "Pipe the values of that column through PROG" },
  "matrix-map": same,
  "cmd-map": same,
  "class-map": same,
  "machine-map": same,
  "status-map": same,
  "error-map": same,
  "vars-map": same,
  "results-map": same,
  "results-path-map": same,
  "starttime-map": same,
  "endtime-map": same,
  "duration-map": same,
  "log-map": same,
  "results-dir-map": same,
  mapper: { ...program, description: "Pipe the whole job as JSON through PROG; its JSON answer takes its place" },
  "alt-paths": { type: "string", repeat: true, valueHint: "DIR", description: "Look here for results that are not in their place" },
} as const satisfies ArgumentsDefinition;
