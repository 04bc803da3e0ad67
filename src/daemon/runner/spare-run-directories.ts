/**
 * Run directories that nobody needs any more, for runs to come: some file systems are slow at making a new file for minutes after
 * one was removed (ext4 without a journal passes over each such inode), and a short job would wait for that longer than it runs.
 *
 * Only a directory whose run was begun and ended by a supervisor of this process may be kept: then nobody else was ever told of it,
 * and no late start can be in it.
 */
import { closeSync, constants, fstatSync, openSync, readdirSync, renameSync, utimesSync } from "node:fs";
import { dirname, join } from "node:path";
import { errorCode, RUN_FILE, removeRunDirectory } from "./run-directory.ts";

const SPARES_MAX = 64;
const TRUNCATE = constants.O_WRONLY | constants.O_TRUNC | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** Of this process: what an earlier one left is told by another. */
const LIFE = crypto.randomUUID().slice(0, 8);
const SPARE_NAME = /^spare\.([0-9a-f]{8})\.[0-9]+$/;

/** Is it a spare directory of a server that is no more? */
export function isLeftSpare(name: string): boolean {
  const match = SPARE_NAME.exec(name);
  return match !== null && match[1] !== LIFE;
}

/** The number that the next one gets: the spares of all runners of this process lie in the same folder. */
let next = 0;

export class SpareRunDirectories {
  readonly #spares: string[] = [];

  /** Takes the place of `createRunDirectory`. false: there is none that could, and nothing was done. */
  take(directory: string): boolean {
    const spare = this.#spares.pop();
    if (spare === undefined) return false;
    try {
      empty(join(spare, RUN_FILE));
      const now = new Date();
      utimesSync(spare, now, now);
      renameSync(spare, directory);
      return true;
    } catch (error) {
      // Somebody has been at it, or the run has a directory already. A start can do without.
      if (errorCode(error) === "") throw error;
      void removeRunDirectory(spare).catch(() => undefined);
      return false;
    }
  }

  /** Keeps the directory for another run, or removes it. @throws the system's error */
  async keep(directory: string): Promise<void> {
    if (this.#spares.length >= SPARES_MAX || !isPlain(directory)) return await removeRunDirectory(directory);
    const spare = join(dirname(directory), `spare.${LIFE}.${next++}`);
    renameSync(directory, spare);
    this.#spares.push(spare);
  }
}

/** Nothing but what a supervisor leaves. */
function isPlain(directory: string): boolean {
  const names = readdirSync(directory);
  return names.length === 1 && names[0] === RUN_FILE;
}

/** @throws when it is no file of its own any more */
function empty(path: string): void {
  const descriptor = openSync(path, TRUNCATE);
  try {
    const status = fstatSync(descriptor);
    if (!status.isFile() || status.nlink !== 1) throw Object.assign(new Error(`${path} is no file of its own`), { code: "EINVAL" });
  } finally {
    closeSync(descriptor);
  }
}
