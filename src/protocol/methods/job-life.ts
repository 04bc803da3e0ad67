/** What can be asked of jobs that are there already: queue them again, give them another time, mark a place in listings. */
import * as v from "valibot";
import { mutates, reads } from "../method.ts";
import { idSchema, selectorSchema, selectorsSchema } from "../selector.ts";
import { className, command, copyTo, count, jobChanges, timeoutSeconds, warningSchema } from "./job.ts";
import { matrixKeys } from "./matrix.ts";

const again = v.object({
  ids: selectorsSchema,
  /** Of each, one after the other. */
  count,
});
/** In the order of the jobs, the ids are first … first + count - 1. `missing`: ids that name nothing. */
const queuedAgain = { first: v.number(), count: v.number(), missing: v.array(v.number()), warnings: v.array(warningSchema) };
/** As it would be queued now, secrets masked. */
const previewLine = v.object({ command_line: v.string(), cp_results: v.nullable(v.string()) });

export const jobLifeMethods = {
  /** Of a set each cell once: the last attempt stands for those before it. */
  "job.clone": mutates(again, v.object(queuedAgain)),
  /** Cancels what has not ended, then clones. `stopping`: how many end only when their processes have. */
  "job.restart": mutates(again, v.object({ ...queuedAgain, stopping: v.number() })),
  /** null: none. One that is shorter than what has passed stops the job. */
  "job.set_timeout": mutates(v.object({ ids: selectorsSchema, timeout: timeoutSeconds }), jobChanges),
  /** Listings draw a line after this job, or after all jobs of this matrix or tag; null: no line. Answers with the job. */
  "job.line": mutates(v.object({ after: v.nullable(selectorSchema) }), v.object({ line: v.nullable(v.number()) })),
  /** What `job.add`, or with keys `matrix.add`, would queue; nothing is. */
  "job.preview": reads(
    v.object({
      class: className,
      cmd: command,
      cp_results: copyTo,
      /** Empty: no matrix. */
      keys: matrixKeys,
      count,
      tag: v.nullable(idSchema),
    }),
    v.object({ count: v.number(), first: previewLine, last: previewLine, warnings: v.array(warningSchema) }),
  ),
};
