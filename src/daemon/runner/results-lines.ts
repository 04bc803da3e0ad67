/**
 * Finds the lines `RESULTS: <prefix>` in a job's standard output, after its end. Reads the file once in
 * chunks and looks only where the marker stands, so that a log of gigabytes takes seconds.
 *
 * A line counts when the marker begins it. What follows the marker, up to the newline or the end of the
 * file, is the prefix, used literally: blanks at its end belong to it. One carriage return before the
 * newline is taken off, because drivers that give their machine a terminal (`ssh -t`) print it. A line is
 * invalid when it is longer than RESULTS_LINE_BYTES_MAX, names nothing, begins with `-`, is not UTF-8 or
 * holds a control character. Equal prefixes count once; the order of the first appearance is kept.
 */
import { statSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { type Problem, problem } from "../../core/problem.ts";
import { openLog } from "../open-log.ts";

/** The whole line with its marker, without its newline. */
export const RESULTS_LINE_BYTES_MAX = 4_096;
export const RESULTS_PREFIXES_MAX = 1_000;

/** More invalid lines than this are not listed one by one. */
const INVALID_LISTED_MAX = 20;
const EXCERPT_CHARACTERS_MAX = 80;
const CHUNK_BYTES = 1_048_576;
const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const MARKER = Buffer.from("RESULTS: ");

export interface ResultsLines {
  readonly prefixes: readonly string[];
  readonly invalid: readonly Problem[];
}

/** Never rejects: a log that cannot be read is a problem in `invalid`. */
export async function scanResultsLines(path: string): Promise<ResultsLines> {
  const found = new ResultsCollector();
  let file: FileHandle | null = null;
  try {
    // Most jobs print little or nothing: no buffer for that, and no way through the thread pool.
    const { size } = statSync(path);
    if (size === 0) return found.result();
    file = await openLog(path);
    await scan(file, found, Math.min(size, CHUNK_BYTES));
  } catch (error) {
    found.add(problem("results-unreadable", { path, message: error instanceof Error ? error.message : String(error) }));
  } finally {
    await file?.close();
  }
  return found.result();
}

/**
 * The buffer holds what is not judged yet, then the next chunk. A newline stands in front of the file,
 * so that its first line is like any other; a line is judged when its newline, too many bytes or the end of the file is there.
 */
async function scan(file: FileHandle, found: ResultsCollector, chunkBytes: number): Promise<void> {
  const buffer = Buffer.allocUnsafe(chunkBytes + RESULTS_LINE_BYTES_MAX + 16);
  buffer[0] = NEWLINE;
  let held = 1;
  for (;;) {
    const { bytesRead } = await file.read(buffer, held, buffer.length - held, null);
    const text = buffer.subarray(0, held + bytesRead);
    const keptFrom = scanText(text, { atEnd: bytesRead === 0, found });
    if (bytesRead === 0) return;
    held = text.length - keptFrom;
    buffer.copyWithin(0, keptFrom, text.length);
  }
}

/** Judges every line that is complete. Returns where the bytes begin that the next look needs. */
function scanText(text: Buffer, options: { atEnd: boolean; found: ResultsCollector }): number {
  const { atEnd, found } = options;
  let from = 1;
  for (;;) {
    const marker = text.indexOf(MARKER, from);
    if (marker === -1) return Math.max(0, text.length - MARKER.length);
    from = marker + MARKER.length;
    if (text[marker - 1] !== NEWLINE) continue;
    const newline = text.subarray(from, marker + RESULTS_LINE_BYTES_MAX + 2).indexOf(NEWLINE);
    const bytesAfter = newline === -1 ? text.length - from : newline;
    if (newline === -1 && !atEnd && text.length - marker < RESULTS_LINE_BYTES_MAX + 2) return marker - 1;
    found.addLine(text.subarray(from, from + Math.min(bytesAfter, RESULTS_LINE_BYTES_MAX + 2)));
  }
}

class ResultsCollector {
  readonly #prefixes = new Set<string>();
  readonly #invalid: Problem[] = [];
  #overflowed = false;

  /** The bytes after the marker, without the newline. */
  addLine(bytes: Buffer): void {
    const rest = bytes.at(-1) === CARRIAGE_RETURN ? bytes.subarray(0, -1) : bytes;
    const prefix = decode(rest);
    const reason = invalidReason(rest, prefix);
    if (reason !== null) {
      this.add(problem("results-line-invalid", { reason, line: excerpt(rest) }));
    } else if (prefix !== null && !this.#prefixes.has(prefix)) {
      if (this.#prefixes.size < RESULTS_PREFIXES_MAX) this.#prefixes.add(prefix);
      else this.#overflow();
    }
  }

  add(cause: Problem): void {
    if (this.#invalid.length < INVALID_LISTED_MAX) this.#invalid.push(cause);
  }

  result(): ResultsLines {
    return { prefixes: [...this.#prefixes], invalid: this.#invalid };
  }

  #overflow(): void {
    if (this.#overflowed) return;
    this.#overflowed = true;
    this.#invalid.push(problem("results-too-many", { limit: String(RESULTS_PREFIXES_MAX) }));
  }
}

type Reason = "too-long" | "not-utf8" | "empty" | "leading-hyphen" | "control-character";

function invalidReason(bytes: Buffer, prefix: string | null): Reason | null {
  if (bytes.length + MARKER.length > RESULTS_LINE_BYTES_MAX) return "too-long";
  if (prefix === null) return "not-utf8";
  if (prefix === "") return "empty";
  if (prefix.startsWith("-")) return "leading-hyphen";
  // Cc is C0, DEL and C1. The line separators end a line for some programs that read what we write.
  return /[\p{Cc}\u2028\u2029]/u.test(prefix) ? "control-character" : null;
}

function decode(bytes: Buffer): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** The beginning of the line for a message, without anything that a terminal would obey. */
function excerpt(bytes: Buffer): string {
  const text = bytes.subarray(0, EXCERPT_CHARACTERS_MAX * 4).toString("utf8");
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, "\uFFFD").slice(0, EXCERPT_CHARACTERS_MAX);
}
