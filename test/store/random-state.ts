/** Random jobs and states for property tests: every variant, awkward texts, ids with gaps. */
import fc from "fast-check";
import { addCounts } from "../../src/core/apply-job.ts";
import { IntMap } from "../../src/core/int-map.ts";
import { FILES_INLINE_MAX, isEnded, type Job, type JobSpec, type JobState, type Run } from "../../src/core/job.ts";
import type { Machine } from "../../src/core/machine.ts";
import type { Problem } from "../../src/core/problem.ts";
import type { AnsweredRequest, State, Variable } from "../../src/core/state.ts";
import { TextMap } from "../../src/core/text-map.ts";
import { rebuildIndexes } from "../../src/store/snapshot/indexes.ts";

const awkward = fc.constantFrom(
  "",
  "constructor",
  'it\'s "x"',
  "a\\b",
  "line\r\nline",
  "\t\u0000\u001b[31m\u007f\u0085",
  "''' \"\"\"",
  "# no comment",
  "日本🧪",
  "true",
  "2026-01-01",
);
const text = fc.oneof(awkward, fc.string({ unit: "binary", maxLength: 40 }), fc.string({ maxLength: 10 }));
const name = fc.oneof(fc.constant("constructor"), fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,8}$/)).filter((it) => it !== "__proto__");
const time = fc.integer({ min: 0, max: 4_102_444_800_000 });
const id = fc.integer({ min: 0, max: 2 ** 29 });
const orNull = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: null });
const table = fc.dictionary(name, text, { maxKeys: 4, noNullPrototype: true });

const problem: fc.Arbitrary<Problem> = fc.record({
  code: fc.constantFrom("unreachable" as const, "nonzero-exit" as const, "results-missing" as const),
  data: table,
});
const step = fc.record({
  command: fc.nat(3),
  startedAt: orNull(time),
  earlier: fc.array(fc.record({ log: text, errLog: text }), { maxLength: 2 }),
});
const run: fc.Arbitrary<Run> = fc.record(
  {
    runId: text,
    machine: text,
    log: text,
    errLog: text,
    runner: fc.constantFrom("driver" as const, "local" as const, "ssh" as const),
    runRoot: text,
    step,
    bootId: text,
    machineBootId: text,
  },
  { requiredKeys: ["runId", "machine", "log", "errLog"] },
);
const stop = orNull(
  fc.record({ cause: fc.constantFrom("user" as const, "timeout" as const, "machine-removed" as const), at: time, forget: fc.boolean() }),
);
const prefixes = fc.array(text, { maxLength: 3 });
const results = fc.record({
  path: text,
  fileCount: fc.nat(),
  bytes: fc.maxSafeNat(),
  record: text,
  files: orNull(fc.array(fc.record({ path: text, bytes: fc.maxSafeNat(), sha256: text }), { maxLength: FILES_INLINE_MAX })),
});

const ended: fc.Arbitrary<JobState> = fc.oneof(
  fc.record({
    kind: fc.constant("done" as const),
    run,
    startedAt: time,
    endedAt: time,
    prefixes,
    results: orNull(results),
    warning: orNull(problem),
  }),
  fc.record({
    kind: fc.constant("failed" as const),
    run,
    startedAt: time,
    endedAt: time,
    exitCode: fc.nat(255),
    prefixes,
    problem,
    resultsNotCopied: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant("canceled" as const),
    run: orNull(run),
    startedAt: orNull(time),
    endedAt: time,
    exitCode: orNull(fc.nat(255)),
    problem,
  }),
  fc.record({
    kind: fc.constant("canceled" as const),
    run: fc.constant(null),
    step,
    startedAt: orNull(time),
    endedAt: time,
    exitCode: fc.constant(null),
    problem,
  }),
);

