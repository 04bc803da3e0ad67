/** The words of `ping`, `status`, `stop` and `link`: what each command takes. */
import type { ArgumentsDefinition } from "../argument.ts";

export const NO_ARGUMENTS = {} as const satisfies ArgumentsDefinition;
export type NoArguments = typeof NO_ARGUMENTS;

export const linkArguments = {
  dir: { type: "positional", required: false, description: "Where to make it [default: beside the executable]" },
} as const satisfies ArgumentsDefinition;
