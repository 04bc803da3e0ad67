/** When snapshots are taken, what leaves the memory with them, and that no job is ever missing in between. */
import { describe, expect, test } from "bun:test";
import { EMPTY_STATE } from "../../src/core/state.ts";
import { Snapshots } from "../../src/daemon/snapshots.ts";
import { waitFor } from "../support/wait-for.ts";
import { Assembly, MemoryLog } from "./assembly.ts";

const FULL = 8 * 1_048_576;

function bench(given: { journalBytes: number; snapshot: () => Promise<readonly never[]> }) {
  const log = new MemoryLog();
  const clock = { now: 0 };
  const store = Object.assign(given, { archive: async () => [] });
  const options = { engine: { state: EMPTY_STATE, sequence: 1 }, store, observe: async () => undefined, now: () => clock.now, log };
  return { log, clock, snapshots: new Snapshots(options) };
}

describe("a snapshot", () => {
  test("is taken once the journal has grown enough, one at a time", async () => {
    const held = Promise.withResolvers<readonly never[]>();
    let taken = 0;
    const store = {
      journalBytes: FULL - 1,
      snapshot: () => {
        taken++;
        return held.promise;
      },
    };
    const { snapshots } = bench(store);
    await snapshots.considerOne();
    expect(taken).toBe(0);
    store.journalBytes = FULL;
    const first = snapshots.considerOne();
    await snapshots.considerOne();
    await waitFor(() => taken === 1);
    await snapshots.considerOne();
    expect(taken).toBe(1);
    held.resolve([]);
    await first;
  });

  test("that fails is said, and tried again after a while, not at every change", async () => {
    let tries = 0;
    const { snapshots, clock, log } = bench({
      journalBytes: FULL,
      snapshot: async () => {
        tries++;
        throw new Error("no space");
      },
    });
    for (let change = 0; change < 100; change++) await snapshots.considerOne();
    expect([tries, log.errors]).toEqual([1, ["error: no snapshot was written: no space"]]);
    clock.now = 30_000;
    await snapshots.considerOne();
    expect(tries).toBe(2);
  });
});

test("while ended jobs move to history every one of them is found, and none is in memory afterwards", async () => {
  await using daemon = await Assembly.open();
  await daemon.pool("x", ...Array.from({ length: 50 }, (_, index) => `m${index}`));
  const first = await daemon.add({ count: 50 });
  await daemon.until(first + 49, "running");
  for (const runId of daemon.hosts.running()) daemon.hosts.finish(runId, 0);
  await waitFor(() => daemon.engine.state.counts.done === 50);
  const { engine, store, log } = daemon;
  let inSnapshot = -1;
  const snapshots = new Snapshots({
    engine,
    store: {
      journalBytes: FULL,
      archive: (state, sequence) => store.archive(state, sequence),
      snapshot: async (state, sequence) => {
        inSnapshot = state.jobs.size;
        return await store.snapshot(state, sequence);
      },
    },
    observe: (fact) => engine.observe(fact),
    now: Date.now,
    log,
  });
  const jids = Array.from({ length: 50 }, (_, index) => first + index);
  let over = false;
  const moved = snapshots.considerOne().then(() => {
    over = true;
  });
  let reads = 0;
  do {
    expect((await daemon.book.get(jids)).size).toBe(50);
    reads++;
    // The disk gets its turn.
    await new Promise((resolve) => setImmediate(resolve));
  } while (!over);
  await moved;
  expect(reads).toBeGreaterThan(0);
  expect(inSnapshot).toBe(0);
  expect(engine.state.jobs.size).toBe(0);
  expect(engine.state.counts.done).toBe(50);
});
