/**
 * Run directories that nobody needs any more, for runs to come: some file systems are slow at making a new file for minutes after
 * one was removed (ext4 without a journal passes over each such inode), and a short job would wait for that longer than it runs.
 *
 * Only a directory whose run was begun and ended by the one supervisor that was ever told of it, by this process, may be kept: in any other
 * a late start may be, and would find its way free once the file is emptied. Renaming comes first and at once, so that who lists
 * the folder for what is left of ended runs never has one in hand that serves another.
 */
import { closeSync, constants, fstatSync, ftruncateSync, lstatSync, openSync, readdirSync, renameSync, utimesSync } from "node:fs";
import { dirname, join } from "node:path";
import { lifeOfSpare, spareDirectoryName } from "../../store/run-directory-name.ts";
import { errorCode, RUN_FILE, removeRunDirectory } from "./run-directory.ts";

const SPARES_MAX = 64;
/** Of a folder with a few names, on any file system. */
const FOLDER_BYTES_MAX = 4_096;
/** Of this process: what an earlier one left is told by another. */
const LIFE = crypto.randomUUID().slice(0, 8);

/** Is it a spare directory of a server that is no more? */
export function isLeftSpare(name: string): boolean {
  const life = lifeOfSpare(name);
  return life !== null && life !== LIFE;
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

  /** Keeps the directory for another run, or removes it. @throws the system's error, when it can do neither */
  async keep(directory: string): Promise<void> {
    const spare = join(dirname(directory), spareDirectoryName(LIFE, next++));
    if (this.#spares.length < SPARES_MAX && isPlain(directory) && renamed(directory, spare)) this.#spares.push(spare);
    else await removeRunDirectory(directory);
  }
}

/** Nothing but what a supervisor leaves, as it leaves it. */
function isPlain(directory: string): boolean {
  const status = lstatSync(directory, { throwIfNoEntry: false });
  // To list what a job may have put there would take long; its size tells first.
  if (status?.isDirectory() !== true || (status.mode & 0o777) !== 0o700 || status.size > FOLDER_BYTES_MAX) return false;
  const names = readdirSync(directory);
  return names.length === 1 && names[0] === RUN_FILE;
}

function renamed(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (errorCode(error) === "") throw error;
    return false;
  }
}

/** @throws when it is no file of its own any more, as a supervisor makes it */
function empty(path: string): void {
  const descriptor = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const status = fstatSync(descriptor);
    if (!status.isFile() || status.nlink !== 1 || (status.mode & 0o777) !== 0o600)
      throw Object.assign(new Error(`${path} is no run file`), { code: "EINVAL" });
    ftruncateSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
