/**
 * What the snapshot and the history blocks have in common: TOML between a comment for people and a footer.
 *
 *   # …what this file is…
 *   format = 1
 *   sequence = 512
 *   …
 *   # end: sequence = 512, jobs = 3, sha256 = <64 hexadecimal digits, of every byte before this line>
 *
 * The footer is the last line and says that the file is whole: TOML that was cut at the end of a line still
 * parses. `format = N` on a line of its own before the first table, and the footer, stay as they are in every
 * later format, so that an older release can tell a newer file from a bad one.
 */
import { closeSync, constants, openSync, readSync, statSync } from "node:fs";
import { parse } from "smol-toml";
import { Replacement } from "../durable-file.ts";
import { StoreError } from "../store-error.ts";

const FOOTER = /^# end: sequence = (\d+), jobs = (\d+), sha256 = ([0-9a-f]{64})\n$/;
const FORMAT_LINE = /^format = (\d+)$/m;
const NO_FOOTER = "the last line is not the footer: the file was cut or edited";
const OTHER_CONTENT = "the content does not agree with the sha256 in the footer";
/** How much is made before it is written, in time and in text: then others get their turn. */
const SLICE_MS = 2;
const CHUNK_CHARACTERS = 256 * 1024;
/** Parsed at once: the parser makes some 20 times as much of it. */
const PART_BYTES = 128 * 1024;
const TABLE_LINE = /^\[\[\w+\]\]$/;
/** Longer than any footer. */
const FOOTER_BYTES_MAX = 512;
/** Read at once; the line of the format is in the first of them. */
const CHECK_BYTES = 1024 * 1024;

export interface Footer {
  readonly sequence: number;
  readonly jobs: number;
}

export type DocumentReading =
  | { readonly kind: "document"; readonly content: Readonly<Record<string, unknown>>; readonly footer: Footer }
  | { readonly kind: "newer"; readonly format: number }
  | { readonly kind: "bad"; readonly offset: number; readonly reason: string };

/** A whole file, which its footer vouches for: it is as it was written, and TOML up to `end`. */
export interface WholeDocument {
  readonly kind: "whole";
  readonly end: number;
  readonly footer: Footer;
}

export type BadDocument = Exclude<DocumentReading, { readonly kind: "document" }>;

/** Reads a whole file. @param format the newest that the caller knows */
export function readDocument(bytes: Buffer, format: number): DocumentReading {
  const whole = judgeDocument(bytes, format);
  if (whole.kind !== "whole") return whole;
  const content = parseToml(bytes.toString("utf8", 0, whole.end));
  return content.kind === "bad" ? content : { kind: "document", content: content.tables, footer: whole.footer };
}

/** For a reader that takes the file apart itself. @param format the newest that the caller knows */
export function judgeDocument(bytes: Buffer, format: number): WholeDocument | BadDocument {
  const start = bytes.lastIndexOf("\n", bytes.length - 2) + 1;
  const footer = FOOTER.exec(bytes.toString("utf8", start));
  if (footer === null) return { kind: "bad", offset: start, reason: NO_FOOTER };
  const sha256 = new Bun.CryptoHasher("sha256").update(bytes.subarray(0, start)).digest("hex");
  if (sha256 !== footer[3]) return { kind: "bad", offset: start, reason: OTHER_CONTENT };
  const found = formatOf(bytes.toString("utf8", 0, Math.min(start, CHECK_BYTES)));
  if (found > format) return { kind: "newer", format: found };
  return { kind: "whole", end: start, footer: { sequence: Number(footer[1]), jobs: Number(footer[2]) } };
}

/** Whether a file is whole, by its footer alone: what is in it is not looked at, and never in memory together. */
export function checkDocument(path: string, format: number): { readonly kind: "whole" } | BadDocument {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const { size } = statSync(path);
    const end = readAt(descriptor, Math.max(0, size - FOOTER_BYTES_MAX), FOOTER_BYTES_MAX);
    const line = end.subarray(end.lastIndexOf("\n", end.length - 2) + 1);
    const offset = size - line.length;
    const footer = FOOTER.exec(line.toString("utf8"));
    if (footer === null) return { kind: "bad", offset, reason: NO_FOOTER };
    const hash = new Bun.CryptoHasher("sha256");
    let found = Number.NaN;
    for (let at = 0; at < offset; at += CHECK_BYTES) {
      const chunk = readAt(descriptor, at, Math.min(CHECK_BYTES, offset - at));
      hash.update(chunk);
      if (at === 0) found = formatOf(chunk.toString("utf8"));
    }
    if (hash.digest("hex") !== footer[3]) return { kind: "bad", offset, reason: OTHER_CONTENT };
    return found > format ? { kind: "newer", format: found } : { kind: "whole" };
  } finally {
    closeSync(descriptor);
  }
}

