/**
 * Owns `<CP_PATH>/.expjobserver/<jid>.toml`, the record of how results came to be, for people and for the server.
 * Format 1: the keys below, with [[logs]] when logs were taken along, then one [[files]] table a file. It is written whole, to a temporary name, synced and
 * renamed. Large ones are written and read in pieces, so that the daemon answers meanwhile.
 */
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parse, stringify } from "smol-toml";
import * as v from "valibot";
import type { Problem } from "../../core/problem.ts";
import { systemErrorCode, targetUnwritable } from "./copy-problem.ts";
import { RECORDS_FOLDER } from "./listing.ts";
import type { MachineFacts } from "./machine-facts.ts";
import type { Displaced } from "./place.ts";
import { syncPaths } from "./sync.ts";
import { TimeSlice } from "./time-slice.ts";
import type { FetchedFile } from "./transfer.ts";

/** How the results came to be, as the server knows it. No value of a secret variable may be in it. */
export interface Provenance {
  /** After substitution, secrets masked. */
  readonly command: string;
  readonly variables: Readonly<Record<string, string>>;
  /** The address as added to the pool. */
  readonly machine: string;
  readonly facts: MachineFacts | null;
  /** Milliseconds since the epoch. */
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  /** null: it was canceled, and none is known. */
  readonly exitCode: number | null;
}

export interface ResultRecord extends Provenance {
  readonly jid: number;
  readonly runId: string;
  readonly copiedAt: number;
  readonly prefixes: readonly string[];
  readonly startDirectory: string;
  readonly files: readonly FetchedFile[];
  /** Logs that were taken along. */
  readonly logs: readonly FetchedFile[];
  /** What had to make way for these results. */
  readonly displaced: readonly Displaced[];
  readonly warnings: readonly Problem[];
}

const FORMAT = 1;
const HEADER = "# How these results came to be: written by expjobserver, read by it when results move.\n";
const FILES_A_PIECE = 500;
const FILES_HEAD = "[[files]]\n";

export function recordPath(target: string, jid: number): string {
  return join(target, RECORDS_FOLDER, `${jid}.toml`);
}

/** Durable when it resolves. `root` is CP_PATH, its folder for records is there. @throws {CopyProblem} target-unwritable */
export async function writeRecord(root: string, record: ResultRecord): Promise<void> {
  const path = recordPath(root, record.jid);
  const temporary = join(root, RECORDS_FOLDER, "incoming", `${record.jid}.toml.new`);
  try {
    await writeFile(temporary, await toText(record), { mode: 0o600 });
    await syncPaths([temporary]);
    await rename(temporary, path);
    await syncPaths([join(root, RECORDS_FOLDER)]);
  } catch (error) {
    throw targetUnwritable(path, error);
  }
}

/** The record in `path`; null when there is none. @throws when it is not one of ours, or damaged, or cannot be read */
export async function readRecord(path: string): Promise<ResultRecord | null> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return null;
    throw error;
  }
  const [head = "", ...tables] = text.split(`\n${FILES_HEAD}`);
  const parsed = v.parse(HeadSchema, parse(head));
  const files: FetchedFile[] = [];
  const slice = new TimeSlice();
  for (let at = 0; at < tables.length; at += FILES_A_PIECE) {
    const piece = tables.slice(at, at + FILES_A_PIECE).map((table) => `${FILES_HEAD}${table}\n`);
    for (const file of v.parse(FilesSchema, parse(piece.join(""))).files) files.push(file);
    if (slice.over) await slice.pause();
  }
  return {
    jid: parsed.jid,
    runId: parsed.run_id,
    command: parsed.command,
    exitCode: parsed.exit_code ?? null,
    startedAt: parsed.started?.getTime() ?? null,
    endedAt: parsed.ended?.getTime() ?? null,
    copiedAt: parsed.copied.getTime(),
    startDirectory: parsed.start_directory,
    prefixes: parsed.prefixes,
    variables: parsed.variables,
    machine: parsed.machine.address,
    facts:
      parsed.machine.kernel === undefined
        ? null
        : { hostname: parsed.machine.hostname ?? "", kernel: parsed.machine.kernel, cpu: parsed.machine.cpu ?? "" },
    files,
    logs: parsed.logs,
    displaced: parsed.displaced.map((entry) => ({ jid: entry.jid ?? null, from: entry.from, to: entry.to })),
    warnings: parsed.warnings.map((warning) => ({ code: warning.code as Problem["code"], data: warning.data })),
  };
}

async function toText(record: ResultRecord): Promise<string> {
  const { facts } = record;
  const head = stringify({
    format: FORMAT,
    jid: record.jid,
    run_id: record.runId,
    command: record.command,
    ...(record.exitCode === null ? {} : { exit_code: record.exitCode }),
    ...(record.startedAt === null ? {} : { started: new Date(record.startedAt) }),
    ...(record.endedAt === null ? {} : { ended: new Date(record.endedAt) }),
    copied: new Date(record.copiedAt),
    prefixes: [...record.prefixes],
    start_directory: record.startDirectory,
    variables: { ...record.variables },
    machine: { address: record.machine, ...(facts === null ? {} : facts) },
    displaced: record.displaced.map(({ jid, from, to }) => ({ ...(jid === null ? {} : { jid }), from, to })),
    warnings: record.warnings.map(({ code, data }) => ({ code, data: { ...data } })),
    ...(record.logs.length === 0 ? {} : { logs: record.logs.map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 })) }),
  });
  const pieces = [HEADER, head.trimEnd(), "\n"];
  const slice = new TimeSlice();
  for (let at = 0; at < record.files.length; at += FILES_A_PIECE) {
    const files = record.files.slice(at, at + FILES_A_PIECE).map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 }));
    pieces.push("\n", stringify({ files }).trim(), "\n");
    if (slice.over) await slice.pause();
  }
  return pieces.join("");
}

const fileList = v.array(v.object({ path: v.string(), bytes: v.number(), sha256: v.string() }));

const HeadSchema = v.object({
  format: v.literal(FORMAT),
  jid: v.pipe(v.number(), v.integer(), v.minValue(0)),
  run_id: v.string(),
  command: v.string(),
  exit_code: v.optional(v.number()),
  started: v.optional(v.date()),
  ended: v.optional(v.date()),
  copied: v.date(),
  prefixes: v.array(v.string()),
  logs: v.optional(fileList, []),
  start_directory: v.string(),
  variables: v.optional(v.record(v.string(), v.string()), {}),
  machine: v.object({ address: v.string(), hostname: v.optional(v.string()), kernel: v.optional(v.string()), cpu: v.optional(v.string()) }),
  displaced: v.optional(v.array(v.object({ jid: v.optional(v.number()), from: v.string(), to: v.string() })), []),
  warnings: v.optional(v.array(v.object({ code: v.string(), data: v.optional(v.record(v.string(), v.string()), {}) })), []),
});

const FilesSchema = v.object({ files: fileList });
