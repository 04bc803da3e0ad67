/** What was answered to which request: a client that asks again gets the same. */
import * as v from "valibot";
import type { AnsweredRequest } from "../../core/state.ts";
import { integer, type TomlTable, time, toDate } from "./scalar-codec.ts";

const common = { id: v.string(), at: time };

export const requestSchema = v.pipe(
  v.variant("answer", [
    v.strictObject({ ...common, answer: v.literal("done") }),
    v.strictObject({ ...common, answer: v.literal("jobs"), first: integer, count: integer }),
    v.strictObject({ ...common, answer: v.literal("matrix"), matrix: integer, first: integer, count: integer }),
    v.strictObject({ ...common, answer: v.literal("tag"), tag: integer }),
    v.strictObject({
      ...common,
      answer: v.literal("per-job"),
      failed: v.array(v.strictObject({ jid: integer, code: v.string() })),
    }),
  ]),
  v.transform((fields): AnsweredRequest => {
    const { id, at } = fields;
    switch (fields.answer) {
      case "done":
        return { id, at, answer: { kind: "done" } };
      case "jobs":
        return { id, at, answer: { kind: "jobs", first: fields.first, count: fields.count } };
      case "matrix":
        return { id, at, answer: { kind: "matrix", id: fields.matrix, first: fields.first, count: fields.count } };
      case "tag":
        return { id, at, answer: { kind: "tag", id: fields.tag } };
      case "per-job":
        return { id, at, answer: { kind: "per-job", failed: fields.failed } };
    }
  }),
);

export function encodeRequest(request: AnsweredRequest): TomlTable {
  const { id, answer } = request;
  const at = toDate(request.at);
  switch (answer.kind) {
    case "done":
      return { id, at, answer: answer.kind };
    case "jobs":
      return { id, at, answer: answer.kind, first: answer.first, count: answer.count };
    case "matrix":
      return { id, at, answer: answer.kind, matrix: answer.id, first: answer.first, count: answer.count };
    case "tag":
      return { id, at, answer: answer.kind, tag: answer.id };
    case "per-job":
      return { id, at, answer: answer.kind, failed: answer.failed.map(({ jid, code }) => ({ jid, code })) };
  }
}
