/** What a shell offers when TAB is pressed: names and ids that exist now, the newest first, never more than fits a screen or two. */
import * as v from "valibot";
import { reads } from "../method.ts";

/** Of each kind. */
export const COMPLETIONS_MAX = 200;
export const COMPLETION_COMMAND_MAX = 60;

export const completionKind = v.picklist(["jobs", "matrices", "tags", "machines", "classes", "variables"]);
export type CompletionKind = v.InferOutput<typeof completionKind>;

export const completionSchema = v.object({
  /** `command`: the first 60 characters of the command line, secrets masked. */
  jobs: v.array(v.object({ jid: v.number(), status: v.string(), command: v.string() })),
  matrices: v.array(v.object({ id: v.number(), class: v.string(), command: v.string() })),
  tags: v.array(v.object({ id: v.number() })),
  machines: v.array(v.object({ addr: v.string(), class: v.string(), state: v.string() })),
  classes: v.array(v.object({ name: v.string(), machines: v.number() })),
  variables: v.array(v.object({ name: v.string(), secret: v.boolean() })),
});
export type WireCompletion = v.InferOutput<typeof completionSchema>;

export const completionMethods = {
  /** What was not asked for is empty. */
  "completion.list": reads(v.object({ kinds: v.pipe(v.array(completionKind), v.maxLength(6)) }), completionSchema),
};
