/**
 * What the rules cost, in processor time (the machine may be busy with other things). The limits are those
 * beyond which an interactive server would be felt to hesitate; the figures printed are usually far below.
 */
import { expect, test } from "bun:test";
import { applyAll } from "../../src/core/apply.ts";
import { type Command, type Context, DEFAULT_LIMITS } from "../../src/core/command.ts";
import { decide } from "../../src/core/decide.ts";
import type { Event } from "../../src/core/event.ts";
import { schedule } from "../../src/core/schedule.ts";
import { EMPTY_STATE, type State } from "../../src/core/state.ts";
import { addMatrix } from "./lab.ts";

const context: Context = { now: 1_000, limits: DEFAULT_LIMITS, bootId: "boot" };
const values = (count: number) => Array.from({ length: count }, (_, index) => String(index));
const largeMatrix = addMatrix({
  cmd: "run {A} {B} {C}",
  count: 10,
  keys: [
    { name: "A", values: values(100) },
    { name: "B", values: values(10) },
    { name: "C", values: values(10) },
  ],
});
const machines = values(1_000).map((name) => `machine-${name}`);

function after(state: State, command: Command): State {
  const decision = decide(state, command, context);
  if (decision.kind === "refused") throw new Error(decision.code);
  return applyAll(state, decision.events);
}

/** The best of a few rounds, milliseconds of processor time. */
function cost(name: string, rounds: number, work: () => void): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const before = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, (user + system) / 1_000);
  }
  console.log(`${name.padEnd(56)} ${best.toFixed(2).padStart(9)} ms`);
  return best;
}

const pooled = after(EMPTY_STATE, { kind: "add-machines", addrs: machines, class: "fast" });
const queued = after(pooled, largeMatrix);
const starts = (state: State) =>
  schedule(state, context, ({ job, machine }) => ({ runId: `r${job.jid}`, machine, log: "/log", errLog: "/err" }));
const starting = starts(queued);
const jids = starting.flatMap((event) => (event.kind === "job-starting" ? [event.jid] : []));
const started = jids.map((jid): Event => ({ kind: "job-started", at: 2_000, jid }));
const done = jids.map((jid): Event => ({ kind: "job-done", at: 3_000, jid, prefixes: [], results: null, warning: null }));

test("a matrix of 100,000 jobs is decided and applied in a second", () => {
  expect(queued.counts.waiting).toBe(100_000);
  expect(cost("matrix of 100,000: decide and apply", 5, () => after(pooled, largeMatrix))).toBeLessThan(1_000);
}, 120_000);

test("scheduling costs less than 0.1 ms a job, with 100,000 waiting and 1,000 machines", () => {
  expect(jids).toHaveLength(1_000);
  expect(cost("schedule 1,000 jobs on 1,000 machines", 5, () => starts(queued))).toBeLessThan(100);
  const full = applyAll(queued, starting);
  expect(cost("schedule when nothing is free, 1,000 times", 5, () => repeat(1_000, () => starts(full)))).toBeLessThan(50);
  const oneFree = applyAll(full, [...started.slice(0, 1), ...done.slice(0, 1)]);
  expect(cost("schedule for one freed machine, 1,000 times", 5, () => repeat(1_000, () => starts(oneFree)))).toBeLessThan(100);
});

test("applying the start, the sight and the end of a job costs less than 0.1 ms", () => {
  const full = applyAll(queued, starting);
  const running = applyAll(full, started);
  const costs = [
    cost("apply job-starting, 1,000 times", 7, () => applyAll(queued, starting)),
    cost("apply job-started, 1,000 times", 7, () => applyAll(full, started)),
    cost("apply job-done, 1,000 times", 7, () => applyAll(running, done)),
  ];
  expect(applyAll(running, done).counts.done).toBe(1_000);
  expect(costs.reduce((sum, one) => sum + one, 0)).toBeLessThan(100);
});

test("canceling a matrix of 100,000 is decided and applied in three seconds", () => {
  const { first, last } = queued.matrices.get(0)?.jids[0] ?? { first: 0, last: -1 };
  const all = Array.from({ length: last - first + 1 }, (_, index) => first + index);
  const command: Command = { kind: "cancel-jobs", jids: all, recalled: [], forget: false, lenient: true };
  expect(after(queued, command).counts.canceled).toBe(100_000);
  expect(cost("cancel 100,000: decide and apply", 2, () => after(queued, command))).toBeLessThan(3_000);
}, 120_000);

function repeat(times: number, work: () => void): void {
  for (let count = 0; count < times; count++) work();
}
