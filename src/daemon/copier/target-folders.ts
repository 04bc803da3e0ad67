/**
 * Owns what the server knows of each CP_PATH while it runs: who places results there now (one at a time), and
 * which job each file belongs to, read from the records when something has to be set aside for the first time.
 */
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Problem } from "../../core/problem.ts";
import { systemErrorCode, targetUnwritable } from "./copy-problem.ts";
import { RECORDS_FOLDER } from "./listing.ts";
import type { Displaced } from "./place.ts";
import { type ResultRecord, readRecord, recordPath, writeRecord } from "./record.ts";

const CACHED_FOLDERS_MAX = 64;
const CACHED_PATHS_MAX = 500_000;

export class TargetFolders {
  /** In the order of use, so that the first is the one to forget. */
  readonly #folders = new Map<string, { readonly folder: TargetFolder; users: number; last: Promise<unknown> }>();

  /** Runs `work` when nobody else works on this folder, first come, first served. `root` has its links resolved. */
  async withFolder<T>(root: string, work: (folder: TargetFolder) => Promise<T>): Promise<T> {
    const entry = this.#folders.get(root) ?? { folder: new TargetFolder(root), users: 0, last: Promise.resolve() };
    this.#folders.delete(root);
    this.#folders.set(root, entry);
    entry.users += 1;
    const result = entry.last.then(() => work(entry.folder));
    entry.last = result.catch(() => null);
    try {
      return await result;
    } finally {
      entry.users -= 1;
      this.#forgetOldest();
    }
  }

  #forgetOldest(): void {
    let excess = this.#folders.size - CACHED_FOLDERS_MAX;
    for (const [root, entry] of this.#folders) {
      if (excess <= 0) return;
      if (entry.users > 0) continue;
      this.#folders.delete(root);
      excess -= 1;
    }
  }
}

/** One CP_PATH, held by one copy at a time. */
export class TargetFolder {
  readonly root: string;
  /** See PlaceRequest. */
  readonly backupHints = new Map<string, number>();
  #owners: Map<string, readonly number[]> | null = null;
  /** The folder of records was last changed then, as far as we know: by us. */
  #recordsStamp = "";

  constructor(root: string) {
    this.root = root;
  }

  /** The jobs whose results have this name or lie in the folder of this name. */
  async ownersOf(path: string): Promise<readonly number[]> {
    const owners = await this.#load();
    const known = owners.get(path);
    if (known !== undefined) return known;
    const below = new Set<number>();
    for (const [file, jids] of owners) if (file.startsWith(`${path}/`)) for (const jid of jids) below.add(jid);
    return [...below].sort((left, right) => left - right);
  }

  /**
   * Writes the new names of what was set aside into the records of the jobs it belongs to, then the record of
   * this copy. Repeating it changes nothing.
   * @param moves what was set aside just now, when the record names more
   * @returns warnings: records of other jobs that could not be changed
   * @throws {CopyProblem} target-unwritable for this copy's own record
   */
  async writeRecords(record: ResultRecord, moves: readonly Displaced[] = record.displaced): Promise<Problem[]> {
    const warnings: Problem[] = [];
    const isCurrent = this.#owners !== null && (await this.#stamp()) === this.#recordsStamp;
    for (const [jid, itsMoves] of byOwner(moves)) {
      if (jid === record.jid) continue;
      try {
        await this.#rename(jid, itsMoves);
      } catch (error) {
        warnings.push(targetUnwritable(recordPath(this.root, jid), error).problem);
      }
    }
    await writeRecord(this.root, { ...record, warnings: [...record.warnings, ...warnings] });
    if (isCurrent) await this.#noteRecords(record, moves);
    else this.#owners = null;
    return warnings;
  }

