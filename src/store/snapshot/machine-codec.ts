/** A machine as a table. Which machines are free in which order follows from it and is not stored. */
import * as v from "valibot";
import type { Assignment, CountedFailure, Health, Machine, QuarantineReason } from "../../core/machine.ts";
import { decodeProblem, encodeProblem, problemSchema } from "./problem-codec.ts";
import { integer, type TomlTable, table, time, toDate } from "./scalar-codec.ts";

const failure = v.pipe(
  v.strictObject({ jid: integer, at: time, exit_code: integer, template: v.optional(v.string()), rendered: v.optional(v.string()) }),
  v.transform(({ jid, at, exit_code, template, rendered }): CountedFailure => {
    const command = template === undefined ? {} : { command: { template, rendered: rendered ?? null } };
    return { jid, at, exitCode: exit_code, ...command };
  }),
);
const assignment = v.variant("kind", [
  v.strictObject({ kind: v.literal("free"), since: time, order: integer }),
  v.strictObject({ kind: v.literal("busy"), since: time, jid: integer }),
  v.strictObject({ kind: v.literal("leaving"), since: time, jid: integer }),
]);
const health = v.variant("kind", [
  v.strictObject({ kind: v.literal("ok") }),
  v.strictObject({ kind: v.literal("unreachable"), since: time, problem: problemSchema }),
  v.strictObject({
    kind: v.literal("quarantined"),
    since: time,
    problem: v.optional(problemSchema),
    failures: v.optional(v.array(failure)),
  }),
]);

export const machineSchema = v.pipe(
  v.strictObject({
    slot: integer,
    addr: v.string(),
    class: v.string(),
    assignment,
    health: v.optional(health, { kind: "ok" }),
    failures: v.optional(v.array(failure), []),
  }),
  v.transform((fields): Machine => ({ ...fields, health: decodeHealth(fields.health) })),
);

export function encodeMachine(machine: Machine): TomlTable {
  return table({
    slot: machine.slot,
    addr: machine.addr,
    class: machine.class,
    assignment: encodeAssignment(machine.assignment),
    health: encodeHealth(machine.health),
    failures: machine.failures.length === 0 ? null : machine.failures.map(encodeFailure),
  });
}

function encodeAssignment(value: Assignment): TomlTable {
  switch (value.kind) {
    case "free":
      return { kind: value.kind, since: toDate(value.since), order: value.order };
    case "busy":
    case "leaving":
      return { kind: value.kind, since: toDate(value.since), jid: value.jid };
  }
}

function encodeHealth(value: Health): TomlTable | null {
  switch (value.kind) {
    case "ok":
      return null;
    case "unreachable":
      return { kind: value.kind, since: toDate(value.since), problem: encodeProblem(value.problem) };
    case "quarantined":
      return { kind: value.kind, since: toDate(value.since), ...encodeReason(value.reason) };
  }
}

function encodeReason(reason: QuarantineReason): TomlTable {
  switch (reason.kind) {
    case "failures":
      return { failures: reason.failures.map(encodeFailure) };
    case "problem":
      return { problem: encodeProblem(reason.problem) };
  }
}

function decodeHealth(fields: v.InferOutput<typeof health>): Health {
  switch (fields.kind) {
    case "ok":
      return { kind: "ok" };
    case "unreachable":
      return { kind: "unreachable", since: fields.since, problem: decodeProblem(fields.problem) };
    case "quarantined": {
      const reason: QuarantineReason =
        fields.problem === undefined
          ? { kind: "failures", failures: fields.failures ?? [] }
          : { kind: "problem", problem: decodeProblem(fields.problem) };
      return { kind: "quarantined", since: fields.since, reason };
    }
  }
}

function encodeFailure(value: CountedFailure): TomlTable {
  const { jid, at, exitCode, command } = value;
  return table({ jid, at: toDate(at), exit_code: exitCode, template: command?.template ?? null, rendered: command?.rendered ?? null });
}
