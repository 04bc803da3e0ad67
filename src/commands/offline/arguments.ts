/** The words of `check`, `import` and `state`. */
import type { ArgumentsDefinition } from "../argument.ts";

const networkFs = {
  "allow-network-fs": { type: "boolean", description: "Also on a network file system, where locks cannot be relied on" },
} as const satisfies ArgumentsDefinition;
const dryRun = {
  "dry-run": { type: "boolean", description: "Say what would come in, and write nothing" },
} as const satisfies ArgumentsDefinition;

export const checkArguments = {
  "log-dir": { type: "string", valueHint: "DIR", description: "The log folder to look at [default: as for `serve`]" },
  "known-hosts": { type: "string", valueHint: "FILE", description: "The known_hosts to look at [default: as for `serve`]" },
} as const satisfies ArgumentsDefinition;

export const importArguments = {
  file: { type: "positional", description: "The file `server-snapshot`, from the old log folder" },
  logs: { type: "string", valueHint: "DIR", description: "Where the old server wrote its logs [default: the folder of FILE]" },
  machines: { type: "boolean", default: true, description: "Leave the old machines out" },
  ...dryRun,
  ...networkFs,
} as const satisfies ArgumentsDefinition;

export const stateExportArguments = {
  file: { type: "positional", description: "Where to write it; `-`: to stdout" },
  "with-secrets": { type: "boolean", description: "With the values of secret variables" },
} as const satisfies ArgumentsDefinition;

export const stateImportArguments = {
  file: { type: "positional", description: "What `state export` wrote" },
  ...dryRun,
  ...networkFs,
} as const satisfies ArgumentsDefinition;
