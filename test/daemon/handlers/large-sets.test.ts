/** A command on very many jobs keeps nobody else waiting, and is still one request. */
import { expect, test } from "bun:test";
import { Desk } from "./desk.ts";

const COUNT = 20_000;

test("a cancel of many jobs lets others be answered in between, and nothing of the set starts meanwhile", async () => {
  await using desk = await Desk.open();
  const { first } = await desk.add("true", { class: "later", count: COUNT });
  const set = { kind: "range" as const, first, last: first + COUNT - 1 };
  const answered: string[] = [];
  const canceled = desk.call("job.cancel", { ids: [set], forget: false }).then((changed) => {
    answered.push("cancel");
    return changed;
  });
  const added = desk.add("true", { class: "later" }).then(() => answered.push("add"));
  await Promise.all([canceled, added]);
  expect(answered).toEqual(["add", "cancel"]);
  expect((await canceled).done).toHaveLength(COUNT);
  expect(desk.daemon.engine.state.counts).toMatchObject({ canceled: COUNT, waiting: 1 });
});

test("a hold of many jobs that is tried again does nothing twice", async () => {
  await using desk = await Desk.open();
  const { first } = await desk.add("true", { class: "later", count: COUNT });
  const ids = [{ kind: "range" as const, first, last: first + COUNT - 1 }];
  await desk.call("job.hold", { ids }, { requestId: "hold-1" });
  expect(desk.daemon.engine.state.counts.held).toBe(COUNT);
  await desk.call("job.unhold", { ids: [{ kind: "range", first, last: first + 9 }] }, { requestId: "unhold-1" });
  expect((await desk.call("job.hold", { ids }, { requestId: "hold-1" })).done).toHaveLength(COUNT);
  expect(desk.daemon.engine.state.counts).toMatchObject({ held: COUNT - 10, waiting: 10 });
});

test("everything about 12,000 jobs comes page by page, and so does what a wait for them found", async () => {
  await using desk = await Desk.open();
  const { first } = await desk.add("true", { class: "later", count: 12_000 });
  const ids = [{ kind: "range" as const, first, last: first + 11_999 }];
  await desk.call("job.cancel", { ids, forget: false });
  const shown: number[] = [];
  for (let more = true; more; ) {
    const page = await desk.call("job.show", { ids, after: shown.at(-1) ?? -1 });
    shown.push(...page.jobs.map(({ jid }) => jid));
    more = page.more === true;
  }
  expect(shown).toEqual(Array.from({ length: 12_000 }, (_, index) => first + index));
  const waited: number[] = [];
  for (let omitted = 1; omitted > 0; ) {
    const page = await desk.call("job.wait", { ids, timeout: 0, after: waited.at(-1) ?? -1 });
    expect(page.timed_out).toBe(false);
    waited.push(...page.jobs.map(({ jid }) => jid));
    omitted = page.omitted ?? 0;
  }
  expect(waited).toEqual(shown);
});
