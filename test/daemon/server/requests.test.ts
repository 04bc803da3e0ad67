import { expect, test } from "bun:test";
import type { Handlers } from "../../../src/daemon/server/handler.ts";
import { RequestGone } from "../../../src/daemon/server/handler.ts";
import { encodeClientMessage } from "../../../src/protocol/client-message.ts";
import { encode } from "../../../src/protocol/codec.ts";
import { RequestError } from "../../../src/protocol/error.ts";
import { frame } from "../../../src/protocol/frame.ts";
import { FRAME_BYTES_MAX, REQUESTS_IN_FLIGHT_MAX } from "../../../src/protocol/limits.ts";
import { waitFor } from "../../support/wait-for.ts";
import { RawPeer } from "./raw-peer.ts";
import { TestServer } from "./test-server.ts";

async function talk(handlers: Partial<Handlers> = {}): Promise<{ server: TestServer; peer: RawPeer } & AsyncDisposable> {
  const server = await TestServer.start({ handlers });
  const peer = await RawPeer.authenticated(server.port, server.token);
  expect(peer.open).toBe(true);
  const close = async (): Promise<void> => {
    peer[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  };
  return { server, peer, [Symbol.asyncDispose]: close };
}

test("a request is answered with the handler's result", async () => {
  await using talking = await talk();
  talking.peer.request(1, "server.ping", {});
  expect(await talking.peer.answered(1)).toEqual({ kind: "result", id: 1, result: { version: "9.8.7" } });
});

test("requests on one connection are answered in the order in which they are done", async () => {
  const gate = Promise.withResolvers<void>();
  await using talking = await talk({
    "job.wait": async () => {
      await gate.promise;
      return { timed_out: false, jobs: [], missing: [] };
    },
  });
  talking.peer.request(1, "job.wait", { ids: [], timeout: null });
  talking.peer.request(2, "server.ping", {});
  await talking.peer.answered(2);
  expect(talking.peer.answer(1)).toBeUndefined();
  gate.resolve();
  await talking.peer.answered(1);
  expect(talking.peer.messages.map((message) => message.id)).toEqual([2, 1]);
});

test("an unknown method is answered with the server's version, and the connection goes on", async () => {
  await using talking = await talk();
  for (const method of ["job.fly", "__proto__", "constructor", "toString"]) {
    const id = method.length;
    talking.peer.request(id, method, {});
    expect(await talking.peer.answered(id)).toEqual({
      kind: "error",
      id,
      error: { code: "unknown-method", data: { method, version: "9.8.7" } },
    });
  }
});

test("parameters that do not fit are refused by field, without their value", async () => {
  await using talking = await talk();
  talking.peer.request(1, "variable.set", { name: "A", value: ["canary-7261"], secret: true });
  const answer = await talking.peer.answered(1);
  expect(answer).toMatchObject({ kind: "error", error: { code: "bad-request", data: { method: "variable.set", field: "value" } } });
  expect(JSON.stringify(answer)).not.toContain("canary");
  expect(talking.server.errors).toEqual([]);
});

test("a parameter above its limit is refused by the limit's name", async () => {
  await using talking = await talk();
  talking.peer.request(1, "variable.set", { name: "A", value: "x".repeat(65_537), secret: false });
  expect(await talking.peer.answered(1)).toMatchObject({
    kind: "error",
    error: { code: "limit-exceeded", data: { what: "value", max: 65_536 } },
  });
});

test("unknown parameters are dropped", async () => {
  let seen: unknown;
  await using talking = await talk({
    "machine.list": (params) => {
      seen = params;
      return Promise.resolve({ machines: [] });
    },
  });
  talking.peer.request(1, "machine.list", { class: "fast", colour: "green" });
  await talking.peer.answered(1);
  expect(seen).toEqual({ class: "fast" });
});

test("a RequestError is answered with its code and data", async () => {
  await using talking = await talk({ "job.show": () => Promise.reject(new RequestError("no-such-job", { jid: 7 })) });
  talking.peer.request(1, "job.show", { ids: [] });
  expect(await talking.peer.answered(1)).toEqual({ kind: "error", id: 1, error: { code: "no-such-job", data: { jid: 7 } } });
  expect(talking.server.errors).toEqual([]);
});

test("any other exception is logged in full and answered without details", async () => {
  const fault = new Error("disk /secret/path on fire");
  await using talking = await talk({
    "job.show": () => {
      throw fault;
    },
  });
  talking.peer.request(1, "job.show", { ids: [] });
  expect(await talking.peer.answered(1)).toEqual({ kind: "error", id: 1, error: { code: "internal", data: {} } });
  expect(talking.server.errors).toEqual([{ error: fault, where: "job.show" }]);
});

test("the request id reaches the handler", async () => {
  const seen: (string | null)[] = [];
  await using talking = await talk({
    "server.stop": (_params, context) => {
      seen.push(context.requestId);
      return Promise.resolve({ pid: 1 });
    },
  });
  talking.peer.write(encodeClientMessage({ kind: "request", id: 1, method: "server.stop", params: {}, requestId: "abc-1" }));
  await talking.peer.answered(1);
  expect(seen).toEqual(["abc-1"]);
});

function waitsForItsSignal(reasons: unknown[]): Handlers["job.wait"] {
  return (_params, { signal }) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => {
        reasons.push(signal.reason);
        reject(signal.reason);
      });
    });
}

