/** A problem of a job or machine as it is sent: a code with data, worded by the client. */
import * as v from "valibot";

export const problemSchema = v.object({
  code: v.string(),
  data: v.record(v.string(), v.string()),
});
export type WireProblem = v.InferOutput<typeof problemSchema>;
