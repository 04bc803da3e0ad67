/** What may stand where a JID is taken; the server resolves it. */
import * as v from "valibot";

export const SELECTORS_MAX = 10_000;
/** A JID, or the id of a matrix or a tag. */
export const idSchema = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(2 ** 30 - 1));

export const selectorSchema = v.variant("kind", [
  v.object({ kind: v.literal("last") }),
  /** A job, or the id of a matrix or a tag, which stands for all its jobs. */
  v.object({ kind: v.literal("id"), id: idSchema }),
  /** Inclusive; ids in it that are no jobs are passed over. */
  v.object({ kind: v.literal("range"), first: idSchema, last: idSchema }),
]);
export type Selector = v.InferOutput<typeof selectorSchema>;
export const selectorsSchema = v.pipe(v.array(selectorSchema), v.maxLength(SELECTORS_MAX));
