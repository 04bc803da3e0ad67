/** What one client, or many, can hold: little, and not for long. */
import { expect, test } from "bun:test";
import { connect } from "../../../src/client/client.ts";
import { RequestGone } from "../../../src/daemon/server/handler.ts";
import { DEADLINES_MS, UNAUTHENTICATED_MAX } from "../../../src/daemon/server/limits.ts";
import { encodeClientMessage } from "../../../src/protocol/client-message.ts";
import { encodeHello } from "../../../src/protocol/handshake.ts";
import { waitFor } from "../../support/wait-for.ts";
import { RawPeer } from "./raw-peer.ts";
import { TestServer } from "./test-server.ts";

const ping = encodeClientMessage({ kind: "request", id: 1, method: "server.ping", params: {}, requestId: null });

test("a silent client is dropped when the time for the handshake is over", async () => {
  await using server = await TestServer.start({ deadlinesMs: { ...DEADLINES_MS, handshake: 200 } });
  using silent = await RawPeer.connect(server.port);
  using slow = await RawPeer.connect(server.port);
  const start = performance.now();
  const hello = encodeHello({ protocol: { major: 1, minor: 0 }, nonce: new Uint8Array(32), programVersion: "1" });
  let at = 0;
  await waitFor(() => {
    slow.write(hello.subarray(at, at + 1));
    at += 1;
    return silent.closed && slow.closed;
  });
  expect(performance.now() - start).toBeLessThan(DEADLINES_MS.handshake);
  expect([silent.receivedBytes, slow.receivedBytes]).toEqual([0, 0]);
});

test("a frame that trickles in is given up, one that is quick is answered", async () => {
  await using server = await TestServer.start({ deadlinesMs: { ...DEADLINES_MS, frame: 200 } });
  using slow = await RawPeer.authenticated(server.port, server.token);
  slow.write(ping.subarray(0, 6));
  using quick = await RawPeer.authenticated(server.port, server.token);
  quick.write(ping.subarray(0, 6));
  quick.write(ping.subarray(6));
  expect(await quick.answered(1)).toMatchObject({ kind: "result" });
  await waitFor(() => slow.closed);
  expect(quick.closed).toBe(false);
});

test("a connection without requests is closed, one that waits for an answer is not", async () => {
  await using server = await TestServer.start({
    deadlinesMs: { ...DEADLINES_MS, idle: 2_000 },
    handlers: {
      "job.wait": (_params, { signal }) => new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    },
  });
  using idle = await RawPeer.authenticated(server.port, server.token);
  using waiting = await RawPeer.authenticated(server.port, server.token);
  waiting.request(1, "job.wait", { ids: [], timeout: null });
  await waitFor(() => idle.closed);
  using later = await RawPeer.authenticated(server.port, server.token);
  await waitFor(() => later.closed);
  expect(waiting.closed).toBe(false);
});

test("a client that asks and never reads is dropped, and nobody else notices", async () => {
  const value = "x".repeat(1024 * 1024);
  const gone: unknown[] = [];
  await using server = await TestServer.start({
    deadlinesMs: { ...DEADLINES_MS, stalled: 300 },
    handlers: {
      "variable.list": () => Promise.resolve({ variables: Array.from({ length: 8 }, () => ({ name: "A", value, secret: false })) }),
      "job.wait": (_params, { signal }) =>
        new Promise((_resolve, reject) =>
          signal.addEventListener("abort", () => {
            gone.push(signal.reason);
            reject(signal.reason);
          }),
        ),
    },
  });
  using deaf = await RawPeer.authenticated(server.port, server.token);
  deaf.pause();
  deaf.request(99, "job.wait", { ids: [], timeout: null });
  for (let id = 1; id <= 10; id += 1) deaf.request(id, "variable.list", {});
  using other = await RawPeer.authenticated(server.port, server.token);
  other.write(ping);
  expect(await other.answered(1)).toMatchObject({ kind: "result" });
  await waitFor(() => gone.length > 0);
  expect(gone).toEqual([new RequestGone("disconnected")]);
  expect(server.errors).toEqual([]);
});

test("300 silent connections keep no honest client out, and few of them stay", async () => {
  await using server = await TestServer.start();
  const silent = await Promise.all(Array.from({ length: 300 }, () => RawPeer.connect(server.port)));
  const client = await connect({ address: server.address, tokenFile: server.tokenFile });
  expect(await client.call("server.ping", {})).toEqual({ version: "9.8.7" });
  client.close();
  await waitFor(() => silent.filter((peer) => !peer.closed).length <= UNAUTHENTICATED_MAX);
  expect(silent.some((peer) => peer.receivedBytes > 0)).toBe(false);
  for (const peer of silent) peer[Symbol.dispose]();
});

test("100 clients at the same moment are all served", async () => {
  await using server = await TestServer.start();
  const answers = await Promise.all(
    Array.from({ length: 100 }, async () => {
      const client = await connect({ address: server.address, tokenFile: server.tokenFile });
      const answer = await client.call("server.ping", {});
      client.close();
      return answer.version;
    }),
  );
  expect(new Set(answers)).toEqual(new Set(["9.8.7"]));
});

test("a client beyond the number of connections is told so", async () => {
  await using server = await TestServer.start();
  const options = { address: server.address, tokenFile: server.tokenFile };
  const clients = [];
  let refusal: unknown = null;
  while (refusal === null && clients.length < 300) {
    try {
      clients.push(await connect(options));
    } catch (error) {
      refusal = error;
    }
  }
  expect(refusal).toMatchObject({ code: "server-busy", data: { reason: "too-many-connections" } });
  clients.pop()?.close();
  await waitFor(async () => {
    const again = await connect(options).catch(() => null);
    again?.close();
    return again !== null;
  });
  for (const client of clients) client.close();
});
