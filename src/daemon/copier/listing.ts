/**
 * Owns the meaning of the listing that a machine sends (format: LIST_SCRIPT in scripts.ts) and the names
 * that results get in CP_PATH. Everything up to the last `/` of the prefix is taken off: `/data/out/exp7`
 * gives `exp7.log` and `exp7/a/b`, and `/data/out/` gives what is in the folder. Pure; the bytes may come from a
 * hostile machine: whatever does not pass here is never used as a name.
 */
import { problem } from "../../core/problem.ts";
import { CopyProblem, damagedAnswer, resultsChanged } from "./copy-problem.ts";
import type { CopyLimits } from "./limits.ts";

export interface ListedFile {
  /** As the machine knows it: absolute, or relative to the start directory with `./` before it. */
  readonly source: string;
  /** Relative to CP_PATH. */
  readonly target: string;
  readonly bytes: number;
}

export interface Listing {
  /** Relative to CP_PATH; a folder stands before what is in it. */
  readonly folders: readonly string[];
  readonly files: readonly ListedFile[];
  /** Other files that would get the name of one of `files`: allowed when their bytes prove equal. */
  readonly twins: readonly ListedFile[];
  readonly skipped: readonly { readonly source: string; readonly what: string }[];
}

/** A prefix in two parts: the folder that is looked into, and how the names in it begin. */
export interface SplitPrefix {
  readonly prefix: string;
  readonly folder: string;
  readonly rest: string;
}

/** Folder of our own in each CP_PATH; results can never have this name. */
export const RECORDS_FOLDER = ".expjobserver";
const COMPONENT_BYTES_MAX = 255;
const RECORD_HEAD_BYTES_MAX = 32;
const SKIPPED_KINDS: Readonly<Record<string, string>> = {
  l: "symbolic link",
  p: "pipe",
  s: "socket",
  b: "device",
  c: "device",
  D: "door",
  U: "unknown",
};

/** @throws {CopyProblem} results-line-invalid, results-too-many, results-none-named */
export function splitPrefixes(prefixes: readonly string[], limits: CopyLimits): SplitPrefix[] {
  if (prefixes.length === 0) throw new CopyProblem(problem("results-none-named"), "never");
  if (prefixes.length > limits.prefixesMax) {
    throw new CopyProblem(problem("results-too-many", { what: "prefixes", limit: String(limits.prefixesMax) }), "never");
  }
  return [...new Set(prefixes)].map((prefix) => {
    if (prefix === "" || /[\0-\x1f\x7f]/.test(prefix) || Buffer.byteLength(prefix) > limits.pathBytesMax) {
      throw new CopyProblem(problem("results-line-invalid", { line: prefix.slice(0, 200) }), "never");
    }
    const path = prefix.startsWith("/") ? prefix : `./${prefix}`;
    const cut = path.lastIndexOf("/") + 1;
    return { prefix, folder: path.slice(0, cut), rest: path.slice(cut) };
  });
}

/** Takes the listing in pieces; strict, and bounded by the limits. */
export class ListingParser {
  readonly #machine: string;
  readonly #prefixes: readonly SplitPrefix[];
  readonly #limits: CopyLimits;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #pending: Buffer = Buffer.alloc(0);
  #bytes = 0;
  #entries = 0;
  #bytesListed = 0;
  #section = -1;
  #ended = false;
  #complete = false;
  #sectionEntries = 0;
  readonly #folders = new Map<string, number>();
  readonly #files = new Map<string, { file: ListedFile; section: number }>();
  readonly #twins: ListedFile[] = [];
  readonly #skipped: { source: string; what: string }[] = [];

  constructor(options: { machine: string; prefixes: readonly SplitPrefix[]; limits: CopyLimits }) {
    this.#machine = options.machine;
    this.#prefixes = options.prefixes;
    this.#limits = options.limits;
  }

