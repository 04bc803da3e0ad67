/** The processes of supervisors (supervisor.ts) as /proc shows them: whose run one has, and whether it still has it. */
import { readlinkSync } from "node:fs";
import { basename, dirname } from "node:path";
import { parseRunDirectoryName } from "../../store/run-directory-name.ts";
import { isAlive, listPids, type ProcessIdentity, readProcessFile } from "./process-identity.ts";
import { SUPERVISOR_NAME } from "./supervisor.ts";

/**
 * The process that has the run, however its directory is by now: one that was started for it, or a standing one of its run
 * root that is in it. null: none lives.
 */
export function findSupervisor(runDirectory: string): number | null {
  const forThisRun = `\0${SUPERVISOR_NAME}\0${runDirectory}\0`;
  const standing = `\0${SUPERVISOR_NAME}\0${dirname(runDirectory)}\0`;
  for (const pid of listPids()) {
    const commandLine = readProcessFile(pid, "cmdline");
    if (commandLine?.includes(forThisRun) === true) return pid;
    if (commandLine?.endsWith(standing) === true && workPlace(pid) === basename(runDirectory)) return pid;
  }
  return null;
}

/** Is this very supervisor alive, and not known to be done with the run? Errs on the side of true. */
export function isSupervising(identity: ProcessIdentity, runDirectory: string, bootId: string): boolean {
  return isAlive(identity, bootId) && !isElsewhere(identity.pid, runDirectory);
}

/** Is this supervisor between two runs, or has it another one? It is in the directory of its run, and else in `/`. */
export function isElsewhere(pid: number, runDirectory: string): boolean {
  const place = workPlace(pid);
  // A job can give its run directory any name but that of another run, and harms only itself with that.
  return place === "" || (place !== null && place !== basename(runDirectory) && parseRunDirectoryName(place) !== null);
}

/** Does the process run the supervisor's text, not yet or never a program of the job? */
export function isSupervisorText(pid: number): boolean {
  return readProcessFile(pid, "cmdline")?.includes(`\0${SUPERVISOR_NAME}\0/`) === true;
}

/** The last name of a process's working directory, deleted or not: empty for `/`, null when it cannot be known. */
function workPlace(pid: number): string | null {
  try {
    return basename(readlinkSync(`/proc/${pid}/cwd`).replace(/ \(deleted\)$/, ""));
  } catch {
    // It is gone, or another user's.
    return null;
  }
}
