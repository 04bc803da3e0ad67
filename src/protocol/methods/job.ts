/** What can be asked about jobs, and the shapes they are sent in. Rules about jobs are in core/. */
import * as v from "valibot";
import { mutates, reads, streams } from "../method.ts";
import { problemSchema } from "../problem.ts";
import { idSchema, selectorsSchema } from "../selector.ts";

export const COMMAND_BYTES_MAX = 65_536;
export const JOBS_A_REQUEST_MAX = 200_000;

export const className = v.pipe(v.string(), v.minLength(1), v.maxLength(100));
export const command = v.pipe(v.string(), v.minLength(1), v.maxBytes(COMMAND_BYTES_MAX));
export const copyTo = v.nullable(v.pipe(v.string(), v.minLength(1), v.maxBytes(4_096)));
export const timeoutSeconds = v.nullable(v.pipe(v.number(), v.minValue(1), v.maxValue(365 * 86_400)));
export const retry = v.nullable(v.object({ max_failures: v.nullable(v.pipe(v.number(), v.integer(), v.minValue(1))) }));
export const count = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(JOBS_A_REQUEST_MAX));

export const jobStatus = v.picklist(["waiting", "held", "running", "copying", "done", "failed", "canceled", "unknown"]);
export type JobStatus = v.InferOutput<typeof jobStatus>;

export const countsSchema = v.object({
  waiting: v.number(),
  held: v.number(),
  running: v.number(),
  copying: v.number(),
  done: v.number(),
  failed: v.number(),
  canceled: v.number(),
  unknown: v.number(),
});
export type WireCounts = v.InferOutput<typeof countsSchema>;

/** The keys of cli.md; `error` and `warning` are worded by the client. */
export const jobSchema = v.object({
  jid: v.number(),
  kind: v.picklist(["job", "setup"]),
  status: jobStatus,
  class: v.string(),
  cmd: v.string(),
  cmds: v.nullable(v.array(v.string())),
  command_line: v.string(),
  machine: v.nullable(v.string()),
  matrix: v.nullable(v.number()),
  tag: v.nullable(v.number()),
  attempt: v.number(),
  retry_of: v.nullable(v.number()),
  retried_by: v.nullable(v.number()),
  variables: v.record(v.string(), v.string()),
  cp_results: v.nullable(v.string()),
  results: v.array(v.string()),
  results_path: v.nullable(v.string()),
  files: v.nullable(v.array(v.object({ path: v.string(), bytes: v.number(), sha256: v.string() }))),
  exit_code: v.nullable(v.number()),
  signal: v.nullable(v.string()),
  error: v.nullable(problemSchema),
  warning: v.nullable(problemSchema),
  log: v.nullable(v.string()),
  err_log: v.nullable(v.string()),
  /** Of a setup job only: the logs of the commands that have begun, in the order of `cmds`. */
  cmd_logs: v.optional(v.array(v.object({ log: v.string(), err_log: v.string() }))),
  timeout: v.nullable(v.number()),
  notify: v.boolean(),
  created: v.string(),
  started: v.nullable(v.string()),
  ended: v.nullable(v.string()),
  /** Seconds, up to now while it runs. */
  duration: v.nullable(v.number()),
});
export type WireJob = v.InferOutput<typeof jobSchema>;

/** One line of a listing: a job, or the jobs of a matrix that need no line of their own. */
export const rowSchema = v.variant("kind", [
  v.object({ kind: v.literal("job"), job: jobSchema }),
  v.object({
    kind: v.literal("matrix"),
    id: v.number(),
    class: v.string(),
    cmd: v.string(),
    /** Ids of the collapsed jobs: lowest and highest. */
    first: v.number(),
    last: v.number(),
    counts: countsSchema,
  }),
]);
export type WireRow = v.InferOutput<typeof rowSchema>;

export const warningSchema = v.object({ code: v.string(), data: v.record(v.string(), v.string()) });
/** `failed`: ids refused, with the code; the rest was done. */
export const jobChanges = v.object({ done: v.array(v.number()), failed: v.array(v.object({ id: v.number(), code: v.string() })) });
export type JobChanges = v.InferOutput<typeof jobChanges>;

const afterSchema = v.pipe(v.number(), v.integer(), v.minValue(-1));

