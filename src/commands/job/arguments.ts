/** The words and flags of `job`: what each command takes. */
import { LISTING_ROWS } from "../../config/defaults.ts";
import type { ArgumentsDefinition } from "../argument.ts";

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
  tag: { type: "string", valueHint: "ID", completes: "tag", description: "Put it in a tag" },
  notify: { type: "boolean", description: "Notify when it ends" },
  "dry-run": { type: "boolean", description: "Queue nothing: show how many jobs it would be, and the first and last command line" },
} as const satisfies ArgumentsDefinition;

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

export const showArguments = ids;

export const removeArguments = {
  ...ids,
  forget: { type: "boolean", alias: "f", description: "Also remove it from the records; logs and results stay" },
} as const satisfies ArgumentsDefinition;

export const holdArguments = ids;

export const logArguments = {
  ids: { ...ids.ids, required: false },
  running: { type: "boolean", alias: "r", description: "Of all jobs that run now; what starts later is not joined" },
  error: { type: "boolean", alias: "e", description: "The log of standard error" },
  less: { type: "boolean", alias: "l", description: "Page it with less" },
  "raw-control-chars": { type: "boolean", alias: "R", description: "As less takes it: show colours" },
  decompress: { type: "boolean", alias: "z", description: "Page it with zless" },
  tail: { type: "boolean", alias: "t", description: "Follow it until the job ends; several at once, each line with its job" },
} as const satisfies ArgumentsDefinition;

export const waitArguments = {
  ...ids,
  timeout: {
    type: "string",
    valueHint: "T",
    description: "Give up after 90s, 15m, 1h34m or 2d; a bare number is minutes [default: never]",
  },
} as const satisfies ArgumentsDefinition;

export const whyArguments = ids;

export const takeResultsArguments = {
  to: {
    type: "positional",
    description: "Folder on the server's host; it is made when it is not there, and may hold placeholders as {JID}",
  },
  ...ids,
} as const satisfies ArgumentsDefinition;
