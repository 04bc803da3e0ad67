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
import { IntMap } from "../../core/int-map.ts";
import type { Job, JobSpec } from "../../core/job.ts";
import type { State, Variable } from "../../core/state.ts";
import { TextMap } from "../../core/text-map.ts";
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

/** All but the arrays of tables. */
const headSchema = v.strictObject({
  format: v.literal(SNAPSHOT_FORMAT),
  sequence: integer,
  next_id: integer,
  next_slot: integer,
  next_free_order: integer,
  line: optionalField(integer),
  counts: countsSchema,
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
  const decoder = new StateDecoder();
  const reason = decoder.take(content);
  return reason === null ? decoder.finish(footer) : { kind: "bad", reason };
}

/** Decodes a document part by part; specs must come before the jobs that name them, or with them. */
export class StateDecoder {
  private readonly head: Record<string, unknown> = {};
  private readonly machines: v.InferOutput<typeof machineSchema>[] = [];
  private readonly variables: Variable[] = [];
  private readonly matrices: v.InferOutput<typeof matrixSchema>[] = [];
  private readonly tags: v.InferOutput<typeof tagSchema>[] = [];
  private readonly templates: v.InferOutput<typeof templateSchema>[] = [];
  private readonly commands: v.InferOutput<typeof commandSchema>[] = [];
  private readonly requests: v.InferOutput<typeof requestSchema>[] = [];
  private readonly specs = new Map<number, JobSpec>();
  private jobs = IntMap.empty<Job>();

  /** @returns what is wrong with it, or null */
  take(content: Readonly<Record<string, unknown>>): string | null {
    const { machines, variables, matrices, tags, templates, commands, requests, jobs, specs, ...head } = content;
    Object.assign(this.head, head);
    return (
      eachRow({ name: "specs", tables: specs, schema: specSchema }, ({ id, spec }) => void this.specs.set(id, spec)) ??
      eachRow({ name: "machines", tables: machines, schema: machineSchema }, (row) => void this.machines.push(row)) ??
      eachRow({ name: "variables", tables: variables, schema: variableSchema }, (row) => void this.variables.push(row)) ??
      eachRow({ name: "matrices", tables: matrices, schema: matrixSchema }, (row) => void this.matrices.push(row)) ??
      eachRow({ name: "tags", tables: tags, schema: tagSchema }, (row) => void this.tags.push(row)) ??
      eachRow({ name: "templates", tables: templates, schema: templateSchema }, (row) => void this.templates.push(row)) ??
      eachRow({ name: "commands", tables: commands, schema: commandSchema }, (row) => void this.commands.push(row)) ??
      eachRow({ name: "requests", tables: requests, schema: requestSchema }, (row) => void this.requests.push(row)) ??
      this.takeJobs(jobs)
    );
  }

  finish(footer: Footer): StateReading {
    const parsed = v.safeParse(headSchema, this.head, { abortEarly: true });
    if (!parsed.success) return { kind: "bad", reason: issueText(parsed.issues[0]) };
    const fields = parsed.output;
    if (fields.sequence !== footer.sequence) return { kind: "bad", reason: "sequence: not that of the footer" };
    if (this.jobs.size !== footer.jobs) return { kind: "bad", reason: "jobs: not as many as the footer says" };
    const machines = IntMap.from(this.machines.map((machine) => [machine.slot, machine] as const));
    const state: State = {
      nextId: fields.next_id,
      nextSlot: fields.next_slot,
      nextFreeOrder: fields.next_free_order,
      counts: fields.counts,
      machines,
      jobs: this.jobs,
      matrices: IntMap.from(this.matrices.map((matrix) => [matrix.id, matrix] as const)),
      tags: IntMap.from(this.tags.map((tag) => [tag.id, tag] as const)),
      variables: TextMap.from(this.variables.map((variable) => [variable.name, variable] as const)),
      templates: TextMap.from(
        this.templates.map((record) => [record.cmd, { succeededOn: record.succeeded_on, failedOn: record.failed_on }] as const),
      ),
      commands: TextMap.from(
        this.commands.map(
          ({ key, jid, succeeded_on, failed_on }) => [key, { jid, succeededOn: succeeded_on, failedOn: failed_on }] as const,
        ),
      ),
      line: fields.line,
      requests: TextMap.from(this.requests.map((request) => [request.id, request] as const)),
      ...rebuildIndexes(this.jobs, machines),
    };
    return { kind: "state", state };
  }

  private takeJobs(tables: unknown): string | null {
    const found: (readonly [number, Job])[] = [];
    let wrong: string | null = null;
    let last = this.jobs.lastKey();
    const reason = eachRow({ name: "jobs", tables, schema: jobSchema }, (fields) => {
      const spec = this.specs.get(fields.spec);
      if (spec === undefined) wrong ??= `jobs: job ${fields.jid} names spec ${fields.spec}, which is not there`;
      else if (fields.jid <= last) wrong ??= `jobs: job ${fields.jid} is there twice, or not in its place`;
      else for (const job of decodeJobs(fields, spec)) found.push([job.jid, job]);
      last = found.at(-1)?.[0] ?? last;
    });
    this.jobs = this.jobs.setAll(found);
    return reason ?? wrong;
  }
}

interface Rows<Schema extends v.GenericSchema> {
  readonly name: string;
  /** As parsed; undefined: there are none. */
  readonly tables: unknown;
  readonly schema: Schema;
}

/** @returns what is wrong with the first that is wrong, or null */
function eachRow<Schema extends v.GenericSchema>(rows: Rows<Schema>, take: (row: v.InferOutput<Schema>) => void): string | null {
  const { name, tables, schema } = rows;
  if (tables === undefined) return null;
  if (!Array.isArray(tables)) return `${name}: not an array of tables`;
  for (const [index, table] of tables.entries()) {
    const parsed = v.safeParse(schema, table, { abortEarly: true });
    if (!parsed.success) return `${name}.${index}.${issueText(parsed.issues[0])}`;
    take(parsed.output);
  }
  return null;
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
