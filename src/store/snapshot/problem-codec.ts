/** A problem as a table: its code, and what its wording needs. */
import * as v from "valibot";
import type { Problem, ProblemCode } from "../../core/problem.ts";
import { type TomlTable, textRecord } from "./scalar-codec.ts";

export const problemSchema = v.strictObject({ code: v.string(), data: v.optional(textRecord, {}) });

export function encodeProblem(problem: Problem): TomlTable {
  return Object.keys(problem.data).length === 0 ? { code: problem.code } : { code: problem.code, data: problem.data };
}

/** A code that this release does not know (it was written by one that did) is kept: it is only ever worded. */
export function decodeProblem(fields: v.InferOutput<typeof problemSchema>): Problem {
  return { code: fields.code as ProblemCode, data: fields.data };
}
