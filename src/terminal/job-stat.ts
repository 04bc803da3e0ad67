/**
 * What `job stat` prints of a job: its columns by name, as JSON values and as the text of a cell. A record is the Job of
 * cli.md with the old `start` and `end`; a mapper may have put other keys into it, or other values.
 */
import type { WireJob } from "../protocol/methods/job.ts";
import { jobJson } from "./job-json.ts";
import { printable } from "./printable.ts";
import { type Column, renderTable } from "./table.ts";

export type StatRecord = Readonly<Record<string, unknown>>;

interface ColumnDefinition {
  /** In the header, and the key that the cell is read from. */
  readonly name: string;
  /** The key of the Job that means the same. */
  readonly also?: string;
  readonly align?: "right";
  readonly weight?: number;
}

const COLUMNS = {
  jid: { name: "jid", align: "right" },
  matrix: { name: "matrix", align: "right" },
  cmd: { name: "cmd", weight: 2 },
  class: { name: "class" },
  machine: { name: "machine" },
  status: { name: "status" },
  error: { name: "error" },
  vars: { name: "variables" },
  results: { name: "results" },
  "results-path": { name: "results_path" },
  starttime: { name: "start", also: "started" },
  endtime: { name: "end", also: "ended" },
  duration: { name: "duration", align: "right" },
  log: { name: "log" },
  "results-dir": { name: "cp_results" },
} as const satisfies Readonly<Record<string, ColumnDefinition>>;

/** Named as the flags that ask for them. */
export type StatColumn = keyof typeof COLUMNS;
export const STAT_COLUMNS = Object.keys(COLUMNS) as readonly StatColumn[];

export function statRecord(job: WireJob): StatRecord {
  return { ...jobJson(job), start: job.started, end: job.ended };
}

/** The job with one column's value in another form. */
export function withColumn(record: StatRecord, column: StatColumn, value: string): StatRecord {
  return { ...record, ...Object.fromEntries(keysOf(column).map((key) => [key, value])) };
}

/** The answer of a mapper in the place of the job; a time that it gave another value has it under both of its names. */
export function answeredRecord(before: StatRecord, answer: StatRecord): StatRecord {
  const changed: Record<string, unknown> = {};
  for (const [first, second] of [
    ["started", "start"],
    ["ended", "end"],
  ] as const) {
    if (!Object.hasOwn(answer, first) || !Object.hasOwn(answer, second)) continue;
    if (answer[second] === before[second]) changed[second] = answer[first];
    else if (answer[first] === before[first]) changed[first] = answer[second];
  }
  return { ...answer, ...changed };
}

/** What a mapper put into a job that had not been there: kept whatever columns were asked for. */
export function addedKeys(before: StatRecord, answer: StatRecord): readonly string[] {
  return Object.keys(answer).filter((key) => !Object.hasOwn(before, key));
}

/** An object with the keys of the columns, and what a mapper added. */
export function chosenKeys(record: StatRecord, columns: readonly StatColumn[], added: readonly string[]): StatRecord {
  return Object.fromEntries([...columns.flatMap(keysOf), ...added].map((key) => [key, record[key] ?? null]));
}

export function headerCells(columns: readonly StatColumn[], added: readonly string[]): string[] {
  return [...columns.map((column) => COLUMNS[column].name), ...added];
}

export function recordCells(record: StatRecord, columns: readonly StatColumn[], added: readonly string[]): string[] {
  return headerCells(columns, added).map((key) => cellText(record[key]));
}

/** What a cell holds, and what a column's program is given. */
export function columnText(record: StatRecord, column: StatColumn): string {
  return cellText(record[COLUMNS[column].name]);
}

/** One line a job, a tab between cells: a tab or a line break inside of one is written as `\t` and `\n`. */
export function tabbedLine(cells: readonly string[]): string {
  return cells.map((cell) => cell.replace(/[\t\n\r]/g, (character) => BREAKS[character] ?? "")).join("\t");
}

/** For people: aligned, and as wide as the terminal. */
export function renderStatTable(
  columns: readonly StatColumn[],
  rows: { readonly header: readonly string[]; readonly cells: readonly (readonly string[])[] },
  options: { readonly width: number; readonly headers: boolean; readonly header: (text: string) => string },
): string[] {
  const shapes = rows.header.map((header, index): Column => {
    const column = columns[index];
    const { align, weight }: Partial<ColumnDefinition> = column === undefined ? {} : COLUMNS[column];
    return { header: printable(header), shrinkTo: 8, ...(align && { align }), ...(weight && { weight }) };
  });
  const cells = rows.cells.map((row) => row.map(printable));
  return renderTable(shapes, cells, options).slice(options.headers ? 0 : 1);
}

function keysOf(column: StatColumn): readonly string[] {
  const { name, also }: ColumnDefinition = COLUMNS[column];
  return also === undefined ? [name] : [also, name];
}

/** A list of one is that one. Nothing is the empty text. */
function cellText(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  if (Array.isArray(value) && value.length < 2) return cellText(value[0]);
  return JSON.stringify(value) ?? "";
}

const BREAKS: Readonly<Record<string, string>> = { "\t": "\\t", "\n": "\\n", "\r": "\\r" };
