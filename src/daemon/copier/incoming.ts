/**
 * Owns the temporary folder of a copy, `<CP_PATH>/.expjobserver/incoming/<jid>.<runId>/`, and with it the only
 * place where half-copied files exist. It outlives a crash, so that a repetition finds what is there. Everything
 * of ours is 0700, nothing is followed; what is in `tree/` gets the modes that the umask of the copy gives, because
 * it is renamed into place as it is. The daemon's own umask is stricter than that.
 */
import { chmodSync, lstatSync, mkdirSync, readdirSync, rmSync, type Stats } from "node:fs";
import { realpath, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { problem } from "../../core/problem.ts";
import { CopyProblem, systemErrorCode, targetUnwritable } from "./copy-problem.ts";
import { type Listing, RECORDS_FOLDER } from "./listing.ts";
import { syncPaths } from "./sync.ts";
import { TimeSlice } from "./time-slice.ts";

export interface Incoming {
  /** CP_PATH with its own links resolved: from here on, no link is followed. */
  readonly root: string;
  readonly folder: string;
  /** The results under their final names, relative to it. */
  readonly tree: string;
  /** What placing is about to set aside, for a repetition after a crash. */
  readonly planFile: string;
  /** What a move is about to remove elsewhere, for a repetition after a crash. */
  readonly moveFile: string;
  /** For what becomes a result; null: that of this process. */
  readonly umask: number | null;
}

/** Makes CP_PATH if need be and the folder in it. @throws {CopyProblem} target-unwritable, target-is-link */
export async function openIncoming(options: {
  readonly target: string;
  readonly jid: number;
  readonly runId: string;
  readonly umask?: number;
}): Promise<Incoming> {
  const { target, jid, runId, umask = null } = options;
  if (!Number.isSafeInteger(jid) || !/^[0-9A-Za-z]+$/.test(runId)) throw new TypeError(`not a run: ${jid}.${runId}`);
  const root = await makeTarget(target, umask);
  const records = makeOwnFolder(root, RECORDS_FOLDER);
  const folder = makeOwnFolder(makeOwnFolder(records, "incoming"), `${jid}.${runId}`);
  const tree = makeOwnFolder(folder, "tree");
  return { root, folder, tree, planFile: join(folder, "plan.json"), moveFile: join(folder, "move.json"), umask };
}

/** Removes the temporary folder. What cannot be removed costs space, no more: false is returned. */
export async function discardIncoming(incoming: Incoming): Promise<boolean> {
  return await rm(incoming.folder, { recursive: true, force: true }).then(
    () => true,
    () => false,
  );
}

/** Removes from the tree what the listing does not have, then makes its folders. @throws {CopyProblem} */
export async function shapeTree(incoming: Incoming, listing: Listing): Promise<void> {
  const folders = new Set(listing.folders);
  const files = new Set(listing.files.map((file) => file.target));
  const slice = new TimeSlice();
  const open = [""];
  try {
    for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
      for (const entry of readdirSync(join(incoming.tree, folder), { withFileTypes: true })) {
        const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
        if (entry.isDirectory() && folders.has(path)) open.push(path);
        else if (!(entry.isFile() && files.has(path))) rmSync(join(incoming.tree, path), { recursive: true, force: true });
      }
      if (slice.over) await slice.pause();
    }
    for (const folder of listing.folders) {
      const path = join(incoming.tree, folder);
      if (makeFolder(path, 0o777) && incoming.umask !== null) chmodSync(path, folderMode(incoming.umask));
      if (slice.over) await slice.pause();
    }
  } catch (error) {
    throw targetUnwritable(incoming.tree, error);
  }
}

/** lstat, with null for what is not there. @throws {CopyProblem} target-unwritable */
export function look(path: string): Stats | null {
  try {
    return lstatSync(path);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return null;
    throw targetUnwritable(path, error);
  }
}

/** A folder of ours, 0700, made or found; never through a link. @throws {CopyProblem} */
export function makeOwnFolder(parent: string, name: string): string {
  const path = join(parent, name);
  makeFolder(path, 0o700);
  const found = look(path);
  if (found?.isSymbolicLink() === true) throw new CopyProblem(problem("target-is-link", { path }), "target");
  if (found?.isDirectory() !== true) throw new CopyProblem(problem("target-unwritable", { path, message: "it is not a folder" }), "target");
  return path;
}

/** Whatever the umask, the copy must be able to fill it. */
function folderMode(umask: number): number {
  return (0o777 & ~umask) | 0o700;
}

/** @returns whether it was made; false: something is there already */
function makeFolder(path: string, mode: number): boolean {
  try {
    mkdirSync(path, { mode });
    return true;
  } catch (error) {
    if (systemErrorCode(error) === "EEXIST") return false;
    throw targetUnwritable(path, error);
  }
}

async function makeTarget(target: string, umask: number | null): Promise<string> {
  try {
    const first = mkdirSync(target, { recursive: true });
    const root = await realpath(target);
    if (first === undefined) return root;
    if (umask !== null) for (const path of foldersFrom(first, resolve(target))) chmodSync(path, folderMode(umask));
    await syncPaths(foldersFrom(dirname(first), root));
    return root;
  } catch (error) {
    throw targetUnwritable(target, error);
  }
}

/** The new folders of a path and the one that holds them, so that their names are durable. */
function* foldersFrom(top: string, leaf: string): Generator<string> {
  for (let path = leaf; ; path = dirname(path)) {
    yield path;
    if (path === top || path === dirname(path)) return;
  }
}
