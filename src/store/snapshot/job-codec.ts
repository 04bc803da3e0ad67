/**
 * A job as a table: what is its own first, then the fields that its state has. Waiting and held jobs that
 * follow one another and differ in nothing but their number, a matrix of 100,000 for instance, are one table
 * with `count`: ids and cells rise by one from `jid` and `cell`.
 */
import * as v from "valibot";
import type { CopiedResults, Job, JobSpec, JobState, Run, RunnerKind, Step, StopRequest } from "../../core/job.ts";
import { decodeProblem, encodeProblem, problemSchema } from "./problem-codec.ts";
import { integer, mapNullable, optionalField, type TomlTable, type TomlValue, table, time, toDate } from "./scalar-codec.ts";

const common = {
  jid: integer,
  count: v.optional(v.pipe(integer, v.minValue(1)), 1),
  spec: integer,
  matrix: optionalField(integer),
  cell: optionalField(integer),
  tag: optionalField(integer),
  attempt: v.optional(integer, 1),
  retry_of: optionalField(integer),
  retried_by: optionalField(integer),
  timeout_seconds: optionalField(integer),
  created: time,
};
/** How far a setup job is: its logs so far, and which command is next or under way. */
const step = {
  command: optionalField(integer),
  first_started: optionalField(time),
  earlier_logs: v.optional(v.array(v.strictTuple([v.string(), v.string()])), []),
};
const place = {
  ...step,
  runner: optionalField(v.picklist(["driver", "local", "ssh"])),
  run_root: optionalField(v.string()),
  run_boot: optionalField(v.string()),
  machine_boot: optionalField(v.string()),
};
const run = { run: v.string(), machine: v.string(), log: v.string(), err_log: v.string(), ...place };
const stop = optionalField(
  v.strictObject({ cause: v.picklist(["user", "timeout", "machine-removed"]), at: time, forget: v.optional(v.boolean(), false) }),
);
const prefixes = v.array(v.string());
const results = optionalField(
  v.strictObject({
    path: v.string(),
    file_count: integer,
    bytes: integer,
    record: v.string(),
    files: optionalField(v.array(v.strictObject({ path: v.string(), bytes: integer, sha256: v.string() }))),
  }),
);

export const jobSchema = v.variant("state", [
  v.strictObject({
    ...common,
    state: v.literal("waiting"),
    since: time,
    ...step,
    not_before: optionalField(time),
    problem: optionalField(problemSchema),
  }),
  v.strictObject({ ...common, ...step, state: v.literal("held"), since: time }),
  v.strictObject({ ...common, ...run, state: v.literal("starting"), since: time, stop, boot: optionalField(v.string()) }),
  v.strictObject({ ...common, ...run, state: v.literal("running"), started: time, stop }),
  v.strictObject({ ...common, ...run, state: v.literal("copying"), started: time, exited: time, prefixes }),
  v.strictObject({
    ...common,
    ...run,
    state: v.literal("done"),
    started: time,
    ended: time,
    prefixes,
    results,
    warning: optionalField(problemSchema),
  }),
  v.strictObject({
    ...common,
    ...run,
    state: v.literal("failed"),
    started: time,
    ended: time,
    exit_code: integer,
    prefixes,
    results_not_copied: v.optional(v.boolean(), false),
    problem: problemSchema,
  }),
  v.strictObject({
    ...common,
    state: v.literal("canceled"),
    run: optionalField(v.string()),
    machine: optionalField(v.string()),
    log: optionalField(v.string()),
    err_log: optionalField(v.string()),
    ...place,
    started: optionalField(time),
    ended: time,
    exit_code: optionalField(integer),
    problem: problemSchema,
  }),
  v.strictObject({
    ...common,
    ...run,
    state: v.literal("unknown"),
    started: optionalField(time),
    since: time,
    holds_machine: v.boolean(),
    stop,
    problem: problemSchema,
  }),
]);

type JobTable = v.InferOutput<typeof jobSchema>;

/** So that making one table takes no longer than a millisecond or two. */
const JOBS_PER_TABLE_MAX = 10_000;

/** Tables of consecutive jobs, in ascending order of their ids. */
export function* encodeJobs(jobs: Iterable<Job>, specNumber: (spec: JobSpec) => number): Generator<TomlTable> {
  let group: { readonly first: Job; readonly spec: number; count: number } | null = null;
  for (const job of jobs) {
    const spec = specNumber(job.spec);
    if (group !== null && group.spec === spec && group.count < JOBS_PER_TABLE_MAX && continues(group.first, group.count, job)) {
      group.count++;
      continue;
    }
    if (group !== null) yield encodeGroup(group.first, group.spec, group.count);
    group = { first: job, spec, count: 1 };
  }
  if (group !== null) yield encodeGroup(group.first, group.spec, group.count);
}

