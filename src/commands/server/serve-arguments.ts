/** The flags of `serve`; each is also a key of config.toml. */
import { DEFAULT_ADDRESS, DEFAULT_LOG_LEVEL } from "../../config/defaults.ts";
import type { ArgumentsDefinition } from "../argument.ts";

export const serveArguments = {
  runner: { type: "string", valueHint: "PATH", description: "The experiment driver [default: none; commands are shell text]" },
  "runner-arg": { type: "string", valueHint: "ARG", repeat: true, description: "Put before the words of each job" },
  "log-dir": { type: "string", valueHint: "DIR", description: "Logs of jobs and server [default: STATE_DIR/logs]" },
  "state-dir": { type: "string", valueHint: "DIR", description: "Where everything is remembered [default: $XDG_STATE_HOME/expjobserver]" },
  address: { type: "string", valueHint: "HOST:PORT", description: `Where to listen [default: ${DEFAULT_ADDRESS}]` },
  detach: { type: "boolean", description: "Go to the background once it is ready" },
  "allow-snap-fail": { type: "boolean", description: "Set state that cannot be read aside, and start empty" },
  "allow-network-fs": { type: "boolean", description: "Accept a state directory on a network file system" },
  "log-level": {
    type: "string",
    valueHint: "LEVEL",
    choices: ["error", "warn", "info", "debug", "trace"],
    description: `error, warn, info, debug or trace [default: ${DEFAULT_LOG_LEVEL}]`,
  },
  "known-hosts": { type: "string", valueHint: "FILE", description: "Host keys [default: the user's and the system's]" },
  identity: { type: "string", valueHint: "FILE", repeat: true, description: "Private key for SSH [default: as ssh_config and agent say]" },
  "ssh-config": { type: "string", valueHint: "FILE", description: "SSH configuration [default: ~/.ssh/config]" },
  "summary-interval": { type: "string", valueHint: "MIN", description: "Notify in a summary every MIN minutes [default: at once]" },
  "notify-running": { type: "boolean", description: "Notify when a job starts" },
  "notify-complete": { type: "boolean", description: "Notify when a job is done" },
  "notify-copied": { type: "boolean", description: "Notify when results have been copied" },
  "notify-fail": { type: "boolean", description: "Notify when a job fails" },
  "notify-machine-broken": { type: "boolean", description: "Notify when a machine is quarantined or long unreachable" },
} as const satisfies ArgumentsDefinition;
