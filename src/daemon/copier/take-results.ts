/**
 * Owns bringing what is on this host of an ended job (its results, its logs) into another folder: gather and prove,
 * sync, place, record, as a copy from a machine does. Sources stay as they are; a move removes them later
 * (clear-sources.ts). Repeating it is harmless: what is there already, under whatever name the record of the job has
 * for it, is left alone.
 */
import { existsSync, writeFileSync } from "node:fs";
import { realpath, rm } from "node:fs/promises";
import { join, relative } from "node:path";
import { type Problem, problem } from "../../core/problem.ts";
import { CopyProblem, canceled, targetUnwritable } from "./copy-problem.ts";
import { resultsPath, withEarlier } from "./copy-results.ts";
import { type Gathered, gatherFile, type Seen, splitPath } from "./gather.ts";
import { discardIncoming, type Incoming, look, openIncoming, shapeTree } from "./incoming.ts";
import { type Listing, RECORDS_FOLDER } from "./listing.ts";
import { type Displaced, placeResults } from "./place.ts";
import { type Provenance, type ResultRecord, readRecord, recordPath } from "./record.ts";
import { syncTree } from "./sync.ts";
import type { TargetFolders } from "./target-folders.ts";
import type { FetchedFile } from "./transfer.ts";

export interface TakeOptions {
  readonly jid: number;
  readonly runId: string;
  /** The results as recorded; null: the job has none here. */
  readonly results: {
    /** CP_PATH as it was: the folder that `files` are relative to. */
    readonly folder: string;
    readonly files: readonly FetchedFile[];
    /** They were proved a moment ago. */
    readonly isProved: boolean;
  } | null;
  readonly logs: readonly LogSource[];
  /** TO, absolute. It is made when it is not there. */
  readonly target: string;
  /** null: the record beside the results tells it, or else this. */
  readonly provenance: Provenance;
  readonly prefixes: readonly string[];
  readonly startDirectory: string;
  /** The sources are to go afterwards. */
  readonly isMove: boolean;
  readonly targets: TargetFolders;
  readonly umask?: number;
  readonly signal: AbortSignal;
  readonly now: () => number;
}

export interface LogSource {
  /** As the job's record names it. */
  readonly log: string;
  /** What its name has in addition on the disk: retention may have compressed it. */
  readonly suffix: string;
}

export interface Taken {
  readonly incoming: Incoming;
  /** Of all that is there now. null: there were no results to take. */
  readonly resultsPath: string | null;
  readonly record: string;
  readonly files: readonly FetchedFile[];
  /** The results were in that folder before. */
  readonly isSameFolder: boolean;
  /** Logs by the names in the job's record, absolute. */
  readonly logs: readonly { readonly from: string; readonly to: string }[];
  readonly displaced: readonly Displaced[];
  /** Files that could not be taken; all others were. */
  readonly problems: readonly Problem[];
  /** Records of other jobs that could not follow. */
  readonly warnings: readonly Problem[];
  /** Every file that has a proved copy in TO and another name elsewhere. */
  readonly sources: readonly SourceFile[];
}

export interface SourceFile extends FetchedFile {
  /** Absolute; `path` is relative to it. */
  readonly folder: string;
  /** Relative to TO. */
  readonly to: string;
  readonly kind: "result" | "log";
  /** What was read; null: an earlier server read it. */
  readonly seen: Seen | null;
}

interface Wanted {
  readonly kind: "result" | "log";
  readonly folder: string;
  /** Relative to `folder`. */
  readonly path: string;
  readonly expected: FetchedFile | null;
  /** Relative to TO. */
  readonly to: string;
  /** It is there: this very file, or one that an earlier copy of the same run brought. */
  readonly isThere: boolean;
  readonly isSameFile: boolean;
  /** As the job's record names it. */
  readonly log: string;
}

interface Found extends SourceFile {
  readonly wanted: Wanted;
}

/** @throws {CopyProblem} when nothing could be taken at all, or it was canceled */
export async function takeResults(options: TakeOptions): Promise<Taken> {
  const incoming = await openIncoming(options);
  try {
    return await take(options, incoming);
  } catch (error) {
    // What is half-done is gathered again; what is noted of an earlier move is still needed.
    if (look(incoming.moveFile) === null) await discardIncoming(incoming);
    else await rm(incoming.tree, { recursive: true, force: true }).catch(() => null);
    throw error instanceof CopyProblem ? error : targetUnwritable(options.target, error);
  }
}

