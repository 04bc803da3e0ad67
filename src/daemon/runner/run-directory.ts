/**
 * The run directory: `<root>/<jid>.<command>.<runId>/`, mode 0700, the handle of a run on the host that
 * executes it, with one file, `run`, to which lines are appended (supervisor.ts is its specification). This file makes it, reads
 * it strictly, withdraws a run that nobody began, and removes it. A damaged one is reported, never fatal.
 */
import { closeSync, constants, fstatSync, mkdirSync, openSync, readdirSync, readSync, statSync, writeSync } from "node:fs";
import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { parseRunDirectoryName, type RunDirectoryName } from "../../store/run-directory-name.ts";
import type { ProcessIdentity } from "./process-identity.ts";

export type RunDirectoryState =
  | { readonly kind: "missing" }
  /** The directory is there, and nobody has the run. */
  | { readonly kind: "unclaimed" }
  /** Recovery took it; nobody began it or ever will. */
  | { readonly kind: "withdrawn" }
  /** Taken by a supervisor that could not begin the job. */
  | { readonly kind: "refused" }
  /** Begun; whether it goes on is for its identity to tell. `damage` names a file that cannot be trusted. */
  | { readonly kind: "begun"; readonly identity: ProcessIdentity; readonly startedAt: number; readonly damage: string | null }
  | {
      readonly kind: "exited";
      readonly exitCode: number;
      readonly startedAt: number;
      readonly at: number;
      /** Of the supervisor; null when its line is damaged. */
      readonly identity: ProcessIdentity | null;
    }
  /** Nothing is known but that somebody had it: what is there is none of our files, or says what we never write. */
  | { readonly kind: "damaged"; readonly damage: string };

/** Who has a run: the first line of its file that names it. */
export type RunClaim =
  | { readonly kind: "begun"; readonly identity: ProcessIdentity }
  | { readonly kind: "refused" }
  | { readonly kind: "withdrawn" };

export const RUN_FILE = "run";
/** Of servers before `run` was: whoever began it cannot be told any more. Nothing was released with it: it can go with the first release. */
const FORMER_CLAIM = "claim";
/** More than the lines of a run have, but for a disk that was full again and again. */
export const RUN_FILE_BYTES_MAX = 4_096;
const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Makes the directory and the folders above it. One that is there already is left as it is: the claim decides. */
export function createRunDirectory(directory: string): void {
  try {
    mkdirSync(directory, 0o700);
  } catch (error) {
    if (errorCode(error) === "EEXIST") return;
    if (errorCode(error) !== "ENOENT") throw error;
    mkdirSync(directory, { mode: 0o700, recursive: true });
  }
}

/** Reads what the supervisor left. @throws when the directory cannot be read for another reason than absence. */
export function readRunDirectory(directory: string): RunDirectoryState {
  const file = readRunFile(directory);
  const damage = join(directory, RUN_FILE);
  if (file === "damaged") return { kind: "damaged", damage };
  if (file === null) {
    const former = join(directory, FORMER_CLAIM);
    if (exists(former)) return { kind: "damaged", damage: former };
    return { kind: exists(directory) ? "unclaimed" : "missing" };
  }
  const name = basename(directory);
  const lines = linesNaming(name, file.text);
  const [first] = lines;
  const claim = parseClaim(first ?? "", name);
  const exitCode = exitCodeIn(name, lines);
  if (exitCode !== null) {
    const identity = claim?.kind === "begun" ? claim.identity : null;
    return { kind: "exited", exitCode, startedAt: preparedAt(directory), at: file.at, identity };
  }
  if (claim?.kind === "begun") {
    // Others may have come too late; what is no line of ours is somebody's doing.
    const isSound = lines.every((line) => parseClaim(line, name) !== null) && lines.length === file.text.split("\n").filter(Boolean).length;
    return { kind: "begun", identity: claim.identity, startedAt: preparedAt(directory), damage: isSound ? null : damage };
  }
  if (claim !== null) return claim;
  return first === undefined ? { kind: "unclaimed" } : { kind: "damaged", damage };
}

/** The exit code that the supervisor wrote, or null. The quick way for the one that started it. */
export function readExitCode(directory: string): number | null {
  const file = readRunFile(directory);
  const name = basename(directory);
  return file === null || file === "damaged" ? null : exitCodeIn(name, linesNaming(name, file.text));
}

