/**
 * What the server's caller had and its jobs get back: umask and soft limit of open files. Bun raises
 * the soft limit of its own process before any of our code runs, and the kernel does not remember the
 * old one; the caller is the parent, which still has it (or the one before, for a server that detached). Read at start-up, before the umask is changed.
 */
import { readFileSync, readlinkSync } from "node:fs";
import type { CallerLimits } from "./runner.ts";

/** What systemd gives a service that says nothing about LimitNOFILE. */
const SYSTEMD_SOFT_DEFAULT = 1024;
const SYSTEMD_HARD_DEFAULT = 524_288;

export function readCallerLimits(): CallerLimits {
  return { umask: readUmask(), openFilesSoft: readOpenFilesSoft() };
}

/** Soft and hard limit of open files in the text of /proc/PID/limits; null when it is not such a text. */
export function parseOpenFiles(limits: string): { readonly soft: number; readonly hard: number } | null {
  const match = /^Max open files\s+(\d+)\s+(\d+)\s/m.exec(limits);
  return match === null ? null : { soft: Number(match[1]), hard: Number(match[2]) };
}

/** null: it cannot be known, jobs keep what the server has. */
export function openFilesSoftOf(own: string, parent: string, parentName: string): number | null {
  const mine = parseOpenFiles(own);
  const theirs = parseOpenFiles(parent);
  if (mine === null || theirs === null || mine.soft !== mine.hard) return null;
  // A service manager gives its services other limits than it has itself.
  if (parentName === "systemd") return mine.hard === SYSTEMD_HARD_DEFAULT ? SYSTEMD_SOFT_DEFAULT : null;
  return theirs.hard === mine.hard && theirs.soft <= mine.soft ? theirs.soft : null;
}

function readOpenFilesSoft(): number | null {
  try {
    const parent = `/proc/${callerPid()}`;
    return openFilesSoftOf(
      readFileSync("/proc/self/limits", "latin1"),
      readFileSync(`${parent}/limits`, "latin1"),
      readFileSync(`${parent}/comm`, "latin1").trim(),
    );
  } catch {
    // The parent is another user's or gone: then it is not known, which null says.
    return null;
  }
}

/** Our parent; behind `serve --detach`, which is this program too and had its own limit raised, the one before. */
function callerPid(): number {
  const parent = process.ppid;
  try {
    if (readlinkSync(`/proc/${parent}/exe`) !== readlinkSync("/proc/self/exe")) return parent;
    return Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${parent}/status`, "latin1"))?.[1] ?? parent);
  } catch {
    // Another user's process does not tell its program, and so is none that we started.
    return parent;
  }
}

function readUmask(): number {
  const match = /^Umask:\s+([0-7]+)$/m.exec(readFileSync("/proc/self/status", "latin1"));
  return match === null ? 0o022 : Number.parseInt(match[1] ?? "022", 8);
}
