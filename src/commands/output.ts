/**
 * The only place that writes: results to stdout, errors and warnings to stderr, each text at once. It never
 * touches process.stdout, process.stderr or process.stdin, whose first use costs more than a whole listing.
 */
import { fstatSync, statSync, writeSync } from "node:fs";
import type { Environment } from "../config/paths.ts";
import type { Screen } from "../terminal/job-listing.ts";
import { printableLines } from "../terminal/printable.ts";
import { Failure } from "./failure.ts";
import type { GlobalFlags } from "./global-flags.ts";

export interface Output {
  readonly json: boolean;
  readonly quiet: boolean;
  /** Of stdout; without a terminal nothing is cut and nothing coloured. */
  screen(): Promise<Screen>;
  /** A result: one text, or with --json one document. */
  print(text: string): void;
  /** Names or sentences, one a line; nothing at all for none. */
  printLines(lines: readonly string[]): void;
  printJson(document: unknown): void;
  /** Bytes as they are. @returns false when nobody reads any more */
  write(bytes: Uint8Array): boolean;
  warn(message: string, hint: string): void;
  error(code: string, message: string, hint: string): void;
  /** What another process of ours said, as it said it. */
  errorText(text: string): void;
  isTerminal(): boolean;
}

export function createOutput(globals: Pick<GlobalFlags, "json" | "quiet" | "colour">, environment: Environment): Output {
  const colours = globals.colour && !hasValue(environment["NO_COLOR"]) && environment["TERM"] !== "dumb";
  return {
    json: globals.json,
    quiet: globals.quiet,
    isTerminal: () => isTerminal(1),
    screen: async () => {
      if (!isTerminal(1)) return { width: Number.POSITIVE_INFINITY, colours: false };
      // Calls the C library: what goes into a pipe need not load that.
      const { terminalWidth } = await import("./terminal-width.ts");
      return { width: (await terminalWidth(1)) ?? 80, colours };
    },
    print: (text) => void toStdout(lineOf(text)),
    printLines: (lines) => {
      if (lines.length > 0) toStdout(lineOf(lines.join("\n")));
    },
    printJson: (document) => void toStdout(lineOf(safeJson(document, isTerminal(1)))),
    write: toStdout,
    warn: (message, hint) => toStderr(hint === "" ? `Warning: ${message}` : `Warning: ${message}\n${hint}`),
    errorText: (text) => toStderr(printableLines(text.trimEnd())),
    error: (code, message, hint) => {
      if (globals.json) toStderr(safeJson({ error: { code, message, hint } }, false));
      else toStderr(printableLines(hint === "" ? message : `${message}\n${hint}`));
    },
  };
}

/** What a terminal might act on is written as an escape: the document stays the same. */
export function safeJson(document: unknown, forPeople: boolean): string {
  const text = JSON.stringify(document, null, forPeople ? 2 : undefined);
  return text.replace(/[\u007f-\u009f\u2028\u2029\p{Cf}\p{DI}]/gu, (character) =>
    Array.from({ length: character.length }, (_, index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, "0")}`).join(""),
  );
}

function isTerminal(descriptor: number): boolean {
  try {
    const stats = fstatSync(descriptor);
    // To ask /dev/null for its width costs a call more than to see that it is no terminal.
    return stats.isCharacterDevice() && stats.rdev !== statSync("/dev/null").rdev;
  } catch {
    // A closed stdout is no terminal; a host without /dev/null has none at all.
    return false;
  }
}

function lineOf(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\n`);
}

/** @returns false when nobody reads any more. @throws Failure when a file did not take it: half a table must not pass for a whole */
function toStdout(bytes: Uint8Array): boolean {
  const fault = writeFully(1, bytes);
  if (fault === null) return true;
  if (UNREAD.includes(fault)) return false;
  const hint = fault === "ENOSPC" || fault === "EDQUOT" ? "Free some space, or write it elsewhere." : "Write it elsewhere.";
  throw new Failure("output-failed", `The output cannot be written: ${fault}.`, hint);
}

/** There is nowhere else to say that stderr takes nothing. */
function toStderr(text: string): void {
  writeFully(2, lineOf(text));
}

/**
 * A reader that is gone, or a stdout that was closed: nobody to tell, and nothing lost. A socket, which is what Node and
 * Bun give a child for stdout, is reset when its reader leaves some of it unread.
 */
const UNREAD: readonly string[] = ["EPIPE", "ECONNRESET", "EBADF"];

/** A non-blocking pipe may be full for a moment. @returns the system's code when it was not written to the end */
function writeFully(descriptor: number, bytes: Uint8Array): string | null {
  for (let offset = 0; offset < bytes.length; ) {
    try {
      offset += writeSync(descriptor, bytes, offset);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== "EAGAIN") return code ?? "unknown";
      Bun.sleepSync(1);
    }
  }
  return null;
}

function hasValue(variable: string | undefined): boolean {
  return variable !== undefined && variable !== "";
}
