/** What the server says of itself, and that replies are kept within bounds. */
import { expect, test } from "bun:test";
import { Replies } from "../../../src/daemon/handlers/replies.ts";
import { chunked, REPLY_BYTES_MAX, ReplySize } from "../../../src/daemon/handlers/reply-size.ts";
import { Desk } from "./desk.ts";

test("status counts jobs and machines by state; a stop is asked for once however often the request comes", async () => {
  await using desk = await Desk.open();
  await desk.daemon.pool("x", "a", "b");
  await desk.add();
  await desk.daemon.until(0, "running");
  expect(await desk.call("server.status", {})).toMatchObject({
    version: "1.2.3",
    pid: process.pid,
    jobs: { running: 1 },
    machines: { free: 1, busy: 1, quarantined: 0, unreachable: 0 },
    conditions: [],
  });
  expect(await desk.call("server.ping", {})).toEqual({ version: "1.2.3" });
  await desk.call("server.stop", {}, { requestId: "r1" });
  expect(desk.stopsAsked).toBe(1);
});

test("a reply is kept for tries that come together and later, not when it failed, and not for ever", async () => {
  const replies = new Replies();
  let made = 0;
  const make = async (): Promise<number> => ++made;
  expect(await Promise.all([replies.once("a", make), replies.once("a", make)])).toEqual([1, 1]);
  expect(await replies.once(null, make)).toBe(2);
  const fails = replies.once("b", () => Promise.reject(new Error("planted")));
  expect(await fails.catch(String)).toContain("planted");
  expect(await replies.once("b", make)).toBe(3);
  for (let id = 0; id < 300; id++) await replies.once(`c${id}`, make);
  expect(await replies.once("a", make)).toBe(made);
});

test("chunks are whole, in order, and small", () => {
  expect([...chunked([], String)]).toEqual([]);
  const chunks = [
    ...chunked(
      Array.from({ length: 250 }, (_, index) => index),
      String,
    ),
  ];
  expect(chunks.map((chunk) => chunk.length)).toEqual([100, 100, 50]);
  expect(chunks.flat()).toEqual(Array.from({ length: 250 }, (_, index) => String(index)));
  const size = new ReplySize();
  expect(size.takes("x".repeat(REPLY_BYTES_MAX - 10))).toBe(true);
  expect(() => size.require("x".repeat(100))).toThrow("limit-exceeded");
});
