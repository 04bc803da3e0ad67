/** What people ask of jobs: everything that can be done is done, each refusal is named, and asking twice is asking once. */
import { describe, expect, test } from "bun:test";
import { problem } from "../../../src/core/problem.ts";
import { RequestError } from "../../../src/protocol/error.ts";
import type { WireRow } from "../../../src/protocol/methods/job.ts";
import type { Params } from "../../../src/protocol/methods.ts";
import { waitFor } from "../../support/wait-for.ts";
import { Desk, ids } from "./desk.ts";

async function refusal(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof RequestError)) throw new Error(`not refused: ${String(error)}`);
  return error.code;
}

/** Ended jobs leave the memory. */
async function archive({ daemon }: Desk): Promise<void> {
  const { engine, store } = daemon;
  const jobs = await store.snapshot(engine.state, engine.sequence);
  await engine.observe({ kind: "jobs-in-history", jobs });
}

describe("job.add", () => {
  test("warns of a class without machines and of names that nothing defines, and queues all the same", async () => {
    await using desk = await Desk.open();
    const { first, warnings } = await desk.add("run {NOPE}");
    expect(first).toBe(0);
    expect(warnings.map(({ code }) => code).sort()).toEqual(["class-empty", "placeholder-undefined"]);
  });

  test("refuses words that cannot be split only where a driver will split them", async () => {
    await using shell = await Desk.open();
    expect((await shell.add("echo 'open")).count).toBe(1);
    await using driver = await Desk.open({ driver: "/bin/true" });
    expect(await refusal(driver.add("'open"))).toBe("bad-command");
  });

  test("asked again with its request id, at once, later or after a restart, is one job", async () => {
    const desk = await Desk.open();
    const [one, two] = await Promise.all([desk.add("a", {}, "r1"), desk.add("a", {}, "r1")]);
    expect(two).toEqual(one);
    expect(await desk.add("a", {}, "r1")).toEqual(one);
    await using next = await desk.restart();
    expect((await next.add("a", {}, "r1")).first).toBe(one.first);
    expect(next.daemon.engine.state.jobs.size).toBe(1);
  });
});

describe("job.cancel", () => {
  test("does what it can and names the rest", async () => {
    await using desk = await Desk.open();
    await desk.add();
    const reply = await desk.call("job.cancel", { ids: ids(0, 7), forget: false });
    expect(reply).toEqual({ done: [0], failed: [{ id: 7, code: "no-such-job" }] });
    expect(await desk.call("job.cancel", { ids: ids(0), forget: false })).toEqual({ done: [], failed: [{ id: 0, code: "job-ended" }] });
  });

  test("that forgets gets the same reply when it is asked again, also after a restart", async () => {
    const desk = await Desk.open();
    await desk.add();
    const rm = { ids: ids(0), forget: true };
    const reply = await desk.call("job.cancel", rm, { requestId: "r1" });
    expect(reply).toEqual({ done: [0], failed: [] });
    expect(await desk.call("job.cancel", rm, { requestId: "r1" })).toEqual(reply);
    await using next = await desk.restart();
    expect(await next.call("job.cancel", rm, { requestId: "r1" })).toEqual(reply);
    expect(await next.call("job.cancel", rm, { requestId: "r2" })).toEqual({ done: [], failed: [{ id: 0, code: "no-such-job" }] });
  });

  test("forgets jobs of the past that are named alone beside a set, for good", async () => {
    await using desk = await Desk.open();
    await desk.call("matrix.add", { ...MATRIX, keys: [{ name: "A", values: ["1", "2"] }] });
    await desk.add();
    await desk.call("job.cancel", { ids: ids(0, 3), forget: false });
    await archive(desk);
    expect(await desk.call("job.cancel", { ids: ids(3, 0), forget: true })).toEqual({ done: [1, 2, 3], failed: [] });
    expect(desk.daemon.engine.state.counts.canceled).toBe(0);
    expect((await desk.call("job.show", { ids: ids(1, 2, 3) })).missing).toEqual([1, 2, 3]);
  });

  test("passes over the ended members of a set, and forgets jobs of the past", async () => {
    await using desk = await Desk.open();
    await desk.call("matrix.add", { ...MATRIX, keys: [{ name: "A", values: ["1", "2"] }] });
    await desk.call("job.cancel", { ids: ids(1), forget: false });
    expect(await desk.call("job.cancel", { ids: ids(0), forget: false })).toEqual({ done: [2], failed: [] });
    expect(await desk.call("job.cancel", { ids: ids(0), forget: false })).toEqual({ done: [], failed: [] });
    await archive(desk);
    expect(desk.daemon.engine.state.jobs.size).toBe(0);
    expect(await desk.call("job.cancel", { ids: ids(2), forget: true })).toEqual({ done: [2], failed: [] });
    expect((await desk.call("job.show", { ids: ids(1, 2) })).missing).toEqual([2]);
  });
});

