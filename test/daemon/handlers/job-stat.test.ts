/** `job stat` at the server: every job that was asked for comes once, from memory and the past, in chunks that fit. */
import { describe, expect, test } from "bun:test";
import type { WireJob } from "../../../src/protocol/methods/job.ts";
import type { Params } from "../../../src/protocol/methods.ts";
import type { Selector } from "../../../src/protocol/selector.ts";
import { Desk, ids } from "./desk.ts";

/** Jobs 0-2 of the past, 3 done with results and 4 done without, matrix 5 of the jobs 6 and 7, and 8 that runs. */
async function filled(): Promise<Desk> {
  const desk = await Desk.open();
  const { daemon } = desk;
  await desk.add("old", { count: 3 });
  await desk.call("job.cancel", { ids: [{ kind: "range", first: 0, last: 2 }], forget: false });
  await daemon.engine.observe({ kind: "jobs-in-history", jobs: await daemon.store.snapshot(daemon.engine.state, daemon.engine.sequence) });
  await desk.add("with", { class: "y" });
  await desk.add("without", { class: "y" });
  const keys = [{ name: "A", values: ["1", "2"] }];
  const matrix = { class: "none", cmd: "m {A}", cp_results: null, keys, count: 1, retry: null, timeout: null, notify: false };
  await desk.call("matrix.add", matrix);
  await desk.add("runs", { class: "x" });
  await daemon.pool("y", "m1");
  await daemon.until(3, "running");
  daemon.printed(3, "RESULTS: out\n");
  daemon.hosts.finish(daemon.run(3).runId, 0);
  await daemon.until(4, "running");
  daemon.hosts.finish(daemon.run(4).runId, 0);
  await daemon.until(4, "done");
  await daemon.pool("x", "m2");
  await daemon.until(8, "running");
  return desk;
}

async function stat(desk: Desk, asked: Partial<Params<"job.stat">>): Promise<{ jids: number[]; missing: number[]; chunks: number[] }> {
  const received: WireJob[][] = [];
  const params = { ids: [], after: null, running: false, only_done: false, ...asked };
  const { missing } = await desk.call("job.stat", params, { emit: async (chunk) => void received.push(chunk as WireJob[]) });
  return { jids: received.flat().map((job) => job.jid), missing, chunks: received.map((chunk) => chunk.length) };
}

describe("job.stat", () => {
  test("takes jobs by id, by matrix, from an id on, and those that run", async () => {
    await using desk = await filled();
    const cases: readonly [Partial<Params<"job.stat">>, number[]][] = [
      [{ ids: ids(1, 8) }, [1, 8]],
      [{ ids: ids(5) }, [6, 7]],
      [{ ids: [{ kind: "range", first: 2, last: 4_000 }] }, [2, 3, 4, 6, 7, 8]],
      [{ ids: [{ kind: "last" }] }, [8]],
      [{ after: { kind: "id", id: 4 } }, [4, 6, 7, 8]],
      [{ after: { kind: "id", id: 0 } }, [0, 1, 2, 3, 4, 6, 7, 8]],
      [{ after: { kind: "id", id: 900 } }, []],
      [{ after: { kind: "last" } }, [8]],
      [{ running: true }, [8]],
      [{ after: { kind: "id", id: 0 }, only_done: true }, [3]],
    ];
    for (const [asked, jids] of cases) expect([asked, (await stat(desk, asked)).jids]).toEqual([asked, jids]);
  });

  test("sends what several of them name once, ascending", async () => {
    await using desk = await filled();
    const asked: Selector[] = [...ids(8, 5, 6), { kind: "range", first: 1, last: 3 }, { kind: "range", first: 2, last: 4 }];
    expect((await stat(desk, { ids: asked, after: { kind: "id", id: 7 }, running: true })).jids).toEqual([1, 2, 3, 4, 6, 7, 8]);
  });

  test("says which ids are no jobs, but not those that are only not done", async () => {
    await using desk = await filled();
    expect(await stat(desk, { ids: ids(99, 3, 77) })).toMatchObject({ jids: [3], missing: [77, 99] });
    expect(await stat(desk, { ids: ids(4), only_done: true })).toMatchObject({ jids: [], missing: [] });
    expect(await stat(desk, { ids: [{ kind: "range", first: 70, last: 80 }] })).toMatchObject({ jids: [], missing: [] });
  });

  test("passes over what was forgotten", async () => {
    await using desk = await filled();
    await desk.call("job.cancel", { ids: ids(1), forget: true });
    expect(await stat(desk, { ids: [{ kind: "range", first: 0, last: 2 }] })).toMatchObject({ jids: [0, 2], missing: [] });
  });

  test("comes in chunks, over the blocks of history, with ten thousand jobs", async () => {
    await using desk = await Desk.open();
    const { daemon } = desk;
    await desk.add("a", { count: 10_000, class: "none" });
    const past = { kind: "range", first: 500, last: 6_499 } as const;
    await desk.call("job.cancel", { ids: [past], forget: false });
    await daemon.engine.observe({
      kind: "jobs-in-history",
      jobs: await daemon.store.snapshot(daemon.engine.state, daemon.engine.sequence),
    });
    const { jids, chunks } = await stat(desk, { after: { kind: "id", id: 0 } });
    expect(jids).toEqual(Array.from({ length: 10_000 }, (_, jid) => jid));
    expect(Math.max(...chunks)).toBeLessThanOrEqual(100);
  });

  test("stops when nobody waits any more", async () => {
    await using desk = await filled();
    const gone = new AbortController();
    gone.abort(new Error("gone"));
    const params = { ids: [], after: { kind: "id", id: 0 } as const, running: false, only_done: false };
    expect(await desk.call("job.stat", params, { signal: gone.signal }).catch(String)).toContain("gone");
  });
});
