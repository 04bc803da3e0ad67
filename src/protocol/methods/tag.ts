/** What can be asked about tags: groups of jobs made by hand. A job is in one at most. */
import * as v from "valibot";
import { mutates, streams } from "../method.ts";
import { idSchema, selectorsSchema } from "../selector.ts";
import { countsSchema, jobChanges, jobSchema } from "./job.ts";

const tagSchema = v.object({ id: v.number(), created: v.string(), counts: countsSchema });
export type WireTag = v.InferOutput<typeof tagSchema>;

export const tagMethods = {
  "tag.new": mutates(v.object({}), v.object({ id: v.number() })),
  /** Puts jobs in a tag, out of the one they were in. */
  "tag.set": mutates(v.object({ ids: selectorsSchema, tag: idSchema }), jobChanges),
  "tag.unset": mutates(v.object({ ids: selectorsSchema }), jobChanges),
  /** All jobs of it, ascending, in chunks; then the tag. */
  "tag.list": streams(v.object({ id: idSchema }), v.array(jobSchema), v.object({ tag: tagSchema })),
  /** All tags, ascending. */
  "tag.all": streams(v.object({}), v.array(tagSchema), v.object({})),
};
