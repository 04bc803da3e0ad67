/**
 * The whole state as TOML. The document, format 1, in this order (specs come after the jobs, because which
 * there are is known only then):
 *
 *   format, sequence       of the file, and of the last journal record that is in it
 *   next_id, next_slot, next_free_order, [counts]
 *   [[machines]]           machine-codec.ts
 *   [[variables]]          name and value; a secret one has `secret = true` and no value
 *   [[matrices]], [[tags]] matrix-codec.ts; ids of their jobs as ranges, jobs of the past included
 *   line                   listings draw a line after this job; left out when there is none
 *   [[templates]]          on which machines a command succeeded or failed
 *   [[commands]]           the same of a single command, by a hash of it with its variables put in
 *   [[requests]]           request-codec.ts
 *   [[jobs]]               job-codec.ts: the live ones, and ended ones that no history block has yet
 *   [[specs]]              spec-codec.ts
 *
 * Decoding is strict: a field that is not known, or of another type, makes the file bad.
 */
import { stringify } from "smol-toml";
import * as v from "valibot";
import type { Job, JobSpec } from "../../core/job.ts";
import { IntMap, TextMap } from "../../core/persistent-map.ts";
import type { State, Variable } from "../../core/state.ts";
import type { Footer } from "./document.ts";
import { rebuildIndexes } from "./indexes.ts";
import { decodeJobs, encodeJobs, jobSchema } from "./job-codec.ts";
import { encodeMachine, machineSchema } from "./machine-codec.ts";
import { countsSchema, encodeCounts, encodeMatrix, encodeTag, matrixSchema, tagSchema } from "./matrix-codec.ts";
import { encodeRequest, requestSchema } from "./request-codec.ts";
import { integer, optionalField, type TomlTable, table } from "./scalar-codec.ts";
import { SpecNumbers, specSchema } from "./spec-codec.ts";

export const SNAPSHOT_FORMAT = 1;
/** Tables made at once: a few milliseconds. */
const TABLES_PER_PIECE = 100;

const HEADER = `# What expjobserver knows, as of the journal record named below. Made for reading too: times are UTC.
# The last line vouches for all before it: an edited copy is refused. Secret values are not in here.
`;

const variableSchema = v.union([
  v.pipe(
    v.strictObject({ name: v.string(), value: v.string() }),
    v.transform(({ name, value }): Variable => ({ kind: "plain", name, value })),
  ),
  v.pipe(
    v.strictObject({ name: v.string(), secret: v.literal(true) }),
    v.transform(({ name }): Variable => ({ kind: "secret", name })),
  ),
]);

const templateSchema = v.strictObject({ cmd: v.string(), succeeded_on: v.array(v.string()), failed_on: v.array(v.string()) });

const commandSchema = v.strictObject({
  key: v.string(),
  jid: integer,
  succeeded_on: v.array(v.string()),
  failed_on: v.array(v.string()),
});

const stateSchema = v.strictObject({
  format: v.literal(SNAPSHOT_FORMAT),
  sequence: integer,
  next_id: integer,
  next_slot: integer,
  next_free_order: integer,
  line: optionalField(integer),
  counts: countsSchema,
  machines: v.optional(v.array(machineSchema), []),
  variables: v.optional(v.array(variableSchema), []),
  matrices: v.optional(v.array(matrixSchema), []),
  tags: v.optional(v.array(tagSchema), []),
  templates: v.optional(v.array(templateSchema), []),
  commands: v.optional(v.array(commandSchema), []),
  requests: v.optional(v.array(requestSchema), []),
  jobs: v.optional(v.array(jobSchema), []),
  specs: v.optional(v.array(specSchema), []),
});

/** The text of a snapshot, piece by piece. */
export function* encodeState(state: State, sequence: number): Generator<string> {
  const { nextId, nextSlot, nextFreeOrder } = state;
  yield HEADER;
  const counters = { format: SNAPSHOT_FORMAT, sequence, next_id: nextId, next_slot: nextSlot, next_free_order: nextFreeOrder };
  yield stringify(table({ ...counters, line: state.line }));
  yield `\n${stringify({ counts: encodeCounts(state.counts) })}`;
  yield* section("machines", mapped(state.machines.values(), encodeMachine));
  yield* section(
    "variables",
    mapped(byText(state.variables), ([, variable]) => encodeVariable(variable)),
  );
  yield* section("matrices", mapped(state.matrices.values(), encodeMatrix));
  yield* section("tags", mapped(state.tags.values(), encodeTag));
  yield* section(
    "templates",
    mapped(
      byText(state.templates),
      ([cmd, { succeededOn, failedOn }]): TomlTable => ({ cmd, succeeded_on: succeededOn, failed_on: failedOn }),
    ),
  );
  yield* section(
    "commands",
    mapped(
      byText(state.commands),
      ([key, { jid, succeededOn, failedOn }]): TomlTable => ({ key, jid, succeeded_on: succeededOn, failed_on: failedOn }),
    ),
  );
  yield* section("requests", mapped(state.requests.values(), encodeRequest));
  const specs = new SpecNumbers();
  yield* section(
    "jobs",
    encodeJobs(state.jobs.values(), (spec) => specs.numberOf(spec)),
  );
  yield* section("specs", specs.tables());
}