  async #rename(jid: number, moves: readonly Displaced[]): Promise<void> {
    const other = await readRecord(recordPath(this.root, jid));
    if (other === null) return;
    const files = renamed(other.files, moves);
    const logs = renamed(other.logs, moves);
    if (files !== null || logs !== null) await writeRecord(this.root, { ...other, files: files ?? other.files, logs: logs ?? other.logs });
  }

  /** Puts another record in the place of a job's, or none: what it named has left the folder. */
  async replaceRecord(jid: number, record: ResultRecord | null): Promise<void> {
    this.#owners = null;
    if (record !== null) return await writeRecord(this.root, record);
    await rm(recordPath(this.root, jid), { force: true });
  }

  async #noteRecords(record: ResultRecord, moves: readonly Displaced[]): Promise<void> {
    const owners = this.#owners;
    if (owners === null) return;
    for (const { jid, from, to } of moves) {
      if (jid === null) continue;
      const below = owners.has(from) ? [from] : [...owners.keys()].filter((path) => path.startsWith(`${from}/`));
      for (const path of below) {
        owners.set(to + path.slice(from.length), owners.get(path) ?? [jid]);
        owners.delete(path);
      }
    }
    for (const { path } of [...record.files, ...record.logs]) owners.set(path, withOwner(owners.get(path), record.jid));
    this.#recordsStamp = await this.#stamp();
    if (owners.size > CACHED_PATHS_MAX) this.#owners = null;
    if (this.backupHints.size > CACHED_PATHS_MAX) this.backupHints.clear();
  }

  async #load(): Promise<Map<string, readonly number[]>> {
    const stamp = await this.#stamp();
    if (this.#owners !== null && stamp === this.#recordsStamp) return this.#owners;
    const owners = new Map<string, readonly number[]>();
    for (const jid of await this.#jidsWithRecord()) {
      const record = await readRecord(recordPath(this.root, jid)).catch(() => null);
      // A damaged record names no owner: what it lists is kept under its new name all the same.
      for (const { path } of [...(record?.files ?? []), ...(record?.logs ?? [])]) owners.set(path, withOwner(owners.get(path), jid));
    }
    this.#owners = owners;
    this.#recordsStamp = stamp;
    return owners;
  }

  async #jidsWithRecord(): Promise<number[]> {
    const names = await readdir(join(this.root, RECORDS_FOLDER)).catch(emptyWhenMissing);
    return names
      .flatMap((name) => /^([0-9]{1,15})\.toml$/.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((left, right) => left - right);
  }

  async #stamp(): Promise<string> {
    try {
      return String((await stat(join(this.root, RECORDS_FOLDER), { bigint: true })).mtimeNs);
    } catch (error) {
      if (systemErrorCode(error) === "ENOENT") return "";
      throw error;
    }
  }
}

/** The files with new names where `moves` has them; null when none has. */
function renamed(files: ResultRecord["files"], moves: readonly Displaced[]): ResultRecord["files"] | null {
  const exact = new Map(moves.map((move) => [move.from, move.to]));
  let changed = false;
  const result = files.map((file) => {
    for (let cut = file.path.length; cut > 0; cut = file.path.lastIndexOf("/", cut - 1)) {
      const to = exact.get(file.path.slice(0, cut));
      if (to === undefined) continue;
      changed = true;
      return { ...file, path: to + file.path.slice(cut) };
    }
    return file;
  });
  return changed ? result : null;
}

function byOwner(displaced: readonly Displaced[]): Map<number, Displaced[]> {
  const groups = new Map<number, Displaced[]>();
  for (const move of displaced) {
    if (move.jid === null) continue;
    const group = groups.get(move.jid);
    if (group === undefined) groups.set(move.jid, [move]);
    else group.push(move);
  }
  return groups;
}

function withOwner(jids: readonly number[] | undefined, jid: number): readonly number[] {
  if (jids === undefined) return [jid];
  return jids.includes(jid) ? jids : [...jids, jid];
}

function emptyWhenMissing(error: unknown): string[] {
  if (systemErrorCode(error) === "ENOENT") return [];
  throw error;
}