/** `null`: not complete, of another run, or no line that takes a run. The line is without its newline. */
export function parseClaim(line: string, name: string): RunClaim | null {
  const words = wordsBefore(name, line);
  if (words === null) return null;
  const begun = /^begin ([1-9][0-9]{0,9}) ([0-9]{1,15}) ([0-9a-f-]{36})$/.exec(words);
  if (begun !== null) return { kind: "begun", identity: { pid: Number(begun[1]), startTime: Number(begun[2]), bootId: begun[3] ?? "" } };
  if (/^refused [a-z]+$/.test(words)) return { kind: "refused" };
  return words === "withdrawn" ? { kind: "withdrawn" } : null;
}

/** `null`: not complete, of another run, or no end. The line is without its newline. */
export function parseExit(line: string, name: string): number | null {
  const match = /^exit (0|[1-9][0-9]{0,2})$/.exec(wordsBefore(name, line) ?? "");
  return match === null || Number(match[1]) > 255 ? null : Number(match[1]);
}

/**
 * Takes the run away from a supervisor that has not begun it. true: nobody began it or ever will;
 * false: a supervisor has it. Idempotent.
 * @throws the system's error when the directory cannot be written (no space, no permission).
 */
export function withdrawRun(directory: string): boolean {
  createRunDirectory(directory);
  if (!isTaken(readRunDirectory(directory))) append(join(directory, RUN_FILE), `\nwithdrawn ${basename(directory)} end\n`);
  // Of two that wrote at the same time, who was first?
  const { kind } = readRunDirectory(directory);
  return kind === "withdrawn" || kind === "refused";
}

function isTaken({ kind }: RunDirectoryState): boolean {
  return kind !== "missing" && kind !== "unclaimed";
}

/** Every run directory below the root, and the names there that are none. An absent root has none. */
export function listRunDirectories(root: string): { readonly runs: RunDirectoryName[]; readonly strangers: string[] } {
  const runs: RunDirectoryName[] = [];
  const strangers: string[] = [];
  for (const entry of readFolder(root)) {
    const run = entry.isDirectory() ? parseRunDirectoryName(entry.name) : null;
    if (run === null) strangers.push(entry.name);
    else runs.push(run);
  }
  return { runs, strangers };
}

export async function removeRunDirectory(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
}

/** The system's name of an error (`ENOSPC`), or an empty string. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

/** Complete lines that name the run. What stands before them on a line, or names another, was never written by us for it. */
function linesNaming(name: string, text: string): string[] {
  return text
    .split("\n")
    .slice(0, -1)
    .filter((line) => wordsBefore(name, line) !== null);
}

/** What a line says, without its ending: the name of the run and `end`. */
function wordsBefore(name: string, line: string): string | null {
  const ending = ` ${name} end`;
  return line.endsWith(ending) ? line.slice(0, -ending.length) : null;
}

/** Of the last line that tells one: a withdrawal may have come too late, and stand behind it. */
function exitCodeIn(name: string, lines: readonly string[]): number | null {
  return lines.map((line) => parseExit(line, name)).findLast((exitCode) => exitCode !== null) ?? null;
}

/** The directory changes last when its file is made, which is when the job begins, or when it is prepared to be used again. */
function preparedAt(directory: string): number {
  return Math.round(statSync(directory).mtimeMs);
}

/**
 * A job can write in its run directory as we can: what is no plain file there, or a long one, is taken for damage. It must
 * not hold us up (a FIFO) and is not followed (a link).
 */
function readRunFile(directory: string): { readonly text: string; readonly at: number } | "damaged" | null {
  let descriptor: number;
  try {
    descriptor = openSync(join(directory, RUN_FILE), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return null;
    if (errorCode(error) === "ELOOP") return "damaged";
    throw error;
  }
  try {
    const status = fstatSync(descriptor);
    if (!status.isFile() || status.size > RUN_FILE_BYTES_MAX) return "damaged";
    const bytes = Buffer.alloc(RUN_FILE_BYTES_MAX);
    return { text: bytes.toString("latin1", 0, readSync(descriptor, bytes)), at: Math.round(status.mtimeMs) };
  } finally {
    closeSync(descriptor);
  }
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function append(path: string, text: string): void {
  const descriptor = openSync(path, APPEND, 0o600);
  try {
    writeSync(descriptor, text);
  } finally {
    closeSync(descriptor);
  }
}

function readFolder(root: string) {
  try {
    return readdirSync(root, { withFileTypes: true });
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}
