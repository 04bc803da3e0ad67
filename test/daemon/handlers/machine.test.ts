/** What people ask of the pool. */
import { describe, expect, test } from "bun:test";
import { RequestError } from "../../../src/protocol/error.ts";
import { Desk } from "./desk.ts";

describe("a request about machines that is asked again gets its reply, not what the change looks like since", () => {
  test("machine.add", async () => {
    await using desk = await Desk.open();
    const add = () => desk.call("machine.add", { addrs: ["a", "b"], class: "x" }, { requestId: "r1" });
    expect(await add()).toEqual({ added: ["a", "b"], moved: [] });
    expect(await add()).toEqual({ added: ["a", "b"], moved: [] });
    expect(await desk.call("machine.add", { addrs: ["b", "c"], class: "y" })).toEqual({ added: ["c"], moved: ["b"] });
  });

  test("machine.remove, also after a restart", async () => {
    const desk = await Desk.open();
    await desk.daemon.pool("x", "a");
    await desk.add();
    await desk.daemon.until(0, "running");
    const removal = { addrs: ["a"], classes: [] };
    const reply = await desk.call("machine.remove", removal, { requestId: "r1" });
    expect(reply).toEqual({ removed: ["a"], canceled: [0], missing: [] });
    expect(await desk.call("machine.remove", removal, { requestId: "r1" })).toEqual(reply);
    await using next = await desk.restart();
    expect(await next.call("machine.remove", removal, { requestId: "r1" })).toMatchObject({ removed: ["a"], missing: [] });
    expect(await next.call("machine.remove", { addrs: ["nobody"], classes: ["none"] })).toMatchObject({ missing: ["nobody", "none"] });
  });
});

test("machine.move and restore name what is not there and do the rest", async () => {
  await using desk = await Desk.open();
  await desk.daemon.pool("x", "a");
  expect(await desk.call("machine.move", { addrs: ["a", "z"], classes: [], class: "y" })).toEqual({ moved: ["a"], missing: ["z"] });
  expect(await desk.call("machine.restore", { addrs: ["a", "z"] })).toEqual({ failed: [{ addr: "z", code: "no-such-machine" }] });
  expect((await desk.call("machine.list", { class: "y" })).machines).toMatchObject([{ addr: "a", state: "free" }]);
});

test("machine.check asks all of a large pool, in the order of the listing", async () => {
  await using desk = await Desk.open({
    shell: (machine) => ({
      machine,
      run: () => Promise.reject(new RequestError("internal")),
    }),
  });
  const addrs = Array.from({ length: 150 }, (_, index) => `m${index}`);
  await desk.daemon.pool("x", ...addrs);
  const { results } = await desk.call("machine.check", { addrs: [] });
  expect(results.map(({ addr }) => addr)).toEqual(addrs);
});

test("machine.check asks those that it knows and names those that it does not", async () => {
  await using desk = await Desk.open();
  await desk.call("machine.add", { addrs: ["local"], class: "x" });
  const { results, missing } = await desk.call("machine.check", { addrs: ["local", "nowhere"] });
  expect(results.map((result) => result.addr)).toEqual(["local"]);
  expect(missing).toEqual(["nowhere"]);
});
