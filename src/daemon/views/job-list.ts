/** The rows of a listing: jobs, and matrices as one row each. Reads no more of history than it shows. */

import { rangeAround } from "../../core/jid-ranges.ts";
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
  const held = options.collapse ? new Collapsed(state) : null;
  for (let end = state.nextId; end > options.from && rows.size < limit; ) {
    const matrix = held?.below(end) ?? null;
    if (matrix !== null) {
      if (matrix.row !== null) rows.set(matrix.row.matrix.id, matrix.row);
      end = matrix.end;
      continue;
    }
    const page = await book.before(end, Math.min(PAGE_JOBS, limit - rows.size));
    if (page.length === 0) break;
    for (const job of page) {
      end = job.jid;
      if (end < options.from || rows.size >= limit) break;
      const around = held?.around(job) ?? null;
      if (around === null) {
        rows.set(job.jid, { kind: "job", job });
        continue;
      }
      rows.set(around.row.matrix.id, around.row);
      // The rest of its range needs no look; the next page begins below it.
      end = around.end;
      break;
    }
  }
  return [...rows].sort(([a], [b]) => a - b).map(([, row]) => row);
}

type MatrixRow = Extract<Row, { readonly kind: "matrix" }>;

/** Which ids are shown as a row of their matrix: known from the state alone, so that no history is read for them. */
class Collapsed {
  private readonly matrixIds: number[];

  constructor(private readonly state: State) {
    this.matrixIds = [...state.matrices.keys()];
  }

  /** What stands just below an id, when it is a matrix with the jobs that were queued with it. `end`: go on below. */
  below(jid: number): { readonly row: MatrixRow | null; readonly end: number } | null {
    const { matrices, tags } = this.state;
    if (tags.has(jid - 1) || matrices.has(jid - 1)) return { row: null, end: jid - 1 };
    while ((this.matrixIds.at(-1) ?? -1) >= jid) this.matrixIds.pop();
    const id = this.matrixIds.at(-1);
    return id === undefined ? null : this.inMatrix(id, jid - 1);
  }

  /** A job of a matrix, wherever its id is: retries and clones come later. null: it stands for itself. */
  around(job: Job): { readonly row: MatrixRow; readonly end: number } | null {
    return job.matrix === null ? null : this.inMatrix(job.matrix.id, job.jid);
  }

  private inMatrix(id: number, jid: number): { readonly row: MatrixRow; readonly end: number } | null {
    const matrix = this.state.matrices.get(id);
    const range = matrix === undefined ? null : rangeAround(matrix.jids, jid);
    return matrix === undefined || range === null ? null : { row: { kind: "matrix", matrix }, end: range.first };
  }
}

export function rowView(book: JobBook, row: Row, now: number): WireRow {
  if (row.kind === "job") return { kind: "job", job: jobView(book.state, row.job, now) };
  const { id, class: className, cmd, jids, counts } = row.matrix;
  const first = jids[0]?.first ?? id;
  const last = jids[jids.length - 1]?.last ?? id;
  return { kind: "matrix", id, class: className, cmd, first, last, counts: { ...counts } };
}