export const jobMethods = {
  "job.add": mutates(
    v.object({
      class: className,
      cmd: command,
      cp_results: copyTo,
      count,
      retry,
      timeout: timeoutSeconds,
      tag: v.nullable(idSchema),
      notify: v.boolean(),
    }),
    /** The ids are first … first + count - 1. Warnings: "class-empty", "placeholder-undefined", "results-…". */
    v.object({ first: v.number(), count: v.number(), warnings: v.array(warningSchema) }),
  ),
  /** Rows come in chunks, so that a listing of any length fits the frames. */
  "job.list": streams(
    v.object({
      /** Empty: the last `limit` rows and all that run. */
      ids: selectorsSchema,
      limit: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(1_000_000)),
      /** All from the highest id given on. */
      all: v.boolean(),
      running: v.boolean(),
      /** Matrices as one row each. */
      collapse: v.boolean(),
    }),
    v.array(rowSchema),
    v.object({
      counts: countsSchema,
      missing: v.array(v.number()),
      /** A line stands after this job. */
      line: v.optional(v.nullable(v.number())),
      /** By the server's clock: how long a job has waited is counted up to it. */
      now: v.optional(v.string()),
    }),
  ),
  "job.show": reads(
    /** With `after`, from -1, as many as make a page, above that id and ascending; without, all of them or none. */
    v.object({ ids: selectorsSchema, after: v.optional(afterSchema) }),
    v.object({ jobs: v.array(jobSchema), missing: v.array(v.number()), more: v.optional(v.boolean()) }),
  ),
  /** Cancels; `forget` also removes from the records. */
  "job.cancel": mutates(
    v.object({ ids: selectorsSchema, forget: v.boolean() }),
    v.object({
      ...jobChanges.entries,
      /** Of `done` those whose processes are being stopped: they end when that is proven. */
      stopping: v.optional(v.array(v.number())),
      /** Of `stopping` those on machines that do not answer: asked again, they are ended without proof. */
      unreachable: v.optional(v.array(v.object({ jid: v.number(), machine: v.string() }))),
    }),
  ),
  "job.hold": mutates(v.object({ ids: selectorsSchema }), jobChanges),
  "job.unhold": mutates(v.object({ ids: selectorsSchema }), jobChanges),
  "job.logs": reads(
    v.object({ ids: selectorsSchema, running: v.boolean() }),
    v.object({
      logs: v.array(
        v.object({
          jid: v.number(),
          status: jobStatus,
          /** Of a setup job, from 1: it has an entry for each command that has begun. */
          command: v.optional(v.number()),
          log: v.nullable(v.string()),
          err_log: v.nullable(v.string()),
          /** One that is null was deleted by [retention]. */
          expired: v.optional(v.boolean()),
        }),
      ),
      missing: v.array(v.number()),
    }),
  ),
  /** The bytes of a log from the last `tail_bytes` on, until the job has ended. */
  "job.follow": streams(
    v.object({
      jid: idSchema,
      stream: v.picklist(["stdout", "stderr"]),
      tail_bytes: v.nullable(v.pipe(v.number(), v.integer(), v.minValue(0))),
    }),
    v.instance(Uint8Array),
    v.object({ status: jobStatus }),
  ),
  /** Answers when all have ended, retries included, or the time is up. */
  "job.wait": reads(
    v.object({
      ids: selectorsSchema,
      timeout: v.nullable(v.pipe(v.number(), v.finite(), v.minValue(0))),
      after: v.optional(afterSchema),
    }),
    /**
     * As many jobs as fit, those that are not done first to be kept; `omitted`: how many did not fit. With `after` those
     * above that id, ascending, as many as make a page; `omitted` are those above them.
     */
    v.object({ timed_out: v.boolean(), jobs: v.array(jobSchema), omitted: v.optional(v.number()), missing: v.array(v.number()) }),
  ),
  /** Why it does not run: facts, in the order of weight. */
  "job.why": reads(
    v.object({ ids: selectorsSchema }),
    v.object({
      answers: v.array(
        v.object({
          jid: v.number(),
          status: jobStatus,
          reasons: v.array(v.object({ code: v.string(), data: v.record(v.string(), v.string()) })),
        }),
      ),
      missing: v.array(v.number()),
    }),
  ),
  /** A change of any job or machine: what listings and live views are drawn from. */
  "events.follow": streams(
    v.object({}),
    v.variant("kind", [
      v.object({ kind: v.literal("job"), job: jobSchema }),
      v.object({ kind: v.literal("counts"), counts: countsSchema }),
      /** The reader was too slow and events were dropped: list again. */
      v.object({ kind: v.literal("gap") }),
    ]),
    v.object({}),
  ),
};
