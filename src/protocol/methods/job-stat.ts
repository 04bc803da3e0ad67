/** What `job stat` asks: jobs as a stream without an end in sight, chosen by id, age and outcome. */
import * as v from "valibot";
import { streams } from "../method.ts";
import { selectorSchema, selectorsSchema } from "../selector.ts";
import { jobSchema } from "./job.ts";

export const jobStatMethods = {
  /** The jobs that any of `ids`, `after` and `running` names, ascending, each once. */
  "job.stat": streams(
    v.object({
      ids: selectorsSchema,
      /** This one and all with higher ids. */
      after: v.nullable(selectorSchema),
      running: v.boolean(),
      /** Of these, only those that are done and named results. */
      only_done: v.boolean(),
    }),
    v.array(jobSchema),
    v.object({ missing: v.array(v.number()) }),
  ),
};
