/** The words and flags of `job matrix`: what each command takes. */
import { MATRIX_FAILURES_MAX } from "../../config/defaults.ts";
import type { ArgumentsDefinition } from "../argument.ts";

export const addArguments = {
  class: { type: "positional", description: "Class of the machines they run on" },
  cmd: { type: "positional", description: "The command, in quotes, with a {KEY} for each variable" },
  words: {
    type: "positional",
    valueHint: "[CP_PATH] KEY=V1,V2,...",
    completes: "directory",
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
  "dry-run": { type: "boolean", description: "Queue nothing: show how many jobs it would be, and the first and last command line" },
} as const satisfies ArgumentsDefinition;

export const listArguments = {
  id: { type: "positional", completes: "matrix", description: "The id of the matrix" },
} as const satisfies ArgumentsDefinition;

export const csvArguments = {
  ...listArguments,
  "excel-safe": { type: "boolean", description: "Put a ' before cells that a spreadsheet would take for a formula" },
} as const satisfies ArgumentsDefinition;
