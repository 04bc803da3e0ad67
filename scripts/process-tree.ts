/** Finds processes by what /proc says of them, and ends them by their ids: for what no process group reaches. Linux. */
import { readdirSync, readFileSync } from "node:fs";

/** A zombie is not alive. */
export function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false; // gone
  }
}

/** @returns false when there was no such process any more */
export function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return false;
    throw error;
  }
}

/** A process and all below it: sessions of sshd are in sessions of their own. */
export function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const pid of allProcesses()) {
    const parent = parentOf(pid);
    if (parent !== null) children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const found = [root];
  for (let index = 0; index < found.length; index += 1) found.push(...(children.get(found[index] ?? 0) ?? []));
  return found;
}

/** Those that live and whose HOME at their start was the folder or in it. Other users' are not seen. */
export function processesAtHomeIn(folder: string): number[] {
  const isAtHome = (environment: string) =>
    environment.split("\0").some((entry) => entry === `HOME=${folder}` || entry.startsWith(`HOME=${folder}/`));
  return allProcesses().filter((pid) => isAlive(pid) && isAtHome(environmentOf(pid)));
}

function allProcesses(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function parentOf(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return Number(stat.slice(stat.lastIndexOf(") ") + 2).split(" ")[1]);
  } catch {
    return null; // gone
  }
}

function environmentOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8");
  } catch {
    return ""; // another user's, or gone
  }
}
