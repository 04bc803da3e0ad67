/** Matrices and tags as tables, with the ids of their jobs as ranges; and counts of jobs by state. */
import * as v from "valibot";
import type { JidRange } from "../../core/jid-ranges.ts";
import type { JobCounts } from "../../core/job.ts";
import type { Matrix } from "../../core/matrix.ts";
import type { Tag } from "../../core/state.ts";
import { integer, optionalField, type TomlTable, type TomlValue, table, time, toDate } from "./scalar-codec.ts";

/** `[first, last]`, both included. */
const range = v.pipe(
  v.strictTuple([integer, integer]),
  v.transform(([first, last]): JidRange => ({ first, last })),
);

export const countsSchema = v.strictObject({
  waiting: integer,
  held: integer,
  running: integer,
  copying: integer,
  done: integer,
  failed: integer,
  canceled: integer,
  unknown: integer,
});

export const matrixSchema = v.pipe(
  v.strictObject({
    id: integer,
    class: v.string(),
    cmd: v.string(),
    copy_to: optionalField(v.string()),
    repeats: integer,
    created: time,
    jids: v.array(range),
    counts: countsSchema,
    keys: v.array(v.strictObject({ name: v.string(), values: v.array(v.string()) })),
  }),
  v.transform(({ copy_to, ...fields }): Matrix => ({ ...fields, copyTo: copy_to })),
);

export const tagSchema = v.strictObject({ id: integer, created: time, jids: v.array(range) });

export function encodeMatrix(matrix: Matrix): TomlTable {
  return table({
    id: matrix.id,
    class: matrix.class,
    cmd: matrix.cmd,
    copy_to: matrix.copyTo,
    repeats: matrix.repeats,
    created: toDate(matrix.created),
    jids: matrix.jids.map(encodeRange),
    counts: encodeCounts(matrix.counts),
    keys: matrix.keys.map((key) => ({ name: key.name, values: key.values })),
  });
}

export function encodeTag(tag: Tag): TomlTable {
  return { id: tag.id, created: toDate(tag.created), jids: tag.jids.map(encodeRange) };
}

export function encodeCounts(counts: JobCounts): TomlTable {
  const { waiting, held, running, copying, done, failed, canceled, unknown } = counts;
  return { waiting, held, running, copying, done, failed, canceled, unknown };
}

function encodeRange(value: JidRange): TomlValue {
  return [value.first, value.last];
}