/** @param spec what `spec` of the table names */
export function* decodeJobs(fields: JobTable, spec: JobSpec): Generator<Job> {
  const state = decodeState(fields);
  for (let index = 0; index < fields.count; index++) {
    yield {
      jid: fields.jid + index,
      spec,
      matrix: fields.matrix === null ? null : { id: fields.matrix, cell: (fields.cell ?? 0) + index },
      tag: fields.tag,
      attempt: fields.attempt,
      retryOf: fields.retry_of,
      retriedBy: fields.retried_by,
      timeoutSeconds: fields.timeout_seconds,
      created: fields.created,
      state,
    };
  }
}

function continues(first: Job, count: number, next: Job): boolean {
  return (
    next.jid === first.jid + count &&
    isPlain(first) &&
    isPlain(next) &&
    first.state.kind === next.state.kind &&
    first.state.since === next.state.since &&
    first.created === next.created &&
    first.tag === next.tag &&
    first.timeoutSeconds === next.timeoutSeconds &&
    first.attempt === next.attempt &&
    (first.matrix === null
      ? next.matrix === null
      : next.matrix !== null && next.matrix.id === first.matrix.id && next.matrix.cell === first.matrix.cell + count)
  );
}

/** As it was queued: nothing in it but what its neighbours can share. */
function isPlain(job: Job): job is Job & { readonly state: { readonly kind: "waiting" | "held"; readonly since: number } } {
  if (job.retryOf !== null || job.retriedBy !== null || ("step" in job.state && job.state.step !== undefined)) return false;
  return job.state.kind === "held" || (job.state.kind === "waiting" && job.state.notBefore === null && job.state.problem === null);
}

function encodeGroup(job: Job, spec: number, count: number): TomlTable {
  return table({
    jid: job.jid,
    count: count === 1 ? null : count,
    spec,
    matrix: job.matrix?.id ?? null,
    cell: job.matrix?.cell ?? null,
    tag: job.tag,
    attempt: job.attempt === 1 ? null : job.attempt,
    retry_of: job.retryOf,
    retried_by: job.retriedBy,
    timeout_seconds: job.timeoutSeconds,
    created: toDate(job.created),
    state: job.state.kind,
    ...encodeState(job.state),
  });
}

function encodeState(state: JobState): Record<string, TomlValue | null> {
  switch (state.kind) {
    case "waiting":
      return {
        since: toDate(state.since),
        ...encodeStep(state.step),
        not_before: mapNullable(state.notBefore, toDate),
        problem: mapNullable(state.problem, encodeProblem),
      };
    case "held":
      return { since: toDate(state.since), ...encodeStep(state.step) };
    case "starting":
      return {
        ...encodeRun(state.run),
        since: toDate(state.since),
        stop: mapNullable(state.stop, encodeStop),
        boot: state.bootId,
      };
    case "running":
      return { ...encodeRun(state.run), started: toDate(state.startedAt), stop: mapNullable(state.stop, encodeStop) };
    case "copying":
      return { ...encodeRun(state.run), started: toDate(state.startedAt), exited: toDate(state.exitedAt), prefixes: state.prefixes };
    case "done":
      return {
        ...encodeRun(state.run),
        started: toDate(state.startedAt),
        ended: toDate(state.endedAt),
        prefixes: state.prefixes,
        results: mapNullable(state.results, encodeResults),
        warning: mapNullable(state.warning, encodeProblem),
      };
    case "failed":
      return {
        ...encodeRun(state.run),
        started: toDate(state.startedAt),
        ended: toDate(state.endedAt),
        exit_code: state.exitCode,
        prefixes: state.prefixes,
        results_not_copied: state.resultsNotCopied ? true : null,
        problem: encodeProblem(state.problem),
      };
    case "canceled":
      return {
        ...(state.run === null ? encodeStep(state.step) : encodeRun(state.run)),
        started: mapNullable(state.startedAt, toDate),
        ended: toDate(state.endedAt),
        exit_code: state.exitCode,
        problem: encodeProblem(state.problem),
      };
    case "unknown":
      return {
        ...encodeRun(state.run),
        started: mapNullable(state.startedAt, toDate),
        since: toDate(state.since),
        holds_machine: state.holdsMachine,
        stop: mapNullable(state.stop, encodeStop),
        problem: encodeProblem(state.problem),
      };
  }
}

