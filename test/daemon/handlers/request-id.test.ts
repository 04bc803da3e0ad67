/** A request id that comes again with another change is the client's fault, and no fault of the server's. */
import { expect, test } from "bun:test";
import { Desk, ids } from "./desk.ts";

test("an id of job.add is refused by every change that makes something else, and nothing is changed", async () => {
  await using desk = await Desk.open();
  await desk.call("tag.new", {}, { requestId: "r0" });
  const { first } = await desk.add("a", {}, "r1");
  const job = { class: "x", cmd: "a", cp_results: null, count: 1, retry: null, timeout: null, notify: false };
  const setup = { addrs: ["m"], existing: false, class: null, cmds: ["true"], timeout: null, stagger: 0, notify: false };
  const tries = [
    () => desk.call("tag.new", {}, { requestId: "r1" }),
    () => desk.call("matrix.add", { ...job, keys: [{ name: "K", values: ["1"] }] }, { requestId: "r1" }),
    () => desk.add("a", {}, "r0"),
    () => desk.call("job.clone", { ids: ids(first), count: 1 }, { requestId: "r0" }),
    () => desk.call("machine.setup", setup, { requestId: "r0" }),
  ];
  const before = desk.daemon.engine.state.nextId;
  for (const again of tries) await expect(again()).rejects.toEqual(expect.objectContaining({ code: "request-id-reused" }));
  expect(desk.daemon.engine.state.nextId).toBe(before);
});
