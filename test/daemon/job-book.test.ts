/** What the words of a command line stand for, wherever the jobs are. */
import { describe, expect, test } from "bun:test";
import { Assembly } from "./assembly.ts";

/** Jobs 0-4, matrix 5 with jobs 6 and 7, job 8; 0-2 are of the past. */
async function book(): Promise<Assembly> {
  const daemon = await Assembly.open();
  await daemon.add({ count: 5 });
  const keys = [{ name: "A", values: ["1", "2"] }];
  await daemon.engine.submit({
    kind: "add-matrix",
    class: "x",
    cmd: "c",
    copyTo: null,
    keys,
    count: 1,
    retry: null,
    timeoutSeconds: null,
    notify: false,
  });
  await daemon.add();
  await daemon.engine.submit({ kind: "cancel-jobs", jids: [0, 1, 2], recalled: [], forget: false, lenient: false });
  const { engine, store } = daemon;
  await engine.observe({ kind: "jobs-in-history", jobs: await store.snapshot(engine.state, engine.sequence) });
  return daemon;
}

describe("a selector", () => {
  test.each([
    [{ kind: "id", id: 3 }, [3], [3]],
    [{ kind: "id", id: 0 }, [0], [0]],
    [{ kind: "id", id: 5 }, [6, 7], []],
    [{ kind: "range", first: 1, last: 6 }, [1, 2, 3, 4, 6], []],
    [{ kind: "range", first: 7, last: 4_000_000_000 }, [7, 8], []],
    [{ kind: "range", first: 6, last: 2 }, [], []],
    [{ kind: "last" }, [8], [8]],
  ] as const)("%j stands for jobs %j", async (selector, jids, named) => {
    await using daemon = await book();
    const resolved = await daemon.book.resolve([selector]);
    expect(resolved.jobs.map((job) => job.jid)).toEqual([...jids]);
    expect([...resolved.named]).toEqual([...named]);
    expect(resolved.missing).toEqual([]);
  });

  test("that names nothing is missing; jobs named twice come once, ascending", async () => {
    await using daemon = await book();
    const ids = [8, 99, 1, 8].map((id) => ({ kind: "id", id }) as const);
    const resolved = await daemon.book.resolve([...ids, { kind: "range", first: 0, last: 1 }]);
    expect(resolved.jobs.map((job) => job.jid)).toEqual([0, 1, 8]);
    expect(resolved.missing).toEqual([99]);
  });

  test("`last` without any job is refused", async () => {
    await using daemon = await Assembly.open();
    expect(await daemon.book.resolve([{ kind: "last" }]).catch((error: Error) => error.message)).toStartWith("no-jobs");
  });
});

test("jobs before an id come descending, from memory and the past, without matrices", async () => {
  await using daemon = await book();
  expect((await daemon.book.before(8, 4)).map((job) => job.jid)).toEqual([7, 6, 4, 3]);
  expect((await daemon.book.before(100, 100)).map((job) => job.jid)).toEqual([8, 7, 6, 4, 3, 2, 1, 0]);
  expect(await daemon.book.before(0, 10)).toEqual([]);
});

test("a job of the past is as it was when it ended", async () => {
  await using daemon = await book();
  expect((await daemon.book.one(1)).state).toMatchObject({ kind: "canceled" });
  expect(await daemon.book.one(77).catch((error: Error) => error.message)).toStartWith("no-such-job");
});
