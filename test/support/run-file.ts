/** The file of a run directory, for tests that look behind the runner. */
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { errorCode, RUN_FILE } from "../../src/daemon/runner/run-directory.ts";

export function runFileOf(directory: string): string {
  return join(directory, RUN_FILE);
}

/** What its lines say, without the name of the run; empty when there is no file. */
export function runLines(directory: string): string[] {
  const ending = ` ${basename(directory)} end`;
  return textOf(runFileOf(directory))
    .split("\n")
    .flatMap((line) => (line === "" ? [] : [line.endsWith(ending) ? line.slice(0, -ending.length) : `damaged: ${line}`]));
}

/** As the supervisor said it: `<pid> <start time> <boot id>`. */
export function supervisorIn(directory: string): string {
  return runLines(directory)[0]?.replace(/^begin /, "") ?? "";
}

/** NaN before the run has begun. */
export function supervisorPidIn(directory: string): number {
  return Number.parseInt(supervisorIn(directory), 10);
}

/** null before the end. */
export function exitCodeIn(directory: string): number | null {
  const match = /^exit (\d+)$/.exec(runLines(directory).at(-1) ?? "");
  return match === null ? null : Number(match[1]);
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return "";
    throw error;
  }
}
