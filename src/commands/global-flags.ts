/** The flags that every command takes, before or after its name. */

import { DEFAULT_ADDRESS } from "../config/defaults.ts";
import type { ArgumentsDefinition } from "./argument.ts";

export const GLOBAL_FLAGS = {
  address: {
    type: "string",
    valueHint: "HOST:PORT",
    description: `Where the server listens [default: ${DEFAULT_ADDRESS}; EXPJOBSERVER_ADDRESS]`,
  },
  json: { type: "boolean", description: "Print JSON, for scripts" },
  quiet: { type: "boolean", alias: "q", description: "Print ids only" },
  color: { type: "boolean", default: true, description: "No colours [also NO_COLOR]" },
  "state-dir": {
    type: "string",
    valueHint: "DIR",
    description: "Where the server keeps state and token [default: $XDG_STATE_HOME/expjobserver; EXPJOBSERVER_STATE_DIR]",
  },
  config: {
    type: "string",
    valueHint: "FILE",
    description: "config.toml [default: $XDG_CONFIG_HOME/expjobserver/config.toml; EXPJOBSERVER_CONFIG]",
  },
  help: { type: "boolean", alias: "h", description: "Show this help" },
  version: { type: "boolean", alias: "V", description: "Show the version" },
} as const satisfies ArgumentsDefinition;

export interface GlobalFlags {
  readonly address: string | undefined;
  readonly stateDir: string | undefined;
  readonly config: string | undefined;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly colour: boolean;
}
