/** `job ls`: the summary line and one row a job or collapsed matrix. */
import type { WireCounts, WireJob, WireRow } from "../protocol/methods/job.ts";
import { type Palette, paletteOf } from "./colour.ts";
import { countsCell, statusCell, sum, summaryLine } from "./job-status.ts";
import { printable } from "./printable.ts";
import { shortProblem } from "./problem.ts";
import { type Column, renderTable } from "./table.ts";

export interface Screen {
  /** Columns of the terminal; Infinity: nothing is cut. */
  readonly width: number;
  readonly colours: boolean;
}

const COLUMNS: readonly Column[] = [
  { header: "Job", align: "right" },
  { header: "Status", align: "right" },
  { header: "Class", shrinkTo: 6 },
  { header: "Command", shrinkTo: 10, weight: 2 },
  { header: "Machine", shrinkTo: 6, weight: 2 },
  { header: "Output", shrinkTo: 9, weight: 3 },
];

const LINE_IN_PIPE = 80;

export interface JobListing {
  readonly counts: WireCounts;
  /** Ids ascending. */
  readonly rows: readonly WireRow[];
  /** A line is drawn after this job; null: none. */
  readonly line?: number | null;
  /** By the server's clock: how long jobs have waited is counted up to it. */
  readonly now?: string | undefined;
}

export function renderJobListing({ counts, rows, line = null, now }: JobListing, screen: Screen): string {
  const palette = paletteOf(screen);
  const summary = summaryLine(counts, screen.width, palette);
  if (rows.length === 0) return summary;
  const cells = rows.map((row) => (row.kind === "job" ? jobCells(row.job, palette, now) : matrixCells(row, palette)));
  const table = renderTable(COLUMNS, cells, { width: screen.width, header: palette.bold });
  const above = line === null ? null : rowsAbove(rows, line);
  // The header is the first line of the table.
  if (above !== null) table.splice(above + 1, 0, drawnLine(table, screen));
  return [summary, ...table].join("\n");
}

/** How many rows stand above the line; null: it belongs neither between two rows nor under the job of the last. */
function rowsAbove(rows: readonly WireRow[], line: number): number | null {
  const above = rows.filter((row) => (row.kind === "job" ? row.job.jid : row.id) <= line).length;
  const last = rows[above - 1];
  if (last === undefined) return null;
  if (above < rows.length) return above;
  return line <= (last.kind === "job" ? last.job.jid : last.last) ? above : null;
}

/** As wide as the table; without a terminal of one width, whatever a cell holds. */
function drawnLine(table: readonly string[], screen: Screen): string {
  const widest = table.reduce((most, row) => Math.max(most, Bun.stringWidth(row)), 0);
  const width = Math.min(widest, screen.width === Number.POSITIVE_INFINITY ? LINE_IN_PIPE : screen.width) - 1;
  return screen.colours ? ` ${paletteOf(screen).dim("─".repeat(width))}` : ` ${"-".repeat(width)}`;
}

/** The jobs of a matrix, under its own summary line. */
export function renderJobTable(jobs: readonly WireJob[], screen: Screen): string[] {
  const palette = paletteOf(screen);
  return renderTable(
    COLUMNS,
    jobs.map((job) => jobCells(job, palette)),
    { width: screen.width, header: palette.bold },
  );
}

function jobCells(job: WireJob, palette: Palette, now?: string): string[] {
  return [
    palette.bold(String(job.jid)),
    statusCell(job, palette, now),
    job.class === "" ? palette.dim("-") : printable(job.class),
    printable(job.cmd),
    printable(job.machine ?? ""),
    outputCell(job, palette),
  ];
}

function matrixCells(row: Extract<WireRow, { kind: "matrix" }>, palette: Palette): string[] {
  // A range may be typed as it stands: with jobs of others in between, as after a clone, it is none.
  const between = sum(row.counts) === row.last - row.first + 1 ? "-" : "…";
  const jobs = row.first === row.last ? String(row.first) : `${row.first}${between}${row.last}`;
  return [palette.bold(String(row.id)), countsCell(row.counts, palette), printable(row.class), printable(row.cmd), "", palette.dim(jobs)];
}

function outputCell(job: WireJob, palette: Palette): string {
  if (job.error !== null && job.status !== "canceled") {
    const retried = job.retried_by === null ? "" : `, retry ${job.retried_by}`;
    const text = shortProblem(job.error) + retried;
    return job.status === "failed" || job.status === "unknown" ? palette.red(text) : palette.yellow(text);
  }
  if (job.results_path !== null) return palette.green("Ready");
  if (job.warning !== null) return palette.yellow(shortProblem(job.warning));
  return job.error === null ? "" : palette.dim(shortProblem(job.error));
}
