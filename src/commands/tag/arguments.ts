/** The words of `tag`: what each command takes. */
import type { ArgumentsDefinition } from "../argument.ts";
import { holdArguments } from "../job/arguments.ts";

export const newArguments = {} as const satisfies ArgumentsDefinition;

export const setArguments = {
  words: {
    type: "positional",
    valueHint: "JID... TAG",
    rest: true,
    completes: ["jid", "tag"],
    description: "Jobs as numbers, `last`, 5-9, matrices or tags; the id of the tag stands last",
  },
} as const satisfies ArgumentsDefinition;

export const unsetArguments = holdArguments;

export const listArguments = {
  id: { type: "positional", valueHint: "ID", completes: "tag", required: false, description: "The id of a tag [default: lists all tags]" },
} as const satisfies ArgumentsDefinition;
