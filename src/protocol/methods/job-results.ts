/** What can be asked about the results of jobs that have ended. */
import * as v from "valibot";
import { streams } from "../method.ts";
import { problemSchema } from "../problem.ts";
import { selectorsSchema } from "../selector.ts";
import { warningSchema } from "./job.ts";

/** What became of one job. */
export const takenSchema = v.object({
  jid: v.number(),
  /** On the server's host, where they are in `to`; null: there are none. */
  results_path: v.nullable(v.string()),
  log: v.nullable(v.string()),
  err_log: v.nullable(v.string()),
  /** Results, without logs. */
  files: v.number(),
  bytes: v.number(),
  /** What could not be done; the rest was. */
  problems: v.array(problemSchema),
  /** How many problems there are, when it is more than are told. */
  problem_count: v.number(),
  /** What should be known of those that were taken. */
  warnings: v.array(problemSchema),
});
export type WireTaken = v.InferOutput<typeof takenSchema>;

export const jobResultsMethods = {
  /** Copies or moves results and logs of ended jobs to `to`, and fetches what was never copied. One chunk a job, as it is done. */
  "job.take-results": streams(
    v.object({
      ids: selectorsSchema,
      /** Absolute, may hold placeholders. */
      to: v.pipe(v.string(), v.minLength(1), v.maxBytes(4_096)),
      mode: v.picklist(["copy", "move"]),
    }),
    takenSchema,
    v.object({
      missing: v.array(v.number()),
      /** Named one by one, and refused. */
      failed: v.array(v.object({ id: v.number(), code: v.string() })),
      /** Of sets that were named, those that have not ended. */
      not_ended: v.array(v.number()),
      /** "placeholder-undefined". */
      warnings: v.array(warningSchema),
    }),
  ),
};
