/** What can be asked about matrices: many jobs from one request. */
import * as v from "valibot";
import { mutates, streams } from "../method.ts";
import { idSchema } from "../selector.ts";
import { className, command, copyTo, count, countsSchema, jobSchema, retry, timeoutSeconds, warningSchema } from "./job.ts";

export const matrixKeys = v.pipe(
  v.array(
    v.object({
      name: v.pipe(v.string(), v.maxLength(256)),
      values: v.pipe(v.array(v.pipe(v.string(), v.maxBytes(65_536))), v.minLength(1), v.maxLength(100_000)),
    }),
  ),
  v.maxLength(100),
);
const keys = v.pipe(matrixKeys, v.minLength(1));

export const matrixSchema = v.object({
  id: v.number(),
  class: v.string(),
  cmd: v.string(),
  cp_results: v.nullable(v.string()),
  keys,
  repeats: v.number(),
  created: v.string(),
  counts: countsSchema,
});
export type WireMatrix = v.InferOutput<typeof matrixSchema>;

export const matrixMethods = {
  "matrix.add": mutates(
    v.object({ class: className, cmd: command, cp_results: copyTo, keys, count, retry, timeout: timeoutSeconds, notify: v.boolean() }),
    v.object({ id: v.number(), first: v.number(), count: v.number(), warnings: v.array(warningSchema) }),
  ),
  /** All jobs of it, ascending, in chunks; then the matrix. */
  "matrix.list": streams(v.object({ id: idSchema }), v.array(jobSchema), v.object({ matrix: matrixSchema })),
};
