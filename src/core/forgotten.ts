/**
 * Who read a job of the past, and comes with it after it was forgotten, must not bring it back. The state cannot tell:
 * of a forgotten job nothing is left in it. So the engine remembers the ids and takes such jobs out here.
 */
import type { Command } from "./command.ts";

/** The command without jobs that are gone; null when nothing is left of it. */
export function withoutForgotten(command: Command, forgotten: ReadonlySet<number>): Command | null {
  if (forgotten.size === 0) return command;
  switch (command.kind) {
    case "cancel-jobs":
    case "tag-jobs":
      return { ...command, recalled: command.recalled.filter((job) => !forgotten.has(job.jid)) };
    case "results-changed":
    case "logs-moved":
      return forgotten.has(command.job.jid) ? null : command;
    case "add-machines":
    case "move-machines":
    case "remove-machines":
    case "restore-machines":
    case "set-variable":
    case "remove-variables":
    case "add-jobs":
    case "add-matrix":
    case "hold-jobs":
    case "unhold-jobs":
    case "add-setups":
    case "clone-jobs":
    case "set-timeout":
    case "add-tag":
    case "set-line":
    case "run-host-known":
    case "run-started":
    case "run-not-started":
    case "run-exited":
    case "run-lost":
    case "run-found":
    case "results-copied":
    case "results-failed":
    case "timeout-reached":
    case "back-off-over":
    case "machine-unreachable":
    case "machine-reachable":
    case "jobs-in-history":
      return command;
  }
}
