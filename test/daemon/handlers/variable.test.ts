/** Variables and the order of the two files that know of them. */
import { describe, expect, test } from "bun:test";
import { Desk } from "./desk.ts";

const CANARY = "canary-51c0ffee";

describe("a secret variable", () => {
  test("shows its value in no reply, and a job that names it is masked everywhere", async () => {
    await using desk = await Desk.open();
    const { daemon } = desk;
    await desk.call("variable.set", { name: "KEY", value: CANARY, secret: true });
    await daemon.pool("x", "m");
    await desk.add("run {KEY}", { cp_results: "/results" });
    await daemon.until(0, "running");
    const replies = [
      await desk.call("variable.list", {}),
      await desk.call("job.show", { ids: [{ kind: "id", id: 0 }] }),
      await desk.stream("job.list", { ids: [], limit: 5, all: false, running: false, collapse: true }),
      await desk.call("job.why", { ids: [{ kind: "id", id: 0 }] }),
      await desk.call("job.logs", { ids: [{ kind: "id", id: 0 }], running: false }),
    ];
    expect(JSON.stringify([replies, daemon.log.lines])).not.toContain(CANARY);
    expect(daemon.hosts.begun[0]?.program).toEqual({ kind: "shell", text: `run ${CANARY}` });
  });

  test("set again by a client that did not hear the answer does not undo what was set since, also after a restart", async () => {
    const desk = await Desk.open();
    const first = { name: "KEY", value: "first", secret: true };
    await desk.call("variable.set", first, { requestId: "r1" });
    await desk.call("variable.set", { ...first, value: "second" }, { requestId: "r2" });
    await desk.call("variable.set", first, { requestId: "r1" });
    expect(desk.daemon.store.secrets.get("KEY")).toBe("second");
    await using next = await desk.restart();
    await next.call("variable.set", first, { requestId: "r1" });
    expect(next.daemon.store.secrets.get("KEY")).toBe("second");
  });

  test("that becomes a plain one leaves no value in the secrets file", async () => {
    await using desk = await Desk.open();
    await desk.call("variable.set", { name: "KEY", value: CANARY, secret: true });
    await desk.call("variable.set", { name: "KEY", value: "plain", secret: false });
    expect(desk.daemon.store.secrets.get("KEY")).toBeUndefined();
    expect((await desk.call("variable.list", {})).variables).toEqual([{ name: "KEY", value: "plain", secret: false }]);
  });
});

test("changes at the same moment come one after the other: a secret that is named has its value", async () => {
  await using desk = await Desk.open();
  const set = (value: string, secret: boolean) => desk.call("variable.set", { name: "KEY", value, secret });
  const remove = () => desk.call("variable.remove", { names: ["KEY"] });
  const { secrets } = desk.daemon.store;
  await Promise.all([set("a", true), remove(), set("b", true)]);
  expect(secrets.get("KEY")).toBe("b");
  await Promise.all([set("plain", false), set("c", true)]);
  expect(secrets.get("KEY")).toBe("c");
  await Promise.all([remove(), set("d", true), remove()]);
  expect([secrets.get("KEY"), desk.daemon.engine.state.variables.size]).toEqual([undefined, 0]);
});

test("variable.remove says the same when it is asked again, also after a restart", async () => {
  const desk = await Desk.open();
  await desk.call("variable.set", { name: "A", value: "1", secret: false });
  const rm = { names: ["A", "B"] };
  expect(await desk.call("variable.remove", rm, { requestId: "r1" })).toEqual({ missing: ["B"] });
  expect(await desk.call("variable.remove", rm, { requestId: "r1" })).toEqual({ missing: ["B"] });
  await using next = await desk.restart();
  expect(await next.call("variable.remove", rm, { requestId: "r1" })).toEqual({ missing: [] });
});