async function take(options: TakeOptions, incoming: Incoming): Promise<Taken> {
  const { jid, runId, results, targets } = options;
  const probe = new Probe(incoming);
  const isSameFolder = results !== null && probe.isSeenFrom(results.folder);
  const before = await readRecord(recordPath(incoming.root, jid)).catch(() => null);
  const known = before?.runId === runId ? before : null;
  const wanted = [
    ...(results === null ? [] : await wantedResults(options, { ...results, isSameFolder }, incoming, known)),
    ...(await wantedLogs(options, probe)),
  ];
  await probe.remove();
  await shapeTree(incoming, listingOf([]));
  await shapeTree(incoming, listingOf(wanted.filter((one) => !one.isThere)));
  const problems: Problem[] = [];
  const found = await gathered(wanted, { options, incoming, problems });
  const placing = found.filter(({ wanted: { isThere } }) => !isThere);
  if (placing.length > 0) await syncTree(incoming.tree, () => pathsOf(incoming, placing));
  if (options.signal.aborted) throw canceled();
  const files = found.filter(({ kind }) => kind === "result").map(resultFile);
  const logs = found.filter(({ kind }) => kind === "log");
  const placed = await targets.withFolder(incoming.root, async (folder) => {
    const displaced = await placeResults({
      incoming,
      listing: listingOf(placing.map((one) => one.wanted)),
      files: placing.map(resultFile),
      ownersOf: async (path) => (await folder.ownersOf(path)).filter((owner) => owner !== jid),
      backupHints: folder.backupHints,
    });
    const all = withEarlier(displaced, known?.displaced ?? []);
    if (found.length === 0) return { displaced, warnings: [] };
    const record = recordOf(options, { files, logs: logs.map(resultFile), displaced: all, known, isSameFolder });
    // What made way for an earlier copy has been told; an interrupted one's plan is still in `incoming`.
    return { displaced, warnings: await folder.writeRecords(record, displaced) };
  });
  const path =
    results === null
      ? null
      : resultsPath(
          options.target,
          files.map((file) => file.path),
        );
  return {
    incoming,
    resultsPath: path,
    record: recordPath(options.target, jid),
    files,
    isSameFolder,
    logs: logs.map(({ to, wanted: { log } }) => ({ from: log, to: join(options.target, withoutSuffix(to, options.logs, log)) })),
    displaced: placed.displaced,
    problems,
    warnings: placed.warnings,
    sources: found.filter(({ wanted: { isSameFile } }) => !isSameFile).map(({ wanted: _, ...source }) => source),
  };
}

/** The results, each with the name it gets or has already. */
async function wantedResults(
  options: TakeOptions,
  results: NonNullable<TakeOptions["results"]> & { readonly isSameFolder: boolean },
  incoming: Incoming,
  known: ResultRecord | null,
): Promise<Wanted[]> {
  const folder = await realpath(results.folder).catch(() => results.folder);
  const common = { kind: "result", folder, log: "" } as const;
  if (results.isSameFolder) {
    return results.files.map((file) => ({ ...common, path: file.path, expected: file, to: file.path, isThere: true, isSameFile: true }));
  }
  const places = await placesOf(known?.files ?? [], incoming, options);
  return results.files.map((file) => {
    const there = places.get(keyOf(file))?.shift();
    const to = there ?? file.path;
    return { ...common, path: file.path, expected: file, to, isThere: there !== undefined, isSameFile: false };
  });
}

/** Where an earlier copy of this run has put what, as far as it is there still. */
async function placesOf(files: readonly FetchedFile[], incoming: Incoming, { signal }: TakeOptions): Promise<Map<string, string[]>> {
  const places = new Map<string, string[]>();
  for (const file of files) {
    const found = await gatherFile({ folder: incoming.root, path: file.path, expected: file, to: null, mayLink: false, signal });
    if (found.kind !== "taken") continue;
    const same = places.get(keyOf(file));
    if (same === undefined) places.set(keyOf(file), [file.path]);
    else same.push(file.path);
  }
  return places;
}

function keyOf({ bytes, sha256 }: FetchedFile): string {
  return `${bytes} ${sha256}`;
}

