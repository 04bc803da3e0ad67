/**
 * Owns the step in which fetched results get their final names. It first looks at everything and decides,
 * changing nothing; writes down what it will set aside; then renames. No link below CP_PATH is followed, an
 * equal file is left alone, a different one is kept as NAME.~1~ before the new one takes its name. At any
 * moment a crash leaves each name with its old or its new content, and repeating the step ends in the same
 * state. Two placings in one CP_PATH must not run at once: target-folders.ts sees to that.
 */
import { linkSync, readFileSync, renameSync, type Stats, writeFileSync } from "node:fs";
import { join } from "node:path";
import { problem } from "../../core/problem.ts";
import { CopyProblem, systemErrorCode, targetUnwritable } from "./copy-problem.ts";
import { type Incoming, look } from "./incoming.ts";
import type { Listing } from "./listing.ts";
import { hashBeginning } from "./local-hash.ts";
import { syncPaths } from "./sync.ts";
import { TimeSlice } from "./time-slice.ts";
import type { FetchedFile } from "./transfer.ts";

export interface Displaced {
  /** The job whose result it was; null when no record names it, or it was this job's own. */
  readonly jid: number | null;
  /** Relative to CP_PATH; a file, or a folder with all that is in it. */
  readonly from: string;
  readonly to: string;
}

export interface PlaceRequest {
  readonly incoming: Incoming;
  readonly listing: Listing;
  readonly files: readonly FetchedFile[];
  /** The jobs that own what has this name or lies in the folder of this name. */
  readonly ownersOf: (path: string) => Promise<readonly number[]>;
  /** Where the search for a free backup number starts: the lowest that may be free. */
  readonly backupHints: Map<string, number>;
}

type Step =
  | { readonly kind: "move"; readonly path: string }
  | { readonly kind: "replace"; readonly path: string; readonly backup: string; readonly isLinked: boolean; readonly isFile: boolean };

/** As it stands in the plan file: enough to tell after a crash whether it has happened. */
interface SetAside extends Displaced {
  readonly device: number;
  readonly inode: number;
}

const REPLANS_MAX = 5;

/** @returns what was set aside, also by an earlier, interrupted run of this step. @throws {CopyProblem} */
export async function placeResults(request: PlaceRequest): Promise<Displaced[]> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await placeOnce(request);
    } catch (error) {
      // Somebody else made or removed a name after we looked: look again.
      const outdated = ["EEXIST", "ENOTEMPTY", "ENOENT", "ENOTDIR", "EISDIR"].includes(systemErrorCode(error) ?? "");
      if (!outdated || attempt === REPLANS_MAX) throw targetUnwritable(request.incoming.root, error);
    }
  }
}

async function placeOnce(request: PlaceRequest): Promise<Displaced[]> {
  const { incoming } = request;
  const plan = new Plan(request);
  const steps = await plan.make();
  const done = readPlan(incoming);
  const setAside = [
    ...new Map([...done, ...plan.setAside].map((entry) => [JSON.stringify([entry.jid, entry.from, entry.to]), entry])).values(),
  ];
  if (plan.setAside.length > 0) await writePlan(incoming, setAside);
  const slice = new TimeSlice();
  for (const step of steps) {
    take(step, incoming);
    if (slice.over) await slice.pause();
  }
  if (steps.length > 0) await syncPaths(foldersOf(steps, incoming.root));
  return setAside.map(({ jid, from, to }) => ({ jid, from, to }));
}

class Plan {
  readonly setAside: SetAside[] = [];
  readonly #request: PlaceRequest;
  readonly #files: ReadonlyMap<string, FetchedFile>;
  readonly #children: ReadonlyMap<string, readonly string[]>;
  readonly #steps: Step[] = [];
  readonly #slice = new TimeSlice();

  constructor(request: PlaceRequest) {
    this.#request = request;
    this.#files = new Map(request.files.map((file) => [file.path, file]));
    this.#children = childrenOf(request);
  }

  async make(): Promise<Step[]> {
    const open = [""];
    for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
      for (const path of this.#children.get(folder) ?? []) {
        if (await this.#isFolderToMerge(path)) open.push(path);
        if (this.#slice.over) await this.#slice.pause();
      }
    }
    return this.#steps;
  }

  async #isFolderToMerge(path: string): Promise<boolean> {
    const { root } = this.#request.incoming;
    const found = look(join(root, path));
    if (found === null) {
      this.#steps.push({ kind: "move", path });
      return false;
    }
    if (found.isSymbolicLink()) throw new CopyProblem(problem("target-is-link", { path: join(root, path) }), "target");
    const file = this.#files.get(path);
    if (file === undefined && found.isDirectory()) return true;
    if (file !== undefined && found.isFile() && (await isEqual(join(root, path), found, file))) return false;
    await this.#replace(path, found);
    return false;
  }