  /** @throws {CopyProblem} */
  feed(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#limits.manifestBytesMax) throw this.#tooMany("bytes of names", this.#limits.manifestBytesMax);
    const buffer = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    const data = this.#pending.length === 0 ? buffer : Buffer.concat([this.#pending, buffer]);
    let from = 0;
    for (let end = data.indexOf(0); end >= 0; end = data.indexOf(0, from)) {
      this.#record(data.subarray(from, end));
      from = end + 1;
    }
    if (data.length - from > this.#limits.pathBytesMax + RECORD_HEAD_BYTES_MAX) throw damagedAnswer(this.#machine, "a name without an end");
    this.#pending = Buffer.from(data.subarray(from));
  }

  /** All that the machine had to say has come. */
  get isEnded(): boolean {
    return this.#ended;
  }

  /** Every folder could be read to its end. */
  get isComplete(): boolean {
    return this.#complete;
  }

  /**
   * @param message what find said on standard error; the listing itself knows only that a folder could not be read
   * @throws {CopyProblem} when the end is missing, nothing was found, or names contradict each other
   */
  end(message: string): Listing {
    if (!this.#ended || this.#pending.length > 0) throw damagedAnswer(this.#machine, "the listing has no end");
    if (!this.#complete) throw this.#unreadable("", message);
    for (const target of this.#folders.keys()) this.#requireParent(target);
    for (const target of this.#files.keys()) this.#requireParent(target);
    return {
      folders: [...this.#folders.keys()].sort(byCodeUnits),
      files: [...this.#files.values()].map((entry) => entry.file),
      twins: this.#twins,
      skipped: this.#skipped,
    };
  }

  #record(bytes: Buffer): void {
    if (this.#ended) throw damagedAnswer(this.#machine, "something follows its end");
    if (bytes.length > this.#limits.pathBytesMax + RECORD_HEAD_BYTES_MAX) throw damagedAnswer(this.#machine, "a name that is too long");
    const head = /^([A-Za-z]) ([0-9]{1,15}) /.exec(bytes.toString("latin1", 0, RECORD_HEAD_BYTES_MAX));
    if (head === null) throw damagedAnswer(this.#machine, "a line of another form");
    const [whole, type = "", number = ""] = head;
    const path = this.#decode(bytes.subarray(whole.length));
    switch (type) {
      case "P":
        return this.#beginSection(Number(number));
      case "E":
        return this.#endListing(path);
      case "U":
        throw this.#unreadable(path, "permission denied");
      // tidy-allow switch-default: an open set, from the machine
      default:
        return this.#entry(type, Number(number), path);
    }
  }

  #beginSection(index: number): void {
    this.#endSection();
    this.#section += 1;
    this.#sectionEntries = 0;
    if (index !== this.#section || index >= this.#prefixes.length) throw damagedAnswer(this.#machine, "prefixes in another order");
  }

  #endSection(): void {
    const prefix = this.#prefixes[this.#section];
    if (prefix !== undefined && this.#sectionEntries === 0) {
      const skipped = this.#skipped
        .slice(0, 3)
        .map((entry) => entry.source)
        .join(", ");
      throw new CopyProblem(problem("results-missing", { machine: this.#machine, prefix: prefix.prefix, skipped }), "never");
    }
  }

  #endListing(status: string): void {
    if (this.#section !== this.#prefixes.length - 1) throw damagedAnswer(this.#machine, "a prefix is missing");
    this.#ended = true;
    this.#complete = status === "0";
    if (this.#complete) this.#endSection();
  }

  #entry(type: string, bytes: number, source: string): void {
    const prefix = this.#prefixes[this.#section];
    if (prefix === undefined) throw damagedAnswer(this.#machine, "a name before the first prefix");
    this.#entries += 1;
    if (this.#entries > this.#limits.entriesMax) throw this.#tooMany("files", this.#limits.entriesMax);
    const target = this.#targetOf(prefix, source);
    if (type === "d") {
      this.#sectionEntries += 1;
      if (this.#folders.get(target) === this.#section) throw this.#unsafe(source, "it is listed twice");
      if (this.#files.has(target)) throw this.#unsafe(source, "it is a file and a folder");
      this.#folders.set(target, this.#section);
      return;
    }
    if (type === "f") {
      this.#sectionEntries += 1;
      this.#file({ source, target, bytes });
      return;
    }
    const what = SKIPPED_KINDS[type];
    if (what === undefined) throw damagedAnswer(this.#machine, "a kind of file that is not known");
    this.#skipped.push({ source, what });
  }

  #file(file: ListedFile): void {
    this.#bytesListed += file.bytes;
    if (!Number.isSafeInteger(this.#bytesListed)) throw damagedAnswer(this.#machine, "sizes beyond all measure");
    if (this.#folders.has(file.target)) throw this.#unsafe(file.source, "it is a file and a folder");
    const known = this.#files.get(file.target);
    if (known === undefined) {
      this.#files.set(file.target, { file, section: this.#section });
      return;
    }
    if (known.section === this.#section) throw this.#unsafe(file.source, "it is listed twice");
    if (known.file.source !== file.source) this.#twins.push(file);
  }

  #targetOf(prefix: SplitPrefix, source: string): string {
    if (!source.startsWith(prefix.folder + prefix.rest)) throw this.#unsafe(source, "it is not under the prefix");
    const target = source.slice(prefix.folder.length);
    const parts = target.split("/");
    if (parts.length > this.#limits.depthMax) throw this.#unsafe(source, "its folders are nested too deeply");
    for (const part of parts) {
      if (part === "" || part === "." || part === "..") throw this.#unsafe(source, "it is not a plain path");
      if (part.length > COMPONENT_BYTES_MAX || Buffer.byteLength(part) > COMPONENT_BYTES_MAX)
        throw this.#unsafe(source, "a part of it is too long");
    }
    if (parts[0]?.toLowerCase() === RECORDS_FOLDER) throw this.#unsafe(source, "the name is kept for records");
    return target;
  }

  #requireParent(target: string): void {
    const cut = target.lastIndexOf("/");
    if (cut < 0) return;
    const parent = target.slice(0, cut);
    if (this.#folders.has(parent)) return;
    if (this.#files.has(parent)) throw this.#unsafe(parent, "it is a file and a folder");
    throw resultsChanged(this.#machine, target);
  }

  #decode(bytes: Buffer): string {
    try {
      return this.#decoder.decode(bytes);
    } catch {
      throw this.#unsafe(bytes.toString("utf8"), "it is not UTF-8");
    }
  }

  #unsafe(path: string, reason: string): CopyProblem {
    return new CopyProblem(problem("results-unsafe-name", { machine: this.#machine, path: path.slice(0, 500), reason }), "never");
  }

  #tooMany(what: string, limit: number): CopyProblem {
    return new CopyProblem(problem("results-too-many", { machine: this.#machine, what, limit: String(limit) }), "never");
  }

  #unreadable(path: string, message: string): CopyProblem {
    return new CopyProblem(problem("results-unreadable", { machine: this.#machine, path, message }), "changed");
  }
}

function byCodeUnits(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
