/** The words and flags of `job clone`, `restart`, `settimeout` and `line`. */
import type { ArgumentsDefinition } from "../argument.ts";
import { holdArguments } from "./arguments.ts";

export const cloneArguments = {
  ...holdArguments,
  times: { type: "string", alias: "x", valueHint: "N", default: "1", description: "Queue each N times" },
} as const satisfies ArgumentsDefinition;

export const restartArguments = holdArguments;

export const timeoutArguments = {
  time: {
    type: "positional",
    valueHint: "T",
    completes: "nothing",
    description: "From the start: 90s, 15m, 1h34m or 2d; a bare number is minutes; none: no timeout",
  },
  ...holdArguments,
} as const satisfies ArgumentsDefinition;

export const lineArguments = {
  id: {
    type: "positional",
    valueHint: "JID",
    required: false,
    description: "A number, `last`, or a matrix or tag for the last of its jobs [default: removes the line]",
  },
} as const satisfies ArgumentsDefinition;
