/**
 * The words of the agent's protocol (agent-script.ts), read and written. Pure. What a machine says is believed only
 * as far as it has the right form: anything else is "not there".
 */

/** One line of the agent: the words before the first `|`, and what stands after it, split at the others. */
export interface AgentWords {
  readonly kind: string;
  readonly tag: string;
  readonly words: readonly string[];
  readonly lines: readonly string[];
}

export interface AgentIdentity {
  readonly machineId: string;
  readonly bootId: string;
  /** The login home, absolute. */
  readonly home: string;
}

/** What the logs on this host held before the run began. */
export interface LogBase {
  readonly outBytes: number;
  readonly errBytes: number;
}

export interface AgentBegun {
  /** The supervisor's line; empty when it died before it said anything. */
  readonly line: string;
  readonly message: string;
}

/** Both logs, when they were small enough to come with the end. */
export interface InlineLogs {
  readonly out: Uint8Array;
  readonly err: Uint8Array;
}

export interface AgentEnd {
  /** Sizes on the machine; null when the file is not there. */
  readonly outBytes: number | null;
  readonly errBytes: number | null;
  readonly inline: InlineLogs | null;
  /** Of the run file; empty when there is none. */
  readonly exitLine: string;
}

/** A run directory as the agent saw it. Lines are empty when there are none; times are seconds of the machine's clock. */
export interface Inspection {
  readonly now: number;
  readonly bootId: string;
  readonly alive: boolean;
  /** Counted only when the supervisor is dead. */
  readonly sessionProcesses: number;
  /** When the directory was last changed: when its run file was made, which is when the job began. */
  readonly begunAt: number | null;
  /** When the run file was last changed. */
  readonly changedAt: number | null;
  /** Of the run file: who has the run, and how it ended. */
  readonly firstLine: string;
  readonly exitLine: string;
  readonly base: LogBase;
}

/** The number of lines, then the lines. */
export function agentValue(text: string): string {
  return `${text.split("\n").length}\n${text}\n`;
}

export function wordsOf(line: string): AgentWords {
  const bar = line.indexOf("|");
  const [kind = "", tag = "", ...words] = (bar < 0 ? line : line.slice(0, bar)).trim().split(/ +/);
  return { kind, tag, words, lines: bar < 0 ? [] : line.slice(bar + 1).split("|") };
}

/** null when the machine's home folder is none that can be used. */
export function readReady({ tag, words }: AgentWords): AgentIdentity | null {
  const [bootId = "", ...home64] = words;
  const home = Buffer.from(home64.join(""), "base64").toString("utf8");
  if (!home.startsWith("/") || hasControlCharacter(home)) return null;
  return { machineId: fileName(tag), bootId: fileName(bootId), home: home.replace(/\/+$/, "") };
}

export function readBegun({ words, lines }: AgentWords): AgentBegun {
  return { line: words.join(" "), message: lines.join("|") };
}

export function readEnd({ words, lines }: AgentWords, data: { readonly out: string; readonly err: string }): AgentEnd {
  const [out = "", err = "", small = ""] = words;
  const inline = small === "1" ? { out: Buffer.from(data.out, "base64"), err: Buffer.from(data.err, "base64") } : null;
  return { outBytes: numberOf(out), errBytes: numberOf(err), inline, exitLine: lines[0] ?? "" };
}

export function readInspection({ words, lines }: AgentWords): Inspection {
  const [now = "", bootId = "", alive = "", processes = "", begun = "", changed = ""] = words;
  const [firstLine = "", exitLine = "", baseLine = ""] = lines;
  return {
    now: numberOf(now) ?? 0,
    bootId: fileName(bootId),
    alive: alive === "1",
    sessionProcesses: numberOf(processes) ?? 0,
    begunAt: numberOf(begun),
    changedAt: numberOf(changed),
    firstLine,
    exitLine,
    base: readBase(baseLine),
  };
}

function readBase(line: string): LogBase {
  const match = /^(\d{1,15}) (\d{1,15}) end$/.exec(line);
  return { outBytes: Number(match?.[1] ?? 0), errBytes: Number(match?.[2] ?? 0) };
}

function numberOf(word: string): number | null {
  return /^\d{1,15}$/.test(word) ? Number(word) : null;
}

/** A machine id names a folder of ours, and a boot id is kept in our files, whatever the machine says they are. */
function fileName(text: string): string {
  return text.replace(/[^A-Za-z0-9_-]/g, "_").slice(0, 64) || "unknown";
}

function hasControlCharacter(text: string): boolean {
  return /[\0-\x1f\x7f]/.test(text);
}
