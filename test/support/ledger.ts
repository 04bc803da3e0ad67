/**
 * The oracle outside the daemon: every job writes a line to one file when it starts and when it ends. Read
 * back here, and judged: who ran twice, and which machine had two at once.
 */
import { existsSync, readFileSync } from "node:fs";

export interface LedgerLine {
  readonly what: "start" | "end";
  readonly jid: number;
  readonly machine: string;
  /** What the job added, e.g. a checksum. */
  readonly rest: string;
}

/** Shell text that writes a line. A job's own shell has the variables it needs. */
export function ledgerLine(file: string, what: "start" | "end", rest = ""): string {
  return `echo "${what} $EXPJOB_JID $EXPJOB_MACHINE ${rest}" >>'${file}'`;
}

export function readLedger(file: string): LedgerLine[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [what, jid, machine = "", ...rest] = line.split(" ");
      if (what !== "start" && what !== "end") throw new Error(`not a line of a ledger: ${line}`);
      return { what, jid: Number(jid), machine, rest: rest.join(" ").trim() };
    });
}

/** Jobs that began more often than once. */
export function ranTwice(lines: readonly LedgerLine[]): number[] {
  const starts = lines.filter((line) => line.what === "start").map((line) => line.jid);
  return [...new Set(starts.filter((jid, index) => starts.indexOf(jid) !== index))];
}

/** Machines on which a job began before the one before it had ended. */
export function overlaps(lines: readonly LedgerLine[]): string[] {
  const running = new Map<string, number>();
  const found: string[] = [];
  for (const { what, jid, machine } of lines) {
    const other = running.get(machine);
    if (what === "start" && other !== undefined) found.push(`${jid} began on ${machine} while ${other} ran`);
    if (what === "start") running.set(machine, jid);
    else running.delete(machine);
  }
  return found;
}

/** Jobs that began before so many of lower JIDs that `machines`, on which they begin side by side, cannot explain it. */
export function startedOutOfOrder(lines: readonly LedgerLine[], machines: number): number[] {
  const starts = lines.filter((line) => line.what === "start").map((line) => line.jid);
  return starts.filter((jid, index) => starts.slice(index + 1).filter((later) => later < jid).length >= machines);
}
