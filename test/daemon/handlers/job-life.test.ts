/** Again, with another time, a line, a preview: each request does what it names once, however often it is asked. */
import { describe, expect, test } from "bun:test";
import { RequestError } from "../../../src/protocol/error.ts";
import type { WireJob } from "../../../src/protocol/methods/job.ts";
import type { Params } from "../../../src/protocol/methods.ts";
import { Desk, ids } from "./desk.ts";

const MATRIX = { class: "x", cmd: "run {A}", cp_results: null, keys: [], count: 1, retry: null, timeout: null, notify: false };
const LIST = { ids: [], limit: 40, all: false, running: false, collapse: true };

async function refusal(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof RequestError)) throw new Error(`not refused: ${String(error)}`);
  return error.code;
}

/** On the fakes nothing ends by itself. */
async function finish({ daemon }: Desk, jid: number, exitCode: number): Promise<void> {
  await daemon.until(jid, "running");
  daemon.hosts.finish(daemon.run(jid).runId, exitCode);
  await daemon.untilEnded(jid);
}

async function commands(desk: Desk, first: number, count: number): Promise<string[]> {
  const range = [{ kind: "range", first, last: first + count - 1 }] as const;
  const { jobs } = await desk.call("job.show", { ids: [...range] });
  return jobs.map((job) => job.command_line);
}

describe("job.clone", () => {
  test("of a matrix queues each cell once: the last attempt stands for those before it", async () => {
    await using desk = await Desk.open();
    await desk.daemon.pool("x", "m");
    const retry = { max_failures: 2 };
    const { id, first } = await desk.call("matrix.add", { ...MATRIX, retry, cmd: "exit {A}", keys: [{ name: "A", values: ["0", "1"] }] });
    await finish(desk, first, 0);
    await finish(desk, first + 1, 1);
    const retried = desk.daemon.engine.state.jobs.get(first + 1)?.retriedBy;
    expect(retried).toBe(first + 2);
    const clones = await desk.call("job.clone", { ids: ids(id), count: 2 });
    expect(clones).toMatchObject({ count: 4, missing: [] });
    expect(await commands(desk, clones.first, 4)).toEqual(["exit 0", "exit 0", "exit 1", "exit 1"]);
    // A range that ends before the retry stands for the same cells.
    const range = [{ kind: "range", first, last: first + 1 }] as const;
    expect((await desk.call("job.clone", { ids: [...range], count: 1 })).count).toBe(2);
    expect((await desk.call("job.clone", { ids: ids(first + 1), count: 1 })).count).toBe(1);
  });

  test("asked again with its request id is one clone, also after a restart", async () => {
    const desk = await Desk.open();
    await desk.add("a");
    const once = await desk.call("job.clone", { ids: [{ kind: "last" }], count: 3 }, { requestId: "c1" });
    expect(once.first).toBe(1);
    expect(await desk.call("job.clone", { ids: [{ kind: "last" }], count: 3 }, { requestId: "c1" })).toEqual(once);
    await using next = await desk.restart();
    const again = await next.call("job.clone", { ids: [{ kind: "last" }], count: 3 }, { requestId: "c1" });
    expect(again).toMatchObject({ first: once.first, count: 3 });
    expect(next.daemon.engine.state.jobs.size).toBe(4);
  });

  test("does what it can, names the rest, and warns of a class without machines", async () => {
    await using desk = await Desk.open();
    await desk.add("a");
    const clones = await desk.call("job.clone", { ids: ids(0, 77), count: 1 });
    expect(clones).toEqual({ first: 1, count: 1, missing: [77], warnings: [{ code: "class-empty", data: { class: "x" } }] });
    expect(await desk.call("job.clone", { ids: ids(77), count: 1 })).toMatchObject({ count: 0, missing: [77] });
    const { id } = await desk.call("tag.new", {});
    expect(await refusal(desk.call("job.clone", { ids: ids(id), count: 1 }))).toBe("no-jobs");
  });

  test("and restart of 100,000 jobs are one request each", async () => {
    await using desk = await Desk.open();
    const { id, first } = await desk.call("matrix.add", { ...MATRIX, count: 50_000, keys: [{ name: "A", values: ["1", "2"] }] });
    const clones = await desk.call("job.clone", { ids: ids(id), count: 1 }, { requestId: "big" });
    expect(clones).toMatchObject({ first: first + 100_000, count: 100_000 });
    // The queue holds 200,000: it is full now, and a restart leaves it as full as it was.
    const restarted = await desk.call("job.restart", { ids: ids(id), count: 1 }, { requestId: "big2" });
    expect(restarted).toMatchObject({ count: 200_000, stopping: 0 });
    expect(desk.daemon.engine.state.counts).toMatchObject({ waiting: 200_000, canceled: 200_000 });
  }, 120_000);
});