test("a canceled request is aborted and ends with the code canceled", async () => {
  const reasons: unknown[] = [];
  await using talking = await talk({ "job.wait": waitsForItsSignal(reasons) });
  talking.peer.request(1, "job.wait", { ids: [], timeout: null });
  talking.peer.write(encodeClientMessage({ kind: "cancel", id: 1 }));
  expect(await talking.peer.answered(1)).toEqual({ kind: "error", id: 1, error: { code: "canceled", data: {} } });
  expect(reasons).toEqual([new RequestGone("canceled")]);
});

test("a client that goes away aborts what it asked for", async () => {
  const reasons: unknown[] = [];
  let begun = false;
  const wait = waitsForItsSignal(reasons);
  await using talking = await talk({
    "job.wait": (params, context) => {
      begun = true;
      return wait(params, context);
    },
  });
  talking.peer.request(1, "job.wait", { ids: [], timeout: null });
  await waitFor(() => begun);
  talking.peer[Symbol.dispose]();
  await waitFor(() => reasons.length > 0);
  expect(reasons).toEqual([new RequestGone("disconnected")]);
  expect(talking.server.errors).toEqual([]);
});

test("requests beyond the limit in flight are refused, the others are not", async () => {
  await using talking = await talk({ "job.wait": waitsForItsSignal([]) });
  for (let id = 1; id <= REQUESTS_IN_FLIGHT_MAX + 1; id += 1) talking.peer.request(id, "job.wait", { ids: [], timeout: null });
  expect(await talking.peer.answered(REQUESTS_IN_FLIGHT_MAX + 1)).toMatchObject({
    error: { code: "limit-exceeded", data: { what: "requests-in-flight" } },
  });
  expect(talking.peer.messages).toHaveLength(1);
  talking.peer.write(encodeClientMessage({ kind: "cancel", id: 1 }));
  await talking.peer.answered(1);
  talking.peer.request(100, "server.ping", {});
  expect(await talking.peer.answered(100)).toMatchObject({ kind: "result" });
});

test("a reply that fits no frame is an error of that request alone", async () => {
  await using talking = await talk({
    "variable.list": () => Promise.resolve({ variables: [{ name: "A", value: "x".repeat(FRAME_BYTES_MAX), secret: false }] }),
  });
  talking.peer.request(1, "variable.list", {});
  expect(await talking.peer.answered(1)).toMatchObject({
    error: { code: "limit-exceeded", data: { what: "reply", max: FRAME_BYTES_MAX } },
  });
  talking.peer.request(2, "server.ping", {});
  expect(await talking.peer.answered(2)).toMatchObject({ kind: "result" });
});

test.each([
  [
    "a second request under an id in use",
    Buffer.concat(
      [1, 2].map(() =>
        encodeClientMessage({ kind: "request", id: 1, method: "job.wait", params: { ids: [], timeout: null }, requestId: null }),
      ),
    ),
    "bad-envelope",
  ],
  ["a frame announced too long", Uint8Array.of(0xff, 0xff, 0xff, 0xff), "too-long"],
  ["an empty frame", Uint8Array.of(0, 0, 0, 0), "empty"],
  ["bytes that are no message", frame(Uint8Array.of(0xc1)), "reserved-type"],
  ["a message without a method", frame(encode({ id: 4 })), "bad-envelope"],
  ["a request under the connection's own id", frame(encode({ id: 0, method: "server.ping", params: {} })), "bad-envelope"],
])("%s is named and ends the connection", async (_what, bytes, fault) => {
  await using talking = await talk({ "job.wait": waitsForItsSignal([]) });
  talking.peer.write(bytes);
  await waitFor(() => talking.peer.closed);
  expect(talking.peer.messages).toEqual([{ kind: "error", id: 0, error: { code: "bad-frame", data: { fault } } }]);
});

test("a stopping server answers what is in flight and closes", async () => {
  await using talking = await talk({ "job.wait": waitsForItsSignal([]) });
  talking.peer.request(1, "job.wait", { ids: [], timeout: null });
  talking.peer.request(2, "server.ping", {});
  await talking.peer.answered(2);
  await talking.server.server.stop();
  await waitFor(() => talking.peer.closed);
  expect(talking.peer.answer(1)).toEqual({ kind: "error", id: 1, error: { code: "shutting-down", data: {} } });
});

test("a handler that stops the server is answered first", async () => {
  let server: TestServer | null = null;
  let stopped: Promise<void> | undefined;
  await using talking = await talk({
    "server.stop": () => {
      stopped = server?.server.stop();
      return Promise.resolve({ pid: 42 });
    },
  });
  server = talking.server;
  talking.peer.request(1, "server.stop", {});
  expect(await talking.peer.answered(1)).toEqual({ kind: "result", id: 1, result: { pid: 42 } });
  await stopped;
  await waitFor(() => talking.peer.closed);
});