const live: fc.Arbitrary<JobState> = fc.oneof(
  fc.record({ kind: fc.constant("waiting" as const), since: time, notBefore: orNull(time), problem: orNull(problem) }),
  fc.record({ kind: fc.constant("waiting" as const), since: fc.constant(7), notBefore: fc.constant(null), problem: fc.constant(null) }),
  fc.record({ kind: fc.constant("waiting" as const), since: time, step, notBefore: orNull(time), problem: orNull(problem) }),
  fc.record({ kind: fc.constant("held" as const), since: fc.constantFrom(7, 8) }),
  fc.record({ kind: fc.constant("held" as const), since: fc.constantFrom(7, 8), step }),
  fc.record({ kind: fc.constant("starting" as const), run, since: time, stop, bootId: fc.option(fc.uuid(), { nil: null }) }),
  fc.record({ kind: fc.constant("running" as const), run, startedAt: time, stop }),
  fc.record({ kind: fc.constant("copying" as const), run, startedAt: time, exitedAt: time, prefixes }),
  fc.record({
    kind: fc.constant("unknown" as const),
    run,
    startedAt: orNull(time),
    since: time,
    problem,
    holdsMachine: fc.boolean(),
    stop,
  }),
);

const common = {
  class: name,
  cmd: text,
  copyTo: orNull(text),
  retry: orNull(fc.record({ maxFailures: orNull(fc.nat(100)) })),
  notify: fc.boolean(),
  variables: table,
  secrets: fc.array(name, { maxLength: 2 }),
};
const spec: fc.Arbitrary<JobSpec> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("job" as const), ...common }) },
  fc.record({ kind: fc.constant("setup" as const), ...common, machine: text, cmds: fc.array(text, { minLength: 1, maxLength: 3 }) }),
);

function jobs(state: fc.Arbitrary<JobState>, jid: fc.Arbitrary<number>, maxLength: number): fc.Arbitrary<Job[]> {
  return fc.array(spec, { minLength: 1, maxLength: 3 }).chain((specs) =>
    fc.uniqueArray(
      fc.record({
        jid,
        spec: fc.constantFrom(...specs),
        matrix: orNull(fc.record({ id: fc.constantFrom(1, 2), cell: fc.nat(5) })),
        tag: orNull(fc.constantFrom(3, 4)),
        attempt: fc.constantFrom(1, 1, 2),
        retryOf: orNull(id),
        retriedBy: orNull(id),
        timeoutSeconds: orNull(fc.nat()),
        created: fc.constantFrom(7, 8),
        state,
      }),
      { selector: (job) => job.jid, maxLength },
    ),
  );
}

export const endedJobs = (jid: fc.Arbitrary<number>, maxLength = 20): fc.Arbitrary<Job[]> => jobs(ended, jid, maxLength);

const failures = fc.array(
  fc.record(
    { jid: id, at: time, exitCode: fc.nat(255), command: fc.record({ template: text, rendered: orNull(text) }) },
    { requiredKeys: ["jid", "at", "exitCode"] },
  ),
  { maxLength: 3 },
);

const machine: fc.Arbitrary<Machine> = fc.record({
  slot: id,
  addr: text,
  class: name,
  assignment: fc.oneof(
    fc.record({ kind: fc.constant("free" as const), since: time, order: id }),
    fc.record({ kind: fc.constantFrom("busy" as const, "leaving" as const), since: time, jid: id }),
  ),
  health: fc.oneof(
    fc.constant({ kind: "ok" as const }),
    fc.record({ kind: fc.constant("unreachable" as const), since: time, problem }),
    fc.record({
      kind: fc.constant("quarantined" as const),
      since: time,
      reason: fc.oneof(
        fc.record({ kind: fc.constant("problem" as const), problem }),
        fc.record({
          kind: fc.constant("failures" as const),
          failures,
        }),
      ),
    }),
  ),
  failures,
});

const variable: fc.Arbitrary<Variable> = fc.oneof(
  fc.record({ kind: fc.constant("plain" as const), name, value: text }),
  fc.record({ kind: fc.constant("secret" as const), name }),
);

