/** The words and flags of `var`: what each command takes. */
import type { ArgumentsDefinition } from "../argument.ts";

export const setArguments = {
  name: { type: "positional", completes: "variable", description: "Letters, digits and _" },
  value: { type: "positional", description: "Its value; `-` reads it from stdin, so that it stays out of the shell history" },
  secret: { type: "boolean", description: "Mask it in every listing, log, file name and notification" },
} as const satisfies ArgumentsDefinition;

export const listArguments = {} as const satisfies ArgumentsDefinition;

export const removeArguments = {
  names: { type: "positional", valueHint: "NAME", completes: "variable", rest: true, description: "Variables to remove" },
} as const satisfies ArgumentsDefinition;
