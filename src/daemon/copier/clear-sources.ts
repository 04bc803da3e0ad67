/**
 * Owns the last step of a move: what has a proved and recorded copy elsewhere is removed where it was. Only regular
 * files that the job's record names, inside the folder that is recorded, and only while they are what was copied.
 * What is to go is noted in TO before the move is recorded, so that a repetition finishes what a crash interrupted.
 */
import { readFileSync, renameSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as v from "valibot";
import { type Problem, problem } from "../../core/problem.ts";
import { systemErrorCode, targetUnwritable } from "./copy-problem.ts";
import { gatherFile, isInside, isSameFile, seenAt } from "./gather.ts";
import { type Incoming, look, makeOwnFolder } from "./incoming.ts";
import { RECORDS_FOLDER } from "./listing.ts";
import { readRecord, recordPath } from "./record.ts";
import { syncPaths } from "./sync.ts";
import type { SourceFile } from "./take-results.ts";
import type { TargetFolder, TargetFolders } from "./target-folders.ts";
import { TimeSlice } from "./time-slice.ts";
import type { FetchedFile } from "./transfer.ts";

export interface ClearRequest {
  readonly jid: number;
  readonly runId: string;
  /** TO with its links resolved. */
  readonly root: string;
  readonly sources: readonly SourceFile[];
  readonly targets: TargetFolders;
}

/** Durable when it resolves. @throws {CopyProblem} target-unwritable */
export async function noteMove(incoming: Incoming, sources: readonly SourceFile[]): Promise<void> {
  const temporary = `${incoming.moveFile}.new`;
  try {
    writeFileSync(temporary, JSON.stringify(sources.map(({ seen: _, ...source }) => source)), { mode: 0o600 });
    await syncPaths([temporary]);
    renameSync(temporary, incoming.moveFile);
    await syncPaths([incoming.folder]);
  } catch (error) {
    throw targetUnwritable(incoming.moveFile, error);
  }
}

/** What an earlier move of this run to this TO was about to remove. */
export function notedMove(incoming: Incoming): SourceFile[] {
  let text: string;
  try {
    text = readFileSync(incoming.moveFile, "utf8");
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return [];
    throw targetUnwritable(incoming.moveFile, error);
  }
  return v.parse(NoteSchema, JSON.parse(text)).map((source) => ({ ...source, seen: null }));
}

/** Removes what is proved to be in TO. @returns what could not be removed; it is there twice then */
export async function clearSources(request: ClearRequest): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (const [folder, sources] of Map.groupBy(request.sources, (source) => source.folder)) {
    try {
      await request.targets.withFolder(folder, (held) => clearFolder(held, sources, request));
    } catch (error) {
      const message = targetUnwritable(folder, error).problem.data["message"] ?? "";
      problems.push(problem("source-not-removed", { path: folder, message }));
    }
  }
  return problems;
}

async function clearFolder(folder: TargetFolder, sources: readonly SourceFile[], request: ClearRequest): Promise<void> {
  const gone = new Set<string>();
  let failure: unknown = null;
  for (const source of sources) {
    try {
      // An equal file of another job has the same name: it stays, and is that job's alone from now on.
      const isShared = (await folder.ownersOf(source.path)).some((owner) => owner !== request.jid);
      if (isShared || (await cleared(source, request))) gone.add(source.path);
    } catch (error) {
      failure ??= error;
    }
  }
  if (gone.size > 0) await syncPaths(await emptied(folder.root, gone));
  await forget(folder, gone, request);
  if (failure !== null) throw failure;
}

/** @returns whether the name is free now */
async function cleared({ folder, path, to, bytes, sha256, seen }: SourceFile, { root }: ClearRequest): Promise<boolean> {
  const from = join(folder, path);
  if (!isInside(folder, path) || isSameEntry(from, join(root, to))) return false;
  const now = await seenAt(from);
  if (now === null) return look(from) === null;
  const signal = new AbortController().signal;
  const proved = async (where: string, name: string): Promise<boolean> =>
    (await gatherFile({ folder: where, path: name, expected: { bytes, sha256 }, to: null, mayLink: false, signal })).kind === "taken";
  // One that was read a moment ago is known by what it is; otherwise its content must say so.
  const isUnchanged = seen === null ? await proved(folder, path) : isSameFile(seen, now);
  if (!isUnchanged || !(seen === null ? await proved(root, to) : look(join(root, to))?.isFile() === true)) return false;
  await rm(from);
  return true;
}

/** One name in one folder, however the folder was reached. */
function isSameEntry(one: string, other: string): boolean {
  if (one.slice(one.lastIndexOf("/")) !== other.slice(other.lastIndexOf("/"))) return false;
  const [first, second] = [statSync(dirname(one), { throwIfNoEntry: false }), statSync(dirname(other), { throwIfNoEntry: false })];
  return first !== undefined && second !== undefined && first.dev === second.dev && first.ino === second.ino;
}

/** Folders below the recorded one that are empty now go; the recorded one itself stays. @returns what must be synced */
async function emptied(root: string, gone: ReadonlySet<string>): Promise<Set<string>> {
  const folders = new Set([...gone].map((path) => dirname(path)).flatMap(upward));
  const left = new Set<string>([root]);
  for (const path of [...folders].sort((one, other) => other.length - one.length)) {
    try {
      await rmdir(join(root, path));
    } catch {
      // Something else is in it, or somebody removed it: either way it is none of ours now.
      if (look(join(root, path)) !== null) left.add(join(root, path));
    }
  }
  return left;
}

/** The folder and those above it, as far as they lie below the root. */
function upward(path: string): string[] {
  return path === "." ? [] : [path, ...upward(dirname(path))];
}

/** The record in the old folder keeps only what stayed there. */
async function forget(folder: TargetFolder, gone: ReadonlySet<string>, { jid, runId }: ClearRequest): Promise<void> {
  const record = await readRecord(recordPath(folder.root, jid)).catch(() => null);
  // Killed after the record went: its folders may have stayed.
  if (record === null) return await removeOwnFolders(folder.root);
  if (record.runId !== runId) return;
  const slice = new TimeSlice();
  const staying = async (all: readonly FetchedFile[]): Promise<FetchedFile[]> => {
    const left: FetchedFile[] = [];
    for (const file of all) {
      if (!gone.has(file.path) && look(join(folder.root, file.path)) !== null) left.push(file);
      if (slice.over) await slice.pause();
    }
    return left;
  };
  const files = await staying(record.files);
  const logs = await staying(record.logs);
  const records = makeOwnFolder(folder.root, RECORDS_FOLDER);
  makeOwnFolder(records, "incoming");
  await folder.replaceRecord(jid, files.length + logs.length === 0 ? null : { ...record, files, logs });
  await removeOwnFolders(folder.root);
}

/** The last record takes the folders of ours along. At once: a copy that just begins makes them again, and must not lose them in between. */
async function removeOwnFolders(root: string): Promise<void> {
  const records = join(root, RECORDS_FOLDER);
  if (isRemovedEmpty(join(records, "incoming")) && isRemovedEmpty(records)) await syncPaths([root]);
}

function isRemovedEmpty(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    // Otherwise it is not empty: other jobs have their records there.
    return systemErrorCode(error) === "ENOENT";
  }
}

const NoteSchema = v.array(
  v.object({
    path: v.string(),
    bytes: v.number(),
    sha256: v.string(),
    folder: v.string(),
    to: v.string(),
    kind: v.picklist(["result", "log"]),
  }),
);
