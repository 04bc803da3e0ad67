/** The words and flags of `machine`: what each command takes. */
import type { ArgumentsDefinition } from "../argument.ts";

const which = {
  machine: { type: "string", alias: "m", valueHint: "ADDR", repeat: true, description: "A machine, as it was added" },
  class: { type: "string", alias: "c", valueHint: "CLASS", repeat: true, description: "All machines of a class" },
  file: { type: "string", alias: "f", valueHint: "FILE", repeat: true, description: "The machines in a file, one a line" },
} as const satisfies ArgumentsDefinition;

export const listArguments = {
  class: { type: "string", alias: "c", valueHint: "CLASS", description: "Only this class [default: all]" },
} as const satisfies ArgumentsDefinition;

export const addArguments = {
  words: {
    type: "positional",
    valueHint: "ADDR... CLASS",
    rest: true,
    description: "Machines (HOST, HOST:PORT, user@HOST, local, local/NAME), and their class",
  },
} as const satisfies ArgumentsDefinition;

export const removeArguments = which;

export const moveArguments = {
  ...which,
  "new-class": { type: "positional", description: "The class they move to" },
} as const satisfies ArgumentsDefinition;

export const setupArguments = {
  machine: { ...which.machine, description: "A machine, new or in the pool: HOST, HOST:PORT, user@HOST, local/NAME" },
  file: which.file,
  existing: { type: "boolean", alias: "e", description: "Set up again the machines of --class" },
  class: { type: "string", alias: "c", valueHint: "CLASS", description: "The class they join when all commands have succeeded" },
  timeout: {
    type: "string",
    valueHint: "T",
    description: "Stop after 90s, 15m, 1h34m or 2d, all commands of a machine together; a bare number is minutes [default: never]",
  },
  stagger: {
    type: "string",
    valueHint: "S",
    description: "Begin on each machine S after the one before it; a bare number is seconds [default: all at once]",
  },
  notify: { type: "boolean", description: "Notify when they end" },
  cmds: {
    type: "positional",
    valueHint: "CMD",
    rest: true,
    description: "Commands, each in quotes; {MACHINE} stands for the machine, {NAME} for a variable",
  },
} as const satisfies ArgumentsDefinition;

export const checkArguments = {
  addrs: { type: "positional", valueHint: "ADDR", rest: true, required: false, description: "Machines [default: all]" },
} as const satisfies ArgumentsDefinition;

export const restoreArguments = {
  addrs: { type: "positional", valueHint: "ADDR", rest: true, description: "Quarantined machines" },
} as const satisfies ArgumentsDefinition;