export type StateReading = { readonly kind: "state"; readonly state: State } | { readonly kind: "bad"; readonly reason: string };

export function decodeState(content: Readonly<Record<string, unknown>>, footer: Footer): StateReading {
  const parsed = v.safeParse(stateSchema, content, { abortEarly: true });
  if (!parsed.success) return { kind: "bad", reason: issueText(parsed.issues[0]) };
  const fields = parsed.output;
  if (fields.sequence !== footer.sequence) return { kind: "bad", reason: "sequence: not that of the footer" };
  const decoded = decodeAllJobs(fields.jobs, fields.specs);
  if (typeof decoded === "string") return { kind: "bad", reason: decoded };
  if (decoded.size !== footer.jobs) return { kind: "bad", reason: "jobs: not as many as the footer says" };
  const machines = IntMap.from(fields.machines.map((machine) => [machine.slot, machine] as const));
  const state: State = {
    nextId: fields.next_id,
    nextSlot: fields.next_slot,
    nextFreeOrder: fields.next_free_order,
    counts: fields.counts,
    machines,
    jobs: decoded,
    matrices: IntMap.from(fields.matrices.map((matrix) => [matrix.id, matrix] as const)),
    tags: IntMap.from(fields.tags.map((tag) => [tag.id, tag] as const)),
    variables: TextMap.from(fields.variables.map((variable) => [variable.name, variable] as const)),
    templates: TextMap.from(
      fields.templates.map((record) => [record.cmd, { succeededOn: record.succeeded_on, failedOn: record.failed_on }] as const),
    ),
    commands: TextMap.from(
      fields.commands.map(
        ({ key, jid, succeeded_on, failed_on }) => [key, { jid, succeededOn: succeeded_on, failedOn: failed_on }] as const,
      ),
    ),
    line: fields.line,
    requests: TextMap.from(fields.requests.map((request) => [request.id, request] as const)),
    ...rebuildIndexes(decoded, machines),
  };
  return { kind: "state", state };
}

type JobTables = v.InferOutput<typeof jobSchema>[];
type SpecTables = v.InferOutput<typeof specSchema>[];

/** The jobs of a document, or what is wrong with them. */
export function decodeAllJobs(tables: JobTables, specTables: SpecTables): IntMap<Job> | string {
  const specs = new Map<number, JobSpec>(specTables.map(({ id, spec }) => [id, spec]));
  let jobs = IntMap.empty<Job>();
  for (const fields of tables) {
    const spec = specs.get(fields.spec);
    if (spec === undefined) return `jobs: job ${fields.jid} names spec ${fields.spec}, which is not there`;
    for (const job of decodeJobs(fields, spec)) {
      if (jobs.has(job.jid)) return `jobs: job ${job.jid} is there twice`;
      jobs = jobs.set(job.jid, job);
    }
  }
  return jobs;
}

/** An array of tables, a piece at a time; an empty one after each table, so that the writer can look at its watch. */
export function* section(name: string, tables: Iterable<TomlTable>): Generator<string> {
  let piece: TomlTable[] = [];
  for (const table of tables) {
    piece.push(table);
    if (piece.length < TABLES_PER_PIECE) {
      yield "";
      continue;
    }
    yield `\n${stringify({ [name]: piece })}`;
    piece = [];
  }
  if (piece.length > 0) yield `\n${stringify({ [name]: piece })}`;
}

export function issueText(issue: v.BaseIssue<unknown>): string {
  return `${v.getDotPath(issue) ?? "content"}: ${issue.message}`;
}

function encodeVariable(variable: Variable): TomlTable {
  switch (variable.kind) {
    case "plain":
      return { name: variable.name, value: variable.value };
    case "secret":
      return { name: variable.name, secret: true };
  }
}

function byText<Value>(map: TextMap<Value>): readonly (readonly [string, Value])[] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}

function* mapped<Input>(items: Iterable<Input>, encode: (item: Input) => TomlTable): Generator<TomlTable> {
  for (const item of items) yield encode(item);
}