/** A log gets its own name in TO; where a result has it, one that is free. */
async function wantedLogs({ logs, results }: TakeOptions, probe: Probe): Promise<Wanted[]> {
  const taken = new Set((results?.files ?? []).map((file) => file.path.split("/", 1)[0] ?? ""));
  const wanted: Wanted[] = [];
  for (const { log, suffix } of logs) {
    const { folder, name } = splitPath(log);
    const isSameFile = probe.isSeenFrom(folder);
    let to = name;
    while (!isSameFile && taken.has(to + suffix)) to += ".log";
    taken.add(to + suffix);
    wanted.push({
      kind: "log",
      folder: await realpath(folder).catch(() => folder),
      path: name + suffix,
      expected: null,
      to: to + suffix,
      isThere: isSameFile,
      isSameFile,
      log,
    });
  }
  return wanted;
}

async function gathered(
  wanted: readonly Wanted[],
  { options, incoming, problems }: { options: TakeOptions; incoming: Incoming; problems: Problem[] },
): Promise<Found[]> {
  const found: Found[] = [];
  for (const one of wanted) {
    const { folder, path, expected, to, isThere, kind } = one;
    if (isThere && expected !== null && (options.results?.isProved === true || !one.isSameFile)) {
      found.push({ ...expected, folder, path, to, kind, seen: null, wanted: one });
      continue;
    }
    const into = isThere ? null : join(incoming.tree, to);
    const result = await gatherFile({ folder, path, expected, to: into, mayLink: options.isMove, signal: options.signal });
    if (result.kind === "taken") {
      found.push({ path, bytes: result.bytes, sha256: result.sha256, folder, to, kind, seen: result.seen, wanted: one });
    } else problems.push(untaken(result, one));
  }
  return found;
}

function untaken(result: Exclude<Gathered, { kind: "taken" }>, { folder, path, kind }: Wanted): Problem {
  const data = { path: join(folder, path) };
  switch (result.kind) {
    case "gone":
      return problem(kind === "log" ? "log-gone" : "results-gone", data);
    case "altered":
      return problem("results-altered", data);
    case "unreadable":
      return problem("results-unreadable", { ...data, message: result.message });
  }
}

function resultFile({ to, bytes, sha256 }: Found): FetchedFile {
  return { path: to, bytes, sha256 };
}

function recordOf(
  options: TakeOptions,
  parts: Pick<ResultRecord, "files" | "logs" | "displaced"> & { readonly known: ResultRecord | null; readonly isSameFolder: boolean },
): ResultRecord {
  const { jid, runId, provenance, prefixes, startDirectory, now } = options;
  const { known, isSameFolder, logs, displaced } = parts;
  // What a user has changed or removed in the job's own folder stays in its record: it still says what there was.
  const files = isSameFolder && known !== null ? known.files : parts.files;
  const copiedAt = known?.copiedAt ?? now();
  return { ...provenance, jid, runId, copiedAt, prefixes, startDirectory, files, logs, displaced, warnings: known?.warnings ?? [] };
}

/** The name in the job's record stays without what retention puts after it. */
function withoutSuffix(to: string, logs: readonly LogSource[], log: string): string {
  const suffix = logs.find((one) => one.log === log)?.suffix ?? "";
  return to.slice(0, to.length - suffix.length);
}

function listingOf(wanted: readonly Wanted[]): Listing {
  const folders = new Set<string>();
  for (const { to } of wanted) for (let cut = to.indexOf("/"); cut > 0; cut = to.indexOf("/", cut + 1)) folders.add(to.slice(0, cut));
  return {
    folders: [...folders].sort((left, right) => (left < right ? -1 : 1)),
    files: wanted.map(({ to, expected }) => ({ source: "", target: to, bytes: expected?.bytes ?? 0 })),
    twins: [],
    skipped: [],
  };
}

function* pathsOf(incoming: Incoming, found: readonly Found[]): Generator<string> {
  for (const { to } of found) yield join(incoming.tree, to);
  for (const folder of listingOf(found.map((one) => one.wanted)).folders) yield join(incoming.tree, folder);
  yield incoming.tree;
}

/** Tells whether a folder is TO under another name: through links and mounts it would be one, and to remove there is to remove here. */
class Probe {
  readonly #incoming: Incoming;
  readonly #name = `probe.${crypto.randomUUID()}`;

  constructor(incoming: Incoming) {
    this.#incoming = incoming;
    writeFileSync(join(incoming.folder, this.#name), "", { mode: 0o600, flag: "wx" });
  }

  isSeenFrom(folder: string): boolean {
    const inside = relative(this.#incoming.root, this.#incoming.folder);
    return inside.startsWith(RECORDS_FOLDER) && existsSync(join(folder, inside, this.#name));
  }

  async remove(): Promise<void> {
    await rm(join(this.#incoming.folder, this.#name), { force: true });
  }
}