describe("job.restart", () => {
  test("stops what runs, cancels what waits, and queues both again", async () => {
    await using desk = await Desk.open();
    await desk.daemon.pool("x", "m");
    const running = await desk.add("sleep 100");
    await desk.daemon.until(running.first, "running");
    await desk.add("true", { class: "y" });
    const restarted = await desk.call("job.restart", { ids: ids(0, 1), count: 1 });
    expect(restarted).toMatchObject({ first: 2, count: 2, stopping: 1 });
    await desk.daemon.until(0, "canceled");
    await desk.daemon.until(2, "running");
    expect(desk.daemon.engine.state.jobs.get(1)?.state.kind).toBe("canceled");
    expect(await commands(desk, 2, 2)).toEqual(["sleep 100", "true"]);
  });

  test("of an ended job whose retry goes on stops that", async () => {
    await using desk = await Desk.open();
    await desk.daemon.pool("x", "m");
    await desk.add("exit 1", { retry: { max_failures: null } });
    await finish(desk, 0, 1);
    const { first } = await desk.call("job.restart", { ids: ids(0), count: 1 });
    await desk.daemon.until(1, "canceled");
    expect(first).toBe(2);
  });
});

test("a cancel says which jobs end only when their processes have", async () => {
  await using desk = await Desk.open();
  await desk.daemon.pool("x", "m");
  await desk.add("sleep 100");
  await desk.daemon.until(0, "running");
  await desk.add("sleep 100");
  expect(await desk.call("job.cancel", { ids: ids(0, 1), forget: false })).toEqual({ done: [0, 1], failed: [], stopping: [0] });
});

describe("job.set_timeout", () => {
  test("stops a running job that has run for longer, changes one that waits, and passes over the ended members of a set", async () => {
    await using desk = await Desk.open();
    await desk.daemon.pool("x", "m");
    const { id, first } = await desk.call("matrix.add", {
      ...MATRIX,
      cmd: "sleep {A}",
      keys: [{ name: "A", values: ["0", "100", "200"] }],
    });
    await finish(desk, first, 0);
    await desk.daemon.until(first + 1, "running");
    expect(await desk.call("job.set_timeout", { ids: ids(id), timeout: 1 })).toEqual({ done: [first + 1, first + 2], failed: [] });
    await desk.daemon.until(first + 1, "failed");
    const { jobs } = await desk.call("job.show", { ids: ids(first + 1) });
    expect(jobs[0]?.error?.code).toBe("timed-out");
    expect((await desk.call("job.set_timeout", { ids: ids(first), timeout: null })).failed).toEqual([{ id: first, code: "job-over" }]);
  });
});

describe("job.line", () => {
  test("is told with every listing, stands after the last job of a matrix or tag, and is gone when taken away", async () => {
    await using desk = await Desk.open();
    await desk.add("a", { count: 3 });
    const { id } = await desk.call("matrix.add", { ...MATRIX, keys: [{ name: "A", values: ["1", "2"] }] });
    expect(await desk.call("job.list", LIST)).toMatchObject({ line: null });
    expect(await desk.call("job.line", { after: { kind: "id", id: 1 } })).toEqual({ line: 1 });
    expect(await desk.call("job.list", LIST)).toMatchObject({ line: 1 });
    expect(await desk.call("job.line", { after: { kind: "id", id } })).toEqual({ line: id + 2 });
    expect(await desk.call("job.line", { after: { kind: "last" } })).toEqual({ line: id + 2 });
    expect(await refusal(desk.call("job.line", { after: { kind: "id", id: 99 } }))).toBe("no-such-id");
    expect(await desk.call("job.line", { after: null })).toEqual({ line: null });
  });
});