describe("job.hold and job.unhold", () => {
  test("say which members of a set they held or let go, not which they passed over", async () => {
    await using desk = await Desk.open();
    await desk.call("matrix.add", { ...MATRIX, keys: [{ name: "A", values: ["1", "2"] }] });
    await desk.call("job.hold", { ids: ids(1) });
    expect(await desk.call("job.hold", { ids: ids(0) })).toEqual({ done: [2], failed: [] });
    await desk.call("job.cancel", { ids: ids(1), forget: false });
    expect(await desk.call("job.unhold", { ids: ids(0) })).toEqual({ done: [2], failed: [] });
  });

  test("say of a job of the past that it has ended, not that it never was", async () => {
    await using desk = await Desk.open();
    await desk.add();
    await desk.call("job.cancel", { ids: ids(0), forget: false });
    await archive(desk);
    expect((await desk.call("job.hold", { ids: ids(0, 9) })).failed).toEqual([
      { id: 0, code: "job-ended" },
      { id: 9, code: "no-such-job" },
    ]);
  });
});

const MATRIX = { class: "x", cmd: "run {A}", cp_results: null, keys: [], count: 1, retry: null, timeout: null, notify: false };
const LIST = { ids: [], limit: 40, all: false, running: false, collapse: true };

describe("job.list", () => {
  test("shows the last rows, a matrix as one, and whatever runs", async () => {
    await using desk = await Desk.open();
    await desk.daemon.pool("y", "m");
    const running = await desk.add("old", { class: "y" });
    await desk.daemon.until(running.first, "running");
    await desk.add();
    await desk.call("matrix.add", { ...MATRIX, keys: [{ name: "A", values: ["1", "2", "3"] }] });
    await desk.add();
    const rows = await desk.stream<WireRow>("job.list", { ...LIST, limit: 2 });
    expect(rows.map((row) => (row.kind === "job" ? row.job.jid : `matrix ${row.id}: ${row.first}-${row.last}`))).toEqual([
      0,
      "matrix 2: 3-5",
      6,
    ]);
    const single = await desk.stream<WireRow>("job.list", { ...LIST, collapse: false });
    expect(single).toHaveLength(6);
    const onlyRunning = await desk.stream<WireRow>("job.list", { ...LIST, running: true });
    expect(onlyRunning).toMatchObject([{ job: { jid: 0 } }]);
  });

  test("by ids, by ranges and from an id on, in memory and in the past", async () => {
    await using desk = await Desk.open();
    await desk.add("a", { count: 5 });
    await desk.call("job.cancel", { ids: [{ kind: "range", first: 0, last: 2 }], forget: false });
    await archive(desk);
    const listed = async (params: Partial<Params<"job.list">>): Promise<(number | null)[]> =>
      (await desk.stream<WireRow>("job.list", { ...LIST, ...params })).map((row) => (row.kind === "job" ? row.job.jid : null));
    expect(await listed({ ids: ids(1, 4) })).toEqual([1, 4]);
    expect(await listed({ ids: ids(2), all: true })).toEqual([2, 3, 4]);
    expect(await listed({ ids: [], limit: 3 })).toEqual([2, 3, 4]);
    expect(await listed({ ids: [{ kind: "range", first: 1, last: 1_000 }] })).toEqual([1, 2, 3, 4]);
  });

  test("of jobs with the longest commands comes in chunks that fit the frames", async () => {
    await using desk = await Desk.open();
    await desk.add(`echo ${"x".repeat(65_000)}`, { count: 300 });
    const sizes: number[] = [];
    await desk.call("job.list", { ...LIST, limit: 300 }, { emit: async (chunk) => void sizes.push(JSON.stringify(chunk).length) });
    expect(sizes.length).toBeGreaterThan(10);
    expect(Math.max(...sizes)).toBeLessThan(2_000_000);
    expect(await refusal(desk.call("job.show", { ids: [{ kind: "range", first: 0, last: 299 }] }))).toBe("limit-exceeded");
  });

  test("of ten thousand jobs of the past does not read the past again for each", async () => {
    await using desk = await Desk.open();
    await desk.add("a", { count: 10_000 });
    await desk.call("job.cancel", { ids: [{ kind: "range", first: 0, last: 9_999 }], forget: false });
    await archive(desk);
    // A block of the past read for each of them would take minutes.
    expect(await desk.stream<WireRow>("job.list", { ...LIST, limit: 10_000 })).toHaveLength(10_000);
  });
});