const request: fc.Arbitrary<AnsweredRequest> = fc.record({
  id: text,
  at: time,
  answer: fc.oneof(
    fc.constant({ kind: "done" as const }),
    fc.record({ kind: fc.constant("jobs" as const), first: id, count: id }),
    fc.record({ kind: fc.constant("matrix" as const), id, first: id, count: id }),
    fc.record({ kind: fc.constant("tag" as const), id }),
    fc.record({ kind: fc.constant("per-job" as const), failed: fc.array(fc.record({ jid: id, code: text }), { maxLength: 3 }) }),
  ),
});

const counts = fc.constant(addCounts([]));
const ranges = fc.array(fc.record({ first: id, last: id }), { maxLength: 3 });
const matrix = fc.record({
  id,
  class: name,
  cmd: text,
  copyTo: orNull(text),
  keys: fc.array(fc.record({ name, values: fc.array(text, { maxLength: 3 }) }), { maxLength: 3 }),
  repeats: fc.nat(9),
  created: time,
  jids: ranges,
  counts,
});

export const state: fc.Arbitrary<State> = fc
  .record({
    nextId: id,
    nextSlot: id,
    nextFreeOrder: id,
    counts,
    jobs: jobs(fc.oneof({ weight: 3, arbitrary: live }, ended), fc.oneof(fc.nat(40), id), 30).map((list) =>
      IntMap.from(list.map((job) => [job.jid, job] as const)),
    ),
    machines: fc
      .uniqueArray(machine, { selector: (item) => item.addr, maxLength: 5 })
      .map((list) => IntMap.from(list.map((item, slot) => [slot, { ...item, slot }] as const))),
    matrices: fc.array(matrix, { maxLength: 3 }).map((list) => IntMap.from(list.map((item) => [item.id, item] as const))),
    tags: fc
      .array(fc.record({ id, created: time, jids: ranges }), { maxLength: 3 })
      .map((list) => IntMap.from(list.map((item) => [item.id, item] as const))),
    variables: fc.array(variable, { maxLength: 4 }).map((list) => TextMap.from(list.map((item) => [item.name, item] as const))),
    line: orNull(id),
    commands: fc
      .dictionary(text, fc.record({ jid: id, succeededOn: fc.array(text, { maxLength: 3 }), failedOn: fc.array(text, { maxLength: 3 }) }), {
        maxKeys: 3,
      })
      .map((record) => TextMap.from(Object.entries(record))),
    templates: fc
      .dictionary(text, fc.record({ succeededOn: fc.array(text, { maxLength: 3 }), failedOn: fc.array(text, { maxLength: 3 }) }), {
        maxKeys: 3,
      })
      .map((record) => TextMap.from(Object.entries(record))),
    requests: fc.array(request, { maxLength: 4 }).map((list) => TextMap.from(list.map((item) => [item.id, item] as const))),
  })
  .map((fields) => ({ ...fields, ...rebuildIndexes(fields.jobs, fields.machines) }));

/** A state as plain values, maps as sorted entries: two states that say the same are equal, however their tries grew. */
export function plain(value: State): unknown {
  return {
    ...value,
    jobs: [...value.jobs],
    ready: sorted([...value.ready].map(([key, queue]) => [key, [...queue]] as const)),
    matrices: [...value.matrices],
    tags: [...value.tags],
    machines: [...value.machines],
    slots: sorted([...value.slots]),
    free: sorted([...value.free].map(([key, queue]) => [key, [...queue]] as const)),
    variables: sorted([...value.variables]),
    setups: [...value.setups],
    commands: sorted([...value.commands]),
    templates: sorted([...value.templates]),
    requests: sorted([...value.requests]),
  };
}

function sorted<Value>(entries: readonly (readonly [string, Value])[]): readonly (readonly [string, Value])[] {
  return [...entries].sort(([a], [b]) => (a < b ? -1 : 1));
}

export function endedOf(value: State): readonly Job[] {
  return [...value.jobs.values()].filter((job) => isEnded(job.state));
}
