/** The layout of the state directory, and the checks made before anything in it is touched. */
import { chmodSync, closeSync, constants, fsyncSync, mkdirSync, openSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { networkFileSystemAt } from "./network-file-system.ts";
import { asStoreError, StoreError } from "./store-error.ts";

export interface StorePaths {
  readonly directory: string;
  /** The newest generation. */
  readonly snapshot: string;
  /** The generation before it. */
  readonly olderSnapshot: string;
  readonly journal: string;
  readonly history: string;
  readonly secrets: string;
  readonly serverId: string;
  /** Made and read by the server; the store only knows where it is. */
  readonly token: string;
  readonly lock: string;
  readonly runs: string;
}

export function storePaths(directory: string): StorePaths {
  const root = resolve(directory);
  return {
    directory: root,
    snapshot: join(root, "snapshot.toml"),
    olderSnapshot: join(root, "snapshot.1.toml"),
    journal: join(root, "journal"),
    history: join(root, "history"),
    secrets: join(root, "secrets.toml"),
    serverId: join(root, "server-id"),
    token: join(root, "token"),
    lock: join(root, "lock"),
    runs: join(root, "runs"),
  };
}

/**
 * Makes the directory if it is not there: 0700 whatever the umask, our own, and on a local disk, because
 * locks, rename and sync mean something else on a network file system.
 */
export function prepareDirectory(paths: StorePaths, options: { readonly allowNetworkFileSystem: boolean }): void {
  try {
    syncNames(mkdirSync(paths.directory, { recursive: true, mode: 0o700 }), paths.directory);
    const { uid } = statSync(paths.directory);
    if (uid !== process.getuid?.()) throw new StoreError("not-owned", { directory: paths.directory, uid });
    const type = networkFileSystemAt(paths.directory);
    if (type !== null && !options.allowNetworkFileSystem) {
      throw new StoreError("network-file-system", { directory: paths.directory, type });
    }
    chmodSync(paths.directory, 0o700);
  } catch (error) {
    throw asStoreError(error, paths.directory);
  }
}

/** Puts the names of folders that were just made on stable storage. @param first the highest of them */
function syncNames(first: string | undefined, last: string): void {
  if (first === undefined) return;
  for (let made = last; ; made = dirname(made)) {
    const parent = openSync(dirname(made), constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      fsyncSync(parent);
    } finally {
      closeSync(parent);
    }
    if (made === resolve(first)) return;
  }
}

/** Makes a folder of ours inside the state directory, 0700 whatever the umask. */
export function makePrivateFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    chmodSync(folder, 0o700);
  } catch (error) {
    throw asStoreError(error, folder);
  }
}
