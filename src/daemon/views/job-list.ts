/** The rows of a listing: jobs, and matrices as one row each. Reads no more of history than it shows. */
import type { Job } from "../../core/job.ts";
import { jobOn } from "../../core/machine.ts";
import type { Matrix } from "../../core/matrix.ts";
import type { WireRow } from "../../protocol/methods/job.ts";
import type { JobBook } from "../job-book.ts";
import { jobView } from "./job.ts";

export type Row = { readonly kind: "job"; readonly job: Job } | { readonly kind: "matrix"; readonly matrix: Matrix };

/** The jobs that occupy a machine, ascending. */
export function runningJobs(book: JobBook): readonly Job[] {
  const { state } = book;
  const jids = [...state.machines.values()].flatMap((machine) => jobOn(machine) ?? []);
  return jids.sort((a, b) => a - b).flatMap((jid) => state.jobs.get(jid) ?? []);
}

/**
 * The last rows, and a row for each running job whatever its age. With `collapse`, jobs of a matrix that do
 * not run now are one row together, at the place of the matrix.
 */
export async function lastRows(book: JobBook, options: { limit: number; collapse: boolean; from: number }): Promise<readonly Row[]> {
  const { state } = book;
  const rows = new Map<number, Row>(runningJobs(book).map((job) => [job.jid, { kind: "job", job }]));
  const limit = options.limit + rows.size;
  for (let end = state.nextId; end > options.from && rows.size < limit; ) {
    const matrix = options.collapse ? matrixHolding(state.matrices.values(), end - 1) : null;
    if (matrix !== null) {
      rows.set(matrix.matrix.id, { kind: "matrix", matrix: matrix.matrix });
      end = matrix.first;
      continue;
    }
    const [job] = await book.before(end, 1);
    if (job === undefined || job.jid < options.from) break;
    const inMatrix = options.collapse && job.matrix !== null && state.matrices.has(job.matrix.id);
    if (!inMatrix) rows.set(job.jid, { kind: "job", job });
    // A job of a matrix below a gap: the next turn starts at it and takes its whole range.
    end = inMatrix ? job.jid + 1 : job.jid;
  }
  return [...rows].sort(([a], [b]) => a - b).map(([, row]) => row);
}

/** The matrix with that job, and where the job's run of consecutive ids begins. */
function matrixHolding(matrices: Iterable<Matrix>, jid: number): { readonly matrix: Matrix; readonly first: number } | null {
  for (const matrix of matrices) {
    const range = matrix.jids.find((candidate) => candidate.first <= jid && jid <= candidate.last);
    if (range !== undefined) return { matrix, first: range.first };
  }
  return null;
}

export function rowView(book: JobBook, row: Row, now: number): WireRow {
  if (row.kind === "job") return { kind: "job", job: jobView(book.state, row.job, now) };
  const { id, class: className, cmd, jids, counts } = row.matrix;
  const first = jids[0]?.first ?? id;
  const last = jids[jids.length - 1]?.last ?? id;
  return { kind: "matrix", id, class: className, cmd, first, last, counts: { ...counts } };
}
