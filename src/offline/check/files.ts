/** Modes and owners of what is private, the token, the log folder, and files that belong to nobody. */
import { accessSync, constants, existsSync, lstatSync, readdirSync, readFileSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import { networkFileSystemAt } from "../../store/network-file-system.ts";
import type { StorePaths } from "../../store/paths.ts";
import { systemCode } from "../../store/store-error.ts";
import type { Findings } from "./findings.ts";

const OTHERS = 0o077;

export function checkFiles(paths: StorePaths, findings: Findings, served: boolean): void {
  const network = networkFileSystemAt(paths.directory);
  if (network !== null) findings.attention("network-file-system", { directory: paths.directory, type: network });
  const folders = [paths.directory, paths.journal, paths.history, paths.runs];
  const files = [paths.snapshot, paths.olderSnapshot, paths.secrets, paths.serverId, paths.token, paths.lock];
  for (const folder of folders) checkPrivate(folder, "folder", findings);
  for (const file of files) checkPrivate(file, "file", findings);
  for (const folder of [paths.journal, paths.history]) {
    for (const name of namesIn(folder)) checkPrivate(join(folder, name), "file", findings);
  }
  for (const folder of folders.slice(0, 3)) checkLeftBehind(folder, findings, served);
  checkToken(paths.token, findings);
}

function checkPrivate(path: string, kind: "file" | "folder", findings: Findings): void {
  const status = statusOf(path, findings);
  if (status === null) return;
  findings.count("files", 1);
  if (kind === "folder" ? !status.isDirectory() : !status.isFile()) {
    findings.damage("wrong-kind", { file: path, kind });
    return;
  }
  const uid = process.geteuid?.();
  if (uid !== undefined && status.uid !== uid) findings.attention("foreign-owner", { file: path, uid: String(status.uid) });
  const mode = status.mode & 0o777;
  if ((mode & OTHERS) === 0) return;
  findings.attention("open-to-others", { file: path, mode: mode.toString(8), right: kind === "folder" ? "700" : "600" });
}

/** Temporary names of a write that a crash ended; the next write of that file takes them away. */
function checkLeftBehind(folder: string, findings: Findings, served: boolean): void {
  if (served) return;
  for (const name of namesIn(folder)) if (name.endsWith(".new")) findings.note("left-behind", { file: join(folder, name) });
}

function checkToken(file: string, findings: Findings): void {
  if (!existsSync(file)) {
    findings.note("token-missing", { file });
    return;
  }
  let text: string;
  try {
    text = readFileSync(file, "latin1");
  } catch (error) {
    findings.attention("unreadable", { file, system: systemCode(error) });
    return;
  }
  if (!/^[0-9a-fA-F]{64}\s*$/.test(text)) findings.attention("token-malformed", { file });
}

export function checkLogFolder(folder: string, findings: Findings): void {
  try {
    if (!statSync(folder).isDirectory()) findings.attention("log-folder-kind", { path: folder });
    else accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const system = systemCode(error);
    // A server makes it.
    if (system !== "ENOENT") findings.attention("log-folder-unwritable", { path: folder, system });
  }
}

function statusOf(path: string, findings: Findings): Stats | null {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) ?? null;
  } catch (error) {
    findings.attention("unreadable", { file: path, system: systemCode(error) });
    return null;
  }
}

/** What cannot be listed is told where it is read. */
export function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}