describe("job.preview", () => {
  const preview = (more: Partial<Params<"job.preview">>): Params<"job.preview"> => {
    const { retry: _retry, timeout: _timeout, notify: _notify, ...job } = MATRIX;
    return { ...job, tag: null, ...more };
  };

  test("says how many, and the first and last command line with secrets masked; nothing is queued", async () => {
    await using desk = await Desk.open();
    await desk.call("variable.set", { name: "TOKEN", value: "hunter2", secret: true });
    await desk.call("variable.set", { name: "SIZE", value: "4", secret: false });
    const keys = [
      { name: "A", values: ["", "2,5"] },
      { name: "B", values: ["x", "y"] },
    ];
    const shown = await desk.call("job.preview", preview({ cmd: "run {A} {SIZE} {TOKEN} {NOPE}", cp_results: "/r/{A}", keys, count: 3 }));
    expect(shown).toMatchObject({
      count: 12,
      first: { command_line: "run  4 ******** {NOPE}", cp_results: "/r/" },
      last: { command_line: "run 2,5 4 ******** {NOPE}", cp_results: "/r/2,5" },
    });
    expect(shown.warnings).toEqual([
      { code: "placeholder-undefined", data: { name: "NOPE" } },
      { code: "variable-unused", data: { name: "B" } },
      { code: "class-empty", data: { class: "x" } },
    ]);
    expect(desk.daemon.engine.state).toMatchObject({ nextId: 0 });
    expect((await desk.call("matrix.add", { ...MATRIX, cmd: "run {A}", keys })).warnings.map(({ code }) => code)).toEqual([
      "variable-unused",
      "class-empty",
    ]);
  });

  test("is refused where queueing would be", async () => {
    await using desk = await Desk.open({ driver: "/bin/true" });
    expect(await refusal(desk.call("job.preview", preview({ cmd: "'open" })))).toBe("bad-command");
    expect(await refusal(desk.call("job.preview", preview({ tag: 5 })))).toBe("no-such-tag");
    expect(
      await refusal(desk.call("job.preview", preview({ cmd: "run", count: 200_000, keys: [{ name: "A", values: ["1", "2"] }] }))),
    ).toBe("limit-exceeded");
  });
});

describe("tags", () => {
  test("are made, filled, emptied and listed, with jobs of the past", async () => {
    await using desk = await Desk.open();
    await desk.add("a", { count: 3 });
    const { id } = await desk.call("tag.new", {}, { requestId: "t1" });
    expect(await desk.call("tag.new", {}, { requestId: "t1" })).toEqual({ id });
    await desk.call("job.cancel", { ids: ids(0), forget: false });
    const { engine, store } = desk.daemon;
    await engine.observe({ kind: "jobs-in-history", jobs: await store.snapshot(engine.state, engine.sequence) });
    expect(await desk.call("tag.set", { ids: [...ids(0, 9), { kind: "range", first: 1, last: 2 }], tag: id })).toEqual({
      done: [0, 1, 2],
      failed: [{ id: 9, code: "no-such-job" }],
    });
    const chunks: WireJob[] = [];
    const listed = await desk.call("tag.list", { id }, { emit: async (chunk) => void chunks.push(...(chunk as WireJob[])) });
    expect(chunks.map(({ jid, tag, status }) => `${jid} ${tag} ${status}`)).toEqual([
      `0 ${id} canceled`,
      `1 ${id} waiting`,
      `2 ${id} waiting`,
    ]);
    expect(listed.tag).toMatchObject({ id, counts: { waiting: 2, canceled: 1 } });
    expect(await desk.call("tag.unset", { ids: ids(id) })).toEqual({ done: [0, 1, 2], failed: [] });
    const all: unknown[] = [];
    await desk.call("tag.all", {}, { emit: async (chunk) => void all.push(...(chunk as unknown[])) });
    expect(all).toMatchObject([{ id, counts: { waiting: 0, canceled: 0 } }]);
    expect(await refusal(desk.call("tag.list", { id: 0 }))).toBe("no-such-tag");
    expect(await refusal(desk.call("tag.set", { ids: ids(1), tag: 0 }))).toBe("no-such-tag");
  });

  test("clones join the tag, unless it is not theirs any more", async () => {
    await using desk = await Desk.open();
    const { id } = await desk.call("tag.new", {});
    const { first } = await desk.add("a", { tag: id });
    const clones = await desk.call("job.clone", { ids: ids(id), count: 2 });
    expect((await desk.call("job.show", { ids: ids(id) })).jobs.map(({ jid }) => jid)).toEqual([first, clones.first, clones.first + 1]);
    await desk.call("tag.unset", { ids: ids(first) });
    const untagged = await desk.call("job.clone", { ids: ids(first), count: 1 });
    expect(desk.daemon.engine.state.jobs.get(untagged.first)?.tag).toBeNull();
  });
});
