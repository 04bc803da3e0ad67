/** A listing shows matrices as one row each, and reads no past job for them. */
import { expect, test } from "bun:test";
import { apply } from "../../../src/core/apply.ts";
import type { Event } from "../../../src/core/event.ts";
import type { JobSpec } from "../../../src/core/job.ts";
import { EMPTY_STATE, type State } from "../../../src/core/state.ts";
import { JobBook } from "../../../src/daemon/job-book.ts";
import { lastRows } from "../../../src/daemon/views/job-list.ts";

const SPEC: JobSpec = { kind: "job", class: "x", cmd: "run", copyTo: null, retry: null, notify: false, variables: {}, secrets: [] };
const QUEUED = { at: 1, spec: SPEC, timeoutSeconds: null } as const;

const MORE: readonly Event[] = [
  { kind: "jobs-added", ...QUEUED, first: 10, count: 1, tag: null },
  { kind: "jobs-added", ...QUEUED, first: 11, count: 1, tag: null, matrix: { id: 1, cells: [0] } },
];

/** Job 0; matrix 1 of jobs 2 to 4; tag 5; matrix 6 of jobs 7 to 9; and with `more` job 10 and clone 11 of matrix 1. */
function past(more: boolean): State {
  const values = ["a", "b", "c"];
  const events: readonly Event[] = [
    { kind: "jobs-added", ...QUEUED, first: 0, count: 1, tag: null },
    { kind: "matrix-added", ...QUEUED, id: 1, first: 2, keys: [{ name: "A", values }], repeats: 1 },
    { kind: "tag-added", at: 1, id: 5 },
    { kind: "matrix-added", ...QUEUED, id: 6, first: 7, keys: [{ name: "A", values }], repeats: 1 },
    ...(more ? MORE : []),
  ];
  const queued = events.reduce(apply, EMPTY_STATE);
  const ends = Array.from(queued.jobs.keys(), (jid): Event => {
    return { kind: "job-canceled", at: 2, jid, exitCode: null, problem: { code: "canceled", data: {} } };
  });
  return ends.reduce(apply, queued);
}

interface Options {
  readonly limit: number;
  readonly collapse: boolean;
  readonly from: number;
}

async function listed(options: Options, more = true): Promise<{ rows: string[]; read: number[] }> {
  const all = past(more);
  const archived = apply(all, { kind: "jobs-archived", jids: [...all.jobs.keys()], requestsBefore: 0 });
  const read: number[] = [];
  const book = new JobBook({
    state: () => archived,
    readHistory: async (jids) => {
      read.push(...jids);
      return new Map(jids.flatMap((jid) => all.jobs.get(jid) ?? []).map((job) => [job.jid, job]));
    },
  });
  const rows = await lastRows(book, options);
  return { rows: rows.map((row) => (row.kind === "job" ? `job ${row.job.jid}` : `matrix ${row.matrix.id}`)), read };
}

test("past matrices are listed from the state alone: no history is read for them", async () => {
  const { rows, read } = await listed({ limit: 2, collapse: true, from: 0 }, false);
  expect(rows).toEqual(["matrix 1", "matrix 6"]);
  expect(read).toEqual([]);
});

test("from an id on, and to the very first", async () => {
  expect((await listed({ limit: 40, collapse: true, from: 0 })).rows).toEqual(["job 0", "matrix 1", "matrix 6", "job 10"]);
  expect((await listed({ limit: 40, collapse: true, from: 7 })).rows).toEqual(["matrix 1", "matrix 6", "job 10"]);
  expect((await listed({ limit: 40, collapse: true, from: 10 })).rows).toEqual(["matrix 1", "job 10"]);
});

test("without rows for matrices every job stands for itself", async () => {
  const { rows } = await listed({ limit: 4, collapse: false, from: 0 });
  expect(rows).toEqual(["job 8", "job 9", "job 10", "job 11"]);
});
