/** `job ls`: the summary line and one row a job or collapsed matrix. */
import type { WireCounts, WireJob, WireRow } from "../protocol/methods/job.ts";
import { type Palette, paletteOf } from "./colour.ts";
import { countsCell, statusCell, summaryLine } from "./job-status.ts";
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
  { header: "Machine", shrinkTo: 6 },
  { header: "Output", shrinkTo: 9, weight: 2 },
];

export function renderJobListing(listing: { readonly counts: WireCounts; readonly rows: readonly WireRow[] }, screen: Screen): string {
  const palette = paletteOf(screen);
  const summary = summaryLine(listing.counts, screen.width);
  if (listing.rows.length === 0) return summary;
  const rows = listing.rows.map((row) => (row.kind === "job" ? jobCells(row.job, palette) : matrixCells(row, palette)));
  return [summary, ...renderTable(COLUMNS, rows, { width: screen.width, header: palette.bold })].join("\n");
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

function jobCells(job: WireJob, palette: Palette): string[] {
  return [
    palette.bold(String(job.jid)),
    statusCell(job, palette),
    job.class === "" ? palette.dim("-") : printable(job.class),
    printable(job.cmd),
    printable(job.machine ?? ""),
    outputCell(job, palette),
  ];
}

function matrixCells(row: Extract<WireRow, { kind: "matrix" }>, palette: Palette): string[] {
  const jobs = row.first === row.last ? String(row.first) : `${row.first}-${row.last}`;
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