  async #replace(path: string, found: Stats): Promise<void> {
    const { backup, isLinked } = this.#freeBackup(path, found);
    const owners = await this.#request.ownersOf(path);
    for (const jid of owners.length === 0 ? [null] : owners) {
      this.setAside.push({ jid, from: path, to: backup, device: found.dev, inode: found.ino });
    }
    const isFile = found.isFile() && this.#files.has(path);
    this.#steps.push({ kind: "replace", path, backup, isLinked, isFile });
  }

  /** The first number that is free; or the last one taken when, after a crash, it is this very file. */
  #freeBackup(path: string, found: Stats): { backup: string; isLinked: boolean } {
    const { incoming, backupHints } = this.#request;
    let last: Stats | null = null;
    for (let number = backupHints.get(path) ?? 1; ; number += 1) {
      const backup = `${path}.~${number}~`;
      const there = this.#files.has(backup) || this.#children.has(backup) ? found : look(join(incoming.root, backup));
      if (there === null) {
        backupHints.set(path, number);
        const before = `${path}.~${number - 1}~`;
        last ??= number > 1 ? look(join(incoming.root, before)) : null;
        const isLinked = last !== null && last.ino === found.ino && last.dev === found.dev;
        return isLinked ? { backup: before, isLinked } : { backup, isLinked };
      }
      last = there === found ? null : there;
    }
  }
}

/** The children of each folder, in the order of the listing. */
function childrenOf(request: PlaceRequest): Map<string, string[]> {
  const children = new Map<string, string[]>();
  const add = (path: string): void => {
    const parent = path.slice(0, Math.max(0, path.lastIndexOf("/")));
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [path]);
    else siblings.push(path);
  };
  for (const folder of request.listing.folders) add(folder);
  for (const file of request.files) add(file.path);
  return children;
}

async function isEqual(path: string, found: Stats, file: FetchedFile): Promise<boolean> {
  if (found.size !== file.bytes) return false;
  try {
    return (await hashBeginning(path, file.bytes))?.digest("hex") === file.sha256;
  } catch (error) {
    // One that we may not read is kept as a different one is.
    if (systemErrorCode(error) === "EACCES") return false;
    throw error;
  }
}

function take(step: Step, incoming: Incoming): void {
  const from = join(incoming.tree, step.path);
  const to = join(incoming.root, step.path);
  switch (step.kind) {
    case "move":
      requireFree(to);
      renameSync(from, to);
      return;
    case "replace": {
      const backup = join(incoming.root, step.backup);
      if (!step.isLinked) setAside(to, backup, step.isFile);
      // Over the old name in one step when both are files; else the name is free by now.
      if (!step.isFile) requireFree(to);
      renameSync(from, to);
    }
  }
}

/** A file keeps its name too, until the new one takes it: at no moment is there none. */
function setAside(path: string, backup: string, isFile: boolean): void {
  if (isFile) {
    try {
      linkSync(path, backup);
      return;
    } catch (error) {
      // A file system without hard links, or a file of another user: rename it instead.
      if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EACCES"].includes(systemErrorCode(error) ?? "")) throw error;
    }
  }
  requireFree(backup);
  renameSync(path, backup);
}

/** rename(2) would take a file's name without a word. */
function requireFree(path: string): void {
  if (look(path) !== null) throw Object.assign(new Error(`${path} appeared`), { code: "EEXIST" });
}

function foldersOf(steps: readonly Step[], root: string): Set<string> {
  return new Set(steps.map((step) => join(root, step.path.slice(0, Math.max(0, step.path.lastIndexOf("/"))))));
}

async function writePlan(incoming: Incoming, setAside: readonly SetAside[]): Promise<void> {
  const temporary = `${incoming.planFile}.new`;
  writeFileSync(temporary, JSON.stringify(setAside), { mode: 0o600 });
  await syncPaths([temporary]);
  renameSync(temporary, incoming.planFile);
  await syncPaths([incoming.folder]);
}

/** What an interrupted run of this step set aside, as far as it came. */
function readPlan(incoming: Incoming): SetAside[] {
  let text: string;
  try {
    text = readFileSync(incoming.planFile, "utf8");
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return [];
    throw error;
  }
  const planned: unknown = JSON.parse(text);
  if (!Array.isArray(planned)) return [];
  return planned.filter(isSetAside).filter((entry) => {
    const found = look(join(incoming.root, entry.to));
    return found !== null && found.ino === entry.inode && found.dev === entry.device;
  });
}

function isSetAside(value: unknown): value is SetAside {
  if (typeof value !== "object" || value === null) return false;
  const entry = value as Record<string, unknown>;
  return (
    (entry["jid"] === null || typeof entry["jid"] === "number") &&
    typeof entry["from"] === "string" &&
    typeof entry["to"] === "string" &&
    typeof entry["device"] === "number" &&
    typeof entry["inode"] === "number"
  );
}
