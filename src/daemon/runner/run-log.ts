/**
 * The two log files of a run on this host: their folder, why they cannot be written, and the sync
 * before an end is reported. The supervisor creates and appends to them; nothing here changes a byte.
 */
import { closeSync, constants, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { type Problem, problem } from "../../core/problem.ts";
import { openLog } from "../open-log.ts";
import { errorCode } from "./run-directory.ts";
import type { RunLog } from "./runner.ts";

/** A FIFO in its place must not hold us up. */
const APPENDING = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;

/** Makes the folders of the logs, once each: what was made before is not looked at again. */
export class LogFolders {
  readonly #made = new Set<string>();

  /** @throws the system's error. */
  make(log: RunLog): void {
    for (const folder of [dirname(log.stdout), dirname(log.stderr)]) {
      if (this.#made.has(folder)) continue;
      mkdirSync(folder, { recursive: true });
      this.#made.add(folder);
    }
  }

  /** After a failure: look again next time. */
  forget(): void {
    this.#made.clear();
  }
}

/** Why a log cannot be opened for appending, found by doing it. null: it can. */
export function logProblem(log: RunLog): Problem | null {
  for (const path of [log.stdout, log.stderr]) {
    try {
      closeSync(openSync(path, APPENDING));
    } catch (error) {
      return fileProblem("log-unwritable", path, error);
    }
  }
  return null;
}

/** What an error with a file means to a person: no space, or the given code, with path and the system's message. */
export function fileProblem(code: "log-unwritable" | "run-directory-failed", path: string, error: unknown): Problem {
  const full = errorCode(error) === "ENOSPC" || errorCode(error) === "EDQUOT";
  const message = error instanceof Error ? error.message : String(error);
  return problem(full ? "no-space" : code, { path, message });
}

/** Brings both logs to stable storage. Resolves with the problem when that fails; a log that is gone has nothing to lose. */
export async function syncLog(log: RunLog): Promise<Problem | null> {
  const problems = await Promise.all([syncFile(log.stdout), syncFile(log.stderr)]);
  return problems.find((one) => one !== null) ?? null;
}

async function syncFile(path: string): Promise<Problem | null> {
  try {
    if (Bun.file(path).size === 0) return null;
    const file = await openLog(path);
    try {
      await file.datasync();
    } finally {
      await file.close();
    }
    return null;
  } catch (error) {
    return errorCode(error) === "ENOENT" ? null : fileProblem("log-unwritable", path, error);
  }
}
