/**
 * Who a process is: boot id, pid and start time together, never the pid alone, which the kernel gives
 * away again. Reads /proc of this host; it must not signal anything (session.ts does).
 */
import { readdirSync, readFileSync } from "node:fs";

export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat, in clock ticks since boot. */
  readonly startTime: number;
  readonly bootId: string;
}

/** What we use of one line of /proc/PID/stat. */
export interface ProcessStat {
  readonly pid: number;
  /** One letter; Z and X are dead. */
  readonly state: string;
  readonly session: number;
  readonly startTime: number;
}

/** The boot id of this host. It changes only with a reboot. */
export function hostBootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
}

/** null when there is no such process. */
export function readProcessStat(pid: number): ProcessStat | null {
  const text = readProcessFile(pid, "stat");
  return text === null ? null : parseProcessStat(text);
}

/** The program's name stands in parentheses and may hold anything: fields count from the last `) `. */
export function parseProcessStat(text: string): ProcessStat | null {
  const pid = Number.parseInt(text, 10);
  const fields = text.slice(text.lastIndexOf(") ") + 2).split(" ");
  const [state] = fields;
  const session = Number(fields[3]);
  const startTime = Number(fields[19]);
  if (state === undefined || !Number.isInteger(pid) || !Number.isInteger(session) || !Number.isInteger(startTime)) {
    return null;
  }
  return { pid, state, session, startTime };
}

export function isDead(stat: ProcessStat): boolean {
  return stat.state === "Z" || stat.state === "X";
}

/** Is this very process alive on this host? A zombie is not, nor is another process with its pid. */
export function isAlive(identity: ProcessIdentity, bootId: string): boolean {
  if (identity.bootId !== bootId) return false;
  const stat = readProcessStat(identity.pid);
  return stat !== null && !isDead(stat) && stat.startTime === identity.startTime;
}

/** Every process of this host, in one pass. Those that end meanwhile are left out. */
export function readAllProcesses(): ProcessStat[] {
  const processes: ProcessStat[] = [];
  for (const pid of listPids()) {
    const stat = readProcessStat(pid);
    if (stat !== null) processes.push(stat);
  }
  return processes;
}

/** The value of a variable in the environment with which the process began; null: not there, or not to be read. */
export function environmentOf(pid: number, name: string): string | null {
  const entry = readProcessFile(pid, "environ")
    ?.split("\0")
    .find((one) => one.startsWith(`${name}=`));
  return entry === undefined ? null : entry.slice(name.length + 1);
}

export function listPids(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^[1-9][0-9]*$/.test(name))
    .map(Number);
}

/** null when the process is gone or belongs to somebody else: neither is ours. */
export function readProcessFile(pid: number, file: "stat" | "cmdline" | "environ" | "comm"): string | null {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return null;
  }
}