describe("job.wait", () => {
  const wait = { timeout: null };

  test("answers when the last has ended, retries included", async () => {
    await using desk = await Desk.open();
    const { daemon } = desk;
    await daemon.pool("x", "m");
    await desk.add("a", { retry: { max_failures: 2 } });
    const answer = desk.call("job.wait", { ids: ids(0), ...wait });
    await daemon.until(0, "running");
    daemon.hosts.finish(daemon.run(0).runId, 1);
    await waitFor(() => daemon.engine.state.jobs.has(1));
    await daemon.until(1, "running");
    daemon.hosts.finish(daemon.run(1).runId, 0);
    expect(await answer).toMatchObject({ timed_out: false, jobs: [{ jid: 1, status: "done", retry_of: 0 }], omitted: 0, missing: [] });
  });

  test("answers at once for what has ended long ago, and names what is not there", async () => {
    await using desk = await Desk.open();
    await desk.add();
    await desk.call("job.cancel", { ids: ids(0), forget: false });
    await archive(desk);
    expect(await desk.call("job.wait", { ids: ids(0, 5), ...wait })).toMatchObject({ jobs: [{ status: "canceled" }], missing: [5] });
  });

  test("ends at its time, and with its client; a timeout of a year is no timeout of now", async () => {
    await using desk = await Desk.open();
    await desk.add();
    expect(await desk.call("job.wait", { ids: ids(0), timeout: 0.01 })).toMatchObject({ timed_out: true, jobs: [{ status: "waiting" }] });
    const gone = new AbortController();
    const year = desk.call("job.wait", { ids: ids(0), timeout: 365 * 86_400 }, { signal: gone.signal });
    const short = await desk.call("job.wait", { ids: ids(0), timeout: 0.05 });
    expect(short.timed_out).toBe(true);
    gone.abort(new Error("gone"));
    expect(await year.catch(String)).toContain("gone");
  });

  test("does not wait for a job that is forgotten, nor for one of which nothing is left", async () => {
    await using desk = await Desk.open();
    const { daemon } = desk;
    await desk.add();
    const forgotten = desk.call("job.wait", { ids: ids(0), ...wait });
    await desk.call("job.cancel", { ids: ids(0), forget: true });
    expect((await forgotten).timed_out).toBe(false);
    await daemon.pool("x", "m");
    await desk.add();
    await daemon.until(1, "running");
    const lost = desk.call("job.wait", { ids: ids(1), ...wait });
    daemon.hosts.lose(daemon.run(1).runId, problem("rebooted"));
    expect(await lost).toMatchObject({ timed_out: false, jobs: [{ status: "unknown" }] });
  });

  test("a thousand at once for a thousand jobs are all answered", async () => {
    await using desk = await Desk.open();
    await desk.add("a", { count: 1_000 });
    const all = [{ kind: "range", first: 0, last: 999 }] as const;
    const waits = Array.from({ length: 1_000 }, () => desk.call("job.wait", { ids: [...all], timeout: 300 }));
    for (let jid = 0; jid < 1_000; jid += 100) {
      await desk.call("job.cancel", { ids: [{ kind: "range", first: jid, last: jid + 99 }], forget: false });
    }
    const answers = await Promise.all(waits.map(async (answer) => (await answer).jobs.length));
    expect(new Set(answers)).toEqual(new Set([1_000]));
  }, 120_000);

  test("answers with what fits one frame, those that failed first", async () => {
    await using desk = await Desk.open();
    await desk.add(`echo ${"x".repeat(60_000)}`, { count: 200 });
    await desk.call("job.cancel", { ids: [{ kind: "range", first: 0, last: 199 }], forget: false });
    const { jobs, omitted = 0 } = await desk.call("job.wait", { ids: [{ kind: "range", first: 0, last: 199 }], ...wait });
    expect(omitted).toBeGreaterThan(0);
    expect(jobs.length + omitted).toBe(200);
    expect(JSON.stringify(jobs).length).toBeLessThan(16 * 1_048_576);
  });
});

describe("job.why", () => {
  test("has a word for every state", async () => {
    await using desk = await Desk.open();
    const { daemon } = desk;
    const codes = async (jid: number) => (await desk.call("job.why", { ids: ids(jid) })).answers[0]?.reasons.map(({ code }) => code);
    await desk.add();
    expect(await codes(0)).toEqual(["class-empty"]);
    await daemon.pool("x", "m");
    await daemon.until(0, "running");
    expect(await codes(0)).toEqual(["not-waiting"]);
    await desk.add("a", { count: 2 });
    expect(await codes(1)).toEqual(["machine"]);
    expect(await codes(2)).toEqual(["machine", "jobs-ahead"]);
    await desk.call("job.hold", { ids: ids(1) });
    expect(await codes(1)).toEqual(["held"]);
    daemon.hosts.lose(daemon.run(0).runId);
    await daemon.until(0, "unknown");
    expect(await codes(0)).toEqual(["not-waiting"]);
    daemon.gate.notStarted(problem("driver-missing", { path: "/d" }));
    await desk.call("job.unhold", { ids: ids(1) });
    expect(await codes(1)).toEqual(["starting-paused", "machine"]);
  });

  test("of very many jobs and machines is refused, not built", async () => {
    await using desk = await Desk.open();
    await desk.daemon.engine.submit({ kind: "add-machines", addrs: Array.from({ length: 200 }, (_, index) => `m${index}`), class: "x" });
    await desk.daemon.engine.submit({ kind: "remove-machines", addrs: [] });
    desk.daemon.dispatching = false;
    await desk.add("a", { count: 2_000 });
    expect(await refusal(desk.call("job.why", { ids: [{ kind: "range", first: 0, last: 1_999 }] }))).toBe("limit-exceeded");
  });
});