function decodeState(fields: JobTable): JobState {
  switch (fields.state) {
    case "waiting":
      return {
        kind: "waiting",
        since: fields.since,
        ...decodeStep(fields),
        notBefore: fields.not_before,
        problem: mapNullable(fields.problem, decodeProblem),
      };
    case "held":
      return { kind: "held", since: fields.since, ...decodeStep(fields) };
    case "starting":
      return { kind: "starting", run: decodeRun(fields), since: fields.since, stop: fields.stop, bootId: fields.boot };
    case "running":
      return { kind: "running", run: decodeRun(fields), startedAt: fields.started, stop: fields.stop };
    case "copying":
      return {
        kind: "copying",
        run: decodeRun(fields),
        startedAt: fields.started,
        exitedAt: fields.exited,
        prefixes: fields.prefixes,
      };
    case "done":
      return {
        kind: "done",
        run: decodeRun(fields),
        startedAt: fields.started,
        endedAt: fields.ended,
        prefixes: fields.prefixes,
        results: mapNullable(fields.results, decodeResults),
        warning: mapNullable(fields.warning, decodeProblem),
      };
    case "failed":
      return {
        kind: "failed",
        run: decodeRun(fields),
        startedAt: fields.started,
        endedAt: fields.ended,
        exitCode: fields.exit_code,
        prefixes: fields.prefixes,
        problem: decodeProblem(fields.problem),
        resultsNotCopied: fields.results_not_copied,
      };
    case "canceled": {
      const { run: runId, machine, log, err_log: errLog } = fields;
      const known = runId !== null && machine !== null && log !== null && errLog !== null;
      return {
        kind: "canceled",
        run: known ? decodeRun({ ...fields, run: runId, machine, log, err_log: errLog }) : null,
        ...(known ? {} : decodeStep(fields)),
        startedAt: fields.started,
        endedAt: fields.ended,
        exitCode: fields.exit_code,
        problem: decodeProblem(fields.problem),
      };
    }
    case "unknown":
      return {
        kind: "unknown",
        run: decodeRun(fields),
        startedAt: fields.started,
        since: fields.since,
        problem: decodeProblem(fields.problem),
        holdsMachine: fields.holds_machine,
        stop: fields.stop,
      };
  }
}

function encodeRun(value: Run): Record<string, TomlValue | null> {
  const { runId, machine, log, errLog, runner = null, runRoot = null, bootId = null, machineBootId = null } = value;
  const boots = { run_boot: bootId, machine_boot: machineBootId };
  return { run: runId, machine, log, err_log: errLog, runner, run_root: runRoot, ...boots, ...encodeStep(value.step) };
}

function encodeStep(value: Step | undefined): Record<string, TomlValue | null> {
  if (value === undefined) return {};
  const { command, startedAt, earlier } = value;
  const logs = earlier.length === 0 ? null : earlier.map(({ log, errLog }) => [log, errLog]);
  return { command, first_started: mapNullable(startedAt, toDate), earlier_logs: logs };
}

interface StepFields {
  readonly command: number | null;
  readonly first_started: number | null;
  readonly earlier_logs: readonly (readonly [string, string])[];
}

function decodeStep({ command, first_started: startedAt, earlier_logs: logs }: StepFields): { readonly step?: Step } {
  if (command === null) return {};
  return { step: { command, startedAt, earlier: logs.map(([log, errLog]) => ({ log, errLog })) } };
}

interface RunFields extends StepFields {
  readonly run: string;
  readonly machine: string;
  readonly log: string;
  readonly err_log: string;
  readonly runner: RunnerKind | null;
  readonly run_root: string | null;
  readonly run_boot: string | null;
  readonly machine_boot: string | null;
}

function decodeRun(fields: RunFields): Run {
  const { run: runId, machine, log, err_log: errLog, runner, run_root: runRoot, run_boot: bootId, machine_boot: machineBootId } = fields;
  const where = {
    ...(runner === null ? {} : { runner }),
    ...(runRoot === null ? {} : { runRoot }),
    ...(bootId === null ? {} : { bootId }),
    ...(machineBootId === null ? {} : { machineBootId }),
  };
  return { runId, machine, ...where, log, errLog, ...decodeStep(fields) };
}

function encodeStop(request: StopRequest): TomlTable {
  return table({ cause: request.cause, at: toDate(request.at), forget: request.forget ? true : null });
}

function encodeResults(copied: CopiedResults): TomlTable {
  const { path, fileCount, bytes, record, files } = copied;
  const listed = mapNullable(files, (list) => list.map((file) => ({ path: file.path, bytes: file.bytes, sha256: file.sha256 })));
  return table({ path, file_count: fileCount, bytes, record, files: listed });
}

function decodeResults(fields: NonNullable<v.InferOutput<typeof results>>): CopiedResults {
  const { path, file_count: fileCount, bytes, record, files } = fields;
  return { path, fileCount, bytes, files, record };
}
