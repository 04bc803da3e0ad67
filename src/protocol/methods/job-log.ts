/** What a pager needs to know of a log that is on the server's host only. */
import * as v from "valibot";
import { reads } from "../method.ts";
import { idSchema } from "../selector.ts";

export const jobLogMethods = {
  /** How many bytes `job.follow` from the beginning is sure to send by now; null for what is kept compressed: it sends all, and ends. */
  "job.log-size": reads(v.object({ jid: idSchema, stream: v.picklist(["stdout", "stderr"]) }), v.object({ bytes: v.nullable(v.number()) })),
};
