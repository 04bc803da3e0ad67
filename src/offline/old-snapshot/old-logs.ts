/**
 * Where the old system wrote: `<log folder>/<id>-<command>` and `.err` beside it, the whole path cut at 200 bytes. The
 * folder may have been written in another way then, so what is there is looked at first. Results were put into
 * CP_PATH under the last part of their prefix.
 */
import { closeSync, openSync, readdirSync, readSync, type Stats, statSync } from "node:fs";
import { basename, join } from "node:path";

const PATH_BYTES_MAX = 200;
/** The line with the results is looked for in so much of a log. */
const LOG_BYTES_READ_MAX = 64 * 1024 * 1024;
const CHUNK_BYTES = 1024 * 1024;
/** Files of one result that are counted. */
const FILES_COUNTED_MAX = 10_000;

export interface OldLog {
  readonly log: string;
  readonly errLog: string;
}

export interface FoundResults {
  readonly path: string;
  readonly fileCount: number;
  readonly bytes: number;
}

export class OldFiles {
  private readonly logs: ReadonlyMap<number, readonly string[]>;
  private readonly listings = new Map<string, readonly string[]>();

  /** @param folder the old log folder; one that is not there has no logs */
  constructor(private readonly folder: string) {
    this.logs = Map.groupBy(namesIn(folder), (name) => Number(/^(\d+)-/.exec(name)?.[1] ?? -1));
  }

  /** @param command with all its values put in */
  logOf(jid: number, command: string): OldLog {
    const whole = `${jid}-${command.replace(/[ {}/]/g, "_")}`;
    const there = (this.logs.get(jid) ?? []).filter((name) => whole.startsWith(name));
    const longest = there.reduce((best, name) => (name.length > best.length ? name : best), "");
    const log = longest === "" ? cut(`${this.folder}/${whole}`) : join(this.folder, longest);
    return { log, errLog: `${log}.err` };
  }

  /** The prefix on the first line `RESULTS: …` of a log, as the old system looked for it; null when there is none to read. */
  printedResults(log: string): string | null {
    let descriptor: number;
    try {
      descriptor = openSync(log, "r");
    } catch {
      // A log that is gone names nothing.
      return null;
    }
    try {
      let rest = "";
      for (let position = 0; position < LOG_BYTES_READ_MAX; ) {
        const chunk = Buffer.alloc(CHUNK_BYTES);
        const length = readSync(descriptor, chunk, 0, chunk.length, position);
        if (length === 0) break;
        position += length;
        rest += chunk.toString("utf8", 0, length);
        const found = /^RESULTS: (.*)$/m.exec(rest);
        if (found !== null && (rest.includes("\n", found.index) || length < CHUNK_BYTES)) return found[1] ?? null;
        rest = rest.slice(rest.lastIndexOf("\n") + 1);
      }
      return null;
    } finally {
      closeSync(descriptor);
    }
  }

  /** What is in CP_PATH of a result now. */
  resultsIn(copyTo: string, prefix: string): FoundResults {
    const name = basename(prefix);
    const path = join(copyTo, name);
    const found = { path, fileCount: 0, bytes: 0 };
    const names = this.listing(copyTo);
    for (let index = firstAtLeast(names, name); index < names.length; index++) {
      const entry = names[index];
      if (entry === undefined || !entry.startsWith(name)) break;
      measure(join(copyTo, entry), found);
    }
    return found;
  }

  private listing(folder: string): readonly string[] {
    const known = this.listings.get(folder);
    if (known !== undefined) return known;
    const names = namesIn(folder).sort();
    this.listings.set(folder, names);
    return names;
  }
}

function measure(path: string, found: { fileCount: number; bytes: number }): void {
  if (found.fileCount >= FILES_COUNTED_MAX) return;
  const status = statusOf(path);
  if (status === null) return;
  if (status.isFile()) {
    found.fileCount++;
    found.bytes += status.size;
  } else if (status.isDirectory()) {
    for (const name of namesIn(path)) measure(join(path, name), found);
  }
}

function statusOf(path: string): Stats | null {
  try {
    return statSync(path, { throwIfNoEntry: false }) ?? null;
  } catch {
    // What cannot be looked at is not counted.
    return null;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    // The old files may have been moved or deleted: the record of the job does not depend on them.
    return [];
  }
}

function firstAtLeast(names: readonly string[], wanted: string): number {
  let [low, high] = [0, names.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((names[middle] ?? "") < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

function cut(path: string): string {
  const bytes = Buffer.from(path);
  if (bytes.length <= PATH_BYTES_MAX) return path;
  return bytes.toString("utf8", 0, PATH_BYTES_MAX).replace(/\ufffd+$/, "");
}
