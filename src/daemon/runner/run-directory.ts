/**
 * The run directory: `<root>/<jid>.<command>.<runId>/`, mode 0700, the handle of a run on the host that
 * executes it. The supervisor writes it (supervisor.ts is its specification); this file makes it, reads
 * it strictly, withdraws a run that nobody began, and removes it. A damaged one is reported, never fatal.
 */
import { closeSync, constants, fstatSync, lstatSync, mkdirSync, openSync, readdirSync, readSync, statSync, writeSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { ProcessIdentity } from "./process-identity.ts";
import type { RunName } from "./runner.ts";

export type RunDirectoryState =
  | { readonly kind: "missing" }
  /** The directory is there, no claim. */
  | { readonly kind: "unclaimed" }
  /** Recovery took it; nobody began it or ever will. */
  | { readonly kind: "withdrawn" }
  /** Claimed, not begun so far: no complete pid line. */
  | { readonly kind: "claimed" }
  /** Claimed by a supervisor that could not begin the job. */
  | { readonly kind: "refused"; readonly reason: string }
  /** Begun; whether it goes on is for its identity to tell. `damage` names a file that cannot be trusted. */
  | { readonly kind: "begun"; readonly identity: ProcessIdentity; readonly startedAt: number; readonly damage: string | null }
  | {
      readonly kind: "exited";
      readonly exitCode: number;
      readonly startedAt: number | null;
      readonly at: number;
      /** Of the supervisor; null when its pid line is damaged. */
      readonly identity: ProcessIdentity | null;
    };

const WITHDRAWN = "withdrawn end\n";
/** More than any of its files has. */
const RUN_FILE_BYTES_MAX = 256;
/** Reads as none of the supervisor's lines. */
const DAMAGED = "damaged\n";

/** What a run directory's name tells. */
export type RunDirectoryName = Pick<RunName, "jid" | "command" | "runId">;

export function runDirectoryName(run: RunDirectoryName): string {
  return `${run.jid}.${run.command}.${run.runId}`;
}

/** null when the name is not one of ours. */
export function parseRunDirectoryName(name: string): RunDirectoryName | null {
  const match = /^(0|[1-9][0-9]{0,15})\.(0|[1-9][0-9]{0,8})\.([0-9a-z]+)$/.exec(name);
  if (match === null) return null;
  return { jid: Number(match[1]), command: Number(match[2]), runId: match[3] ?? "" };
}

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
  const status = readRunFile(directory, "status");
  const begun = readPid(directory);
  const end = status === null ? null : parseStatus(status.text);
  if (status !== null && end?.kind === "exited") {
    const { identity, at: startedAt } = begun.kind === "begun" ? begun : { identity: null, at: null };
    return { kind: "exited", exitCode: end.exitCode, startedAt, at: status.at, identity };
  }
  if (begun.kind === "begun") {
    const damage = status !== null && end === null && status.text.includes("\n") ? join(directory, "status") : null;
    return { kind: "begun", identity: begun.identity, startedAt: begun.at, damage };
  }
  if (end?.kind === "refused") return { kind: "refused", reason: end.reason };
  if (begun.kind === "withdrawn") return { kind: "withdrawn" };
  const claim = readRunFile(directory, "claim");
  if (claim !== null) return { kind: claim.text === WITHDRAWN ? "withdrawn" : "claimed" };
  if (begun.kind === "incomplete") return { kind: "claimed" };
  return exists(directory) ? { kind: "unclaimed" } : { kind: "missing" };
}

/** The exit code that the supervisor wrote, or null. The quick way for the one that started it. */
export function readExitCode(directory: string): number | null {
  const status = readRunFile(directory, "status");
  const end = status === null ? null : parseStatus(status.text);
  return end?.kind === "exited" ? end.exitCode : null;
}

/** `null`: not complete, or not a line of the supervisor's. */
export function parseStatus(
  text: string,
): { readonly kind: "exited"; readonly exitCode: number } | { readonly kind: "refused"; readonly reason: string } | null {
  const exited = /^(0|[1-9][0-9]{0,2}) end\n$/.exec(text);
  if (exited !== null && Number(exited[1]) <= 255) return { kind: "exited", exitCode: Number(exited[1]) };
  const refused = /^refused ([a-z]+) end\n$/.exec(text);
  return refused === null ? null : { kind: "refused", reason: refused[1] ?? "" };
}

/** `null`: not complete, or not a line of the supervisor's. */
export function parsePidLine(text: string): ProcessIdentity | null {
  const match = /^([1-9][0-9]{0,9}) ([0-9]{1,15}) ([0-9a-f-]{36}) end\n$/.exec(text);
  if (match === null) return null;
  return { pid: Number(match[1]), startTime: Number(match[2]), bootId: match[3] ?? "" };
}

/**
 * Takes the run away from a supervisor that has not begun it. true: nobody began it or ever will;
 * false: a supervisor has it, or died while it wrote its pid. Idempotent.
 * @throws the system's error when the directory cannot be written (no space, no permission).
 */
export function withdrawRun(directory: string): boolean {
  createRunDirectory(directory);
  for (const file of ["claim", "pid"] as const) {
    if (createExclusively(join(directory, file), WITHDRAWN)) return true;
    if (readRunFile(directory, file)?.text === WITHDRAWN) return true;
  }
  return false;
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

type PidFile =
  | { readonly kind: "absent" | "incomplete" | "withdrawn" }
  | { readonly kind: "begun"; readonly identity: ProcessIdentity; readonly at: number };

function readPid(directory: string): PidFile {
  const file = readRunFile(directory, "pid");
  if (file === null) return { kind: "absent" };
  if (file.text === WITHDRAWN) return { kind: "withdrawn" };
  const identity = parsePidLine(file.text);
  return identity === null ? { kind: "incomplete" } : { kind: "begun", identity, at: file.at };
}

/**
 * A job can write in its run directory as we can: what is no plain file there, or long, is taken for damage. It must
 * not hold us up (a FIFO) and is not followed (a link).
 */
function readRunFile(directory: string, name: "claim" | "pid" | "status"): { text: string; at: number } | null {
  let descriptor: number;
  try {
    descriptor = openSync(join(directory, name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return null;
    if (errorCode(error) === "ELOOP") return { text: DAMAGED, at: Math.round(lstatSync(join(directory, name)).mtimeMs) };
    throw error;
  }
  try {
    const status = fstatSync(descriptor);
    const at = Math.round(status.mtimeMs);
    if (!status.isFile()) return { text: DAMAGED, at };
    const bytes = Buffer.alloc(RUN_FILE_BYTES_MAX);
    return { text: bytes.toString("latin1", 0, readSync(descriptor, bytes)), at };
  } finally {
    closeSync(descriptor);
  }
}

function createExclusively(path: string, text: string): boolean {
  let descriptor: number;
  try {
    descriptor = openSync(path, "wx", 0o600);
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  }
  try {
    writeSync(descriptor, text);
  } finally {
    closeSync(descriptor);
  }
  return true;
}

function exists(directory: string): boolean {
  return statSync(directory, { throwIfNoEntry: false }) !== undefined;
}

function readFolder(root: string) {
  try {
    return readdirSync(root, { withFileTypes: true });
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}
