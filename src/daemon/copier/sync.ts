/**
 * Owns putting things on stable storage without holding the event loop: one sync of the file system for all
 * that was copied, by sync(1) in a process of its own (syncfs through FFI would block the daemon for as long
 * as the disk takes), or file by file where that tool is missing.
 */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { targetUnwritable } from "./copy-problem.ts";

const CONCURRENT_SYNCS = 8;

/**
 * Syncs everything below `folder`; `paths` are the files and folders there, absolute.
 * @throws {CopyProblem} target-unwritable, with the system's message
 */
export async function syncTree(folder: string, paths: () => Iterable<string>): Promise<void> {
  if (await syncFileSystemOf(folder)) return;
  // Not there, too old for -f, or an error that some file must show now.
  await syncPaths(paths());
}

/** fsync of each file or folder. @throws {CopyProblem} target-unwritable */
export async function syncPaths(paths: Iterable<string>): Promise<void> {
  const iterator = paths[Symbol.iterator]();
  const worker = async (): Promise<void> => {
    for (let next = iterator.next(); next.done !== true; next = iterator.next()) await syncPath(next.value);
  };
  await Promise.all(Array.from({ length: CONCURRENT_SYNCS }, worker));
}

async function syncPath(path: string): Promise<void> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    throw targetUnwritable(path, error);
  }
}

async function syncFileSystemOf(folder: string): Promise<boolean> {
  const program = Bun.which("sync");
  if (program === null) return false;
  const child = Bun.spawn([program, "-f", folder], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
  return (await child.exited) === 0;
}
