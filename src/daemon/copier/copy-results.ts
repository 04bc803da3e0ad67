/**
 * Owns one copy from beginning to end: list, fetch and verify, sync, place, record. Never rejects: whatever
 * goes wrong is an outcome with a Problem that names the file. Nothing on the machine is ever changed, and
 * nothing in CP_PATH outside its `.expjobserver` folder before all files are here, proved and synced.
 */
import { join } from "node:path";
import { type Problem, problem } from "../../core/problem.ts";
import type { MachineShell } from "../machine-shell.ts";
import { CopyProblem, targetUnwritable } from "./copy-problem.ts";
import { discardIncoming, type Incoming, openIncoming } from "./incoming.ts";
import { COPY_LIMITS, type CopyLimits } from "./limits.ts";
import { type Listing, splitPrefixes } from "./listing.ts";
import { type Displaced, placeResults } from "./place.ts";
import { type Provenance, readRecord, recordPath } from "./record.ts";
import { syncTree } from "./sync.ts";
import { TargetFolders } from "./target-folders.ts";
import { type Fetched, type FetchedFile, fetchResults } from "./transfer.ts";

export type { Displaced, FetchedFile };

export interface CopyOptions {
  readonly shell: MachineShell;
  readonly jid: number;
  readonly runId: string;
  /** As the job printed them after `RESULTS:`. */
  readonly prefixes: readonly string[];
  /** On the machine: where a relative prefix starts. Empty: the login home. */
  readonly startDirectory: string;
  /** CP_PATH on this host, absolute. It is made when it is not there. */
  readonly target: string;
  readonly provenance: Provenance;
  readonly signal?: AbortSignal;
  readonly limits?: Partial<CopyLimits>;
  /** Shared by all copies of a server, so that two with one CP_PATH do not place at once. */
  readonly targets?: TargetFolders;
  readonly now?: () => number;
  /** What results are made with: of the server's caller, not the daemon's own. Default: that of this process. */
  readonly umask?: number;
}

export type CopyOutcome = CopyDone | CopyFailed;

export interface CopyDone {
  readonly kind: "copied";
  /** The folder, or the file when it is one; CP_PATH when there is more than one. */
  readonly resultsPath: string;
  readonly record: string;
  readonly files: readonly FetchedFile[];
  readonly displaced: readonly Displaced[];
  readonly warnings: readonly Problem[];
}

export interface CopyFailed {
  readonly kind: "failed";
  readonly problem: Problem;
  /** The same copy may succeed later. */
  readonly retryable: boolean;
}

const SKIPPED_NAMES_SHOWN = 3;

/** Copies what the prefixes name into CP_PATH, verified. Repeating it is harmless, whenever it was interrupted. Never rejects. */
export async function copyResults(options: CopyOptions): Promise<CopyOutcome> {
  let incoming: Incoming | null = null;
  try {
    const limits = { ...COPY_LIMITS, ...options.limits };
    const prefixes = splitPrefixes(options.prefixes, limits);
    incoming = await openIncoming(options);
    const signal = options.signal ?? new AbortController().signal;
    const source = { shell: options.shell, prefixes, startDirectory: options.startDirectory, limits, signal };
    const fetched = await fetchResults(source, incoming);
    await syncTree(incoming.tree, () => pathsOf(incoming?.tree ?? "", fetched));
    return await place(options, incoming, fetched);
  } catch (error) {
    const failure = error instanceof CopyProblem ? error : targetUnwritable(options.target, error);
    // What a repetition can go on with is kept; what it cannot, or what fills the disk, is not.
    const isUseful = failure.remedy === "transport" || failure.remedy === "changed";
    if (incoming !== null && !isUseful) await discardIncoming(incoming);
    return { kind: "failed", problem: failure.problem, retryable: failure.remedy !== "never" };
  }
}

async function place(options: CopyOptions, incoming: Incoming, fetched: Fetched): Promise<CopyDone> {
  const { jid, runId, target } = options;
  const targets = options.targets ?? new TargetFolders();
  return await targets.withFolder(incoming.root, async (folder) => {
    const placed = await placeResults({
      incoming,
      listing: fetched.listing,
      files: fetched.files,
      ownersOf: async (path) => (await folder.ownersOf(path)).filter((owner) => owner !== jid),
      backupHints: folder.backupHints,
    });
    const displaced = withEarlier(placed, await displacedBefore(incoming.root, jid, runId));
    const warnings = skippedWarning(fetched.listing);
    const { provenance, prefixes, startDirectory } = options;
    const copiedAt = (options.now ?? Date.now)();
    const files = fetched.files;
    warnings.push(
      ...(await folder.writeRecords({
        ...provenance,
        jid,
        runId,
        copiedAt,
        prefixes,
        startDirectory,
        files,
        logs: [],
        displaced,
        warnings,
      })),
    );
    // The results are in place and recorded: what remains here costs space, no more.
    await discardIncoming(incoming);
    return {
      kind: "copied",
      resultsPath: resultsPath(target, [...fetched.listing.folders, ...fetched.files.map((file) => file.path)]),
      record: recordPath(target, jid),
      files,
      displaced,
      warnings,
    };
  });
}

/** An earlier copy of this run that was interrupted after its last step has told nobody what it set aside. */
async function displacedBefore(root: string, jid: number, runId: string): Promise<readonly Displaced[]> {
  const before = await readRecord(recordPath(root, jid)).catch(() => null);
  return before?.runId === runId ? before.displaced : [];
}

export function withEarlier(placed: readonly Displaced[], before: readonly Displaced[]): Displaced[] {
  const known = new Map([...before, ...placed].map((move) => [JSON.stringify([move.jid, move.from, move.to]), move]));
  return [...known.values()];
}

function skippedWarning({ skipped }: Listing): Problem[] {
  if (skipped.length === 0) return [];
  const shown = skipped.slice(0, SKIPPED_NAMES_SHOWN).map((entry) => `${entry.source} (${entry.what})`);
  return [problem("results-skipped", { count: String(skipped.length), path: shown.join(", ") })];
}

/** @param paths of all results, relative to the target */
export function resultsPath(target: string, paths: readonly string[]): string {
  const tops = new Set(paths.map((path) => path.split("/", 1)[0] ?? ""));
  const [only] = tops;
  return tops.size === 1 && only !== undefined ? join(target, only) : target;
}

function* pathsOf(tree: string, { listing, files }: Fetched): Generator<string> {
  for (const file of files) yield join(tree, file.path);
  for (const folder of listing.folders) yield join(tree, folder);
  yield tree;
}
