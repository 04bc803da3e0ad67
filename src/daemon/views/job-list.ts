/** The rows of a listing: jobs, and matrices as one row each. Reads no more of history than it shows. */
import type { Job } from "../../core/job.ts";
import { jobOn } from "../../core/machine.ts";
import type { Matrix } from "../../core/matrix.ts";
import type { State } from "../../core/state.ts";
import type { WireRow } from "../../protocol/methods/job.ts";
import type { JobBook } from "../job-book.ts";
import { jobView } from "./job.ts";

export type Row = { readonly kind: "job"; readonly job: Job } | { readonly kind: "matrix"; readonly matrix: Matrix };

const PAGE_JOBS = 64;

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
    const page = await book.before(end, PAGE_JOBS);
    if (page.length === 0) break;
    for (const job of page) {
      end = job.jid;
      if (end < options.from || rows.size >= limit) break;
      const held = options.collapse && job.matrix !== null ? matrixHolding(state, job.matrix.id, job.jid) : null;
      if (held === null) {
        rows.set(job.jid, { kind: "job", job });
        continue;
      }
      rows.set(held.matrix.id, { kind: "matrix", matrix: held.matrix });
      // The rest of its range needs no look; the next page begins below it.
      end = held.first;
      break;
    }
  }
  return [...rows].sort(([a], [b]) => a - b).map(([, row]) => row);
}

/** The matrix of a job, and where the job's run of consecutive ids begins. null: the job stands for itself. */
function matrixHolding(state: State, id: number, jid: number): { readonly matrix: Matrix; readonly first: number } | null {
  const matrix = state.matrices.get(id);
  const range = matrix?.jids.find((candidate) => candidate.first <= jid && jid <= candidate.last);
  return matrix === undefined || range === undefined ? null : { matrix, first: range.first };
}

export function rowView(book: JobBook, row: Row, now: number): WireRow {
  if (row.kind === "job") return { kind: "job", job: jobView(book.state, row.job, now) };
  const { id, class: className, cmd, jids, counts } = row.matrix;
  const first = jids[0]?.first ?? id;
  const last = jids[jids.length - 1]?.last ?? id;
  return { kind: "matrix", id, class: className, cmd, first, last, counts: { ...counts } };
}