function readAt(descriptor: number, position: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const read = readSync(descriptor, bytes, done, length - done, position + done);
    if (read === 0) break;
    done += read;
  }
  return bytes.subarray(0, done);
}

function formatOf(text: string): number {
  return Number(FORMAT_LINE.exec(text)?.[1] ?? Number.NaN);
}

/**
 * A whole document in parts, each of them TOML: cut before a table of the top level, which no line within a text can
 * look like, because texts are written in one line. What is made of one part can be thrown away before the next is read.
 * @param last the tables that the document ends with; they come first here, because the others name them
 */
export function* documentParts(bytes: Buffer, end: number, last: string): Generator<string> {
  const at = bytes.indexOf(`\n[[${last}]]\n`);
  const cut = at === -1 || at >= end ? end : at;
  for (const [from, to] of [
    [cut, end],
    [0, cut],
  ] as const) {
    for (let start = from; start < to; ) {
      const next = tableFrom(bytes, start + PART_BYTES, to);
      yield bytes.toString("utf8", start, next);
      start = next;
    }
  }
}

/** Where the first table of the top level begins, or `end`. */
function tableFrom(bytes: Buffer, from: number, end: number): number {
  for (let at = bytes.indexOf("\n[[", from); at !== -1 && at < end; at = bytes.indexOf("\n[[", at + 1)) {
    if (TABLE_LINE.test(bytes.toString("latin1", at + 1, bytes.indexOf("\n", at + 1)))) return at;
  }
  return end;
}

/** TOML that is known to be as it was written; what is not TOML was written by somebody else. */
export function parseToml(
  text: string,
): { readonly kind: "tables"; readonly tables: Readonly<Record<string, unknown>> } | Extract<BadDocument, { readonly kind: "bad" }> {
  try {
    return { kind: "tables", tables: parse(text) };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { kind: "bad", offset: 0, reason: `not TOML: ${firstLine(error.message)}` };
  }
}

/**
 * Writes a document in the place of the old one, durably. Pieces are made as they are needed, and the event
 * loop gets its turn between chunks of them.
 * @param beforeRename see Replacement.commit
 */
export async function writeDocument(
  path: string,
  pieces: Iterable<string>,
  footer: () => Footer,
  beforeRename?: () => Promise<void>,
): Promise<void> {
  const replacement = await Replacement.begin(path);
  try {
    const hash = new Bun.CryptoHasher("sha256");
    let chunk = "";
    let began = performance.now();
    for (const piece of pieces) {
      chunk += piece;
      if (chunk.length < CHUNK_CHARACTERS && performance.now() - began < SLICE_MS) continue;
      await replacement.write(hashed(hash, chunk));
      chunk = "";
      began = performance.now();
    }
    await replacement.write(hashed(hash, chunk));
    await replacement.write(Buffer.from(footerLine(footer(), hash)));
    await replacement.commit(beforeRename);
  } catch (error) {
    await replacement.abandon();
    throw error;
  }
}

/** A document as bytes, for another place than a file of the store: whole only when the last of them, the footer, is there. */
export function* documentBytes(pieces: Iterable<string>, footer: () => Footer): Generator<Buffer> {
  const hash = new Bun.CryptoHasher("sha256");
  let chunk = "";
  for (const piece of pieces) {
    chunk += piece;
    if (chunk.length < CHUNK_CHARACTERS) continue;
    yield hashed(hash, chunk);
    chunk = "";
  }
  yield hashed(hash, chunk);
  yield Buffer.from(footerLine(footer(), hash));
}

function hashed(hash: Bun.CryptoHasher, text: string): Buffer {
  const bytes = Buffer.from(text.toWellFormed());
  hash.update(bytes);
  return bytes;
}

function footerLine({ sequence, jobs }: Footer, hash: Bun.CryptoHasher): string {
  return `# end: sequence = ${sequence}, jobs = ${jobs}, sha256 = ${hash.digest("hex")}\n`;
}

/** A bad document as the error that refuses it. */
export function refused(file: string, reading: BadDocument): StoreError {
  switch (reading.kind) {
    case "newer":
      return new StoreError("newer-format", { file, format: reading.format });
    case "bad":
      return new StoreError("damaged", { file, offset: reading.offset, reason: reading.reason });
  }
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}
