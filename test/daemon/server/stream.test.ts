import { expect, test } from "bun:test";
import { connect } from "../../../src/client/client.ts";
import { RequestGone } from "../../../src/daemon/server/handler.ts";
import { EMITS_WAITING_MAX } from "../../../src/daemon/server/limits.ts";
import { STREAM_WINDOW_BYTES } from "../../../src/protocol/limits.ts";
import { waitFor } from "../../support/wait-for.ts";
import { RawPeer } from "./raw-peer.ts";
import { TestServer } from "./test-server.ts";

const CHUNK_BYTES = 64 * 1024;
const FOLLOW = { jid: 1, stream: "stdout", tail_bytes: null } as const;

interface Flood {
  emitted: number;
  ended: unknown;
}

/** A server whose job.follow sends `chunks` numbered chunks as fast as it may. */
async function flooding(chunks: number): Promise<{ server: TestServer; flood: Flood }> {
  const flood: Flood = { emitted: 0, ended: null };
  const server = await TestServer.start({
    handlers: {
      "job.follow": async (_params, { emit }) => {
        try {
          for (; flood.emitted < chunks; flood.emitted += 1) await emit(new Uint8Array(CHUNK_BYTES).fill(flood.emitted & 0xff));
          return { status: "done" };
        } catch (error) {
          flood.ended = error;
          throw error;
        }
      },
    },
  });
  return { server, flood };
}

/** Waits until it has stood still for several looks. */
async function standsStill(value: () => number): Promise<void> {
  let last = -1;
  let still = 0;
  await waitFor(
    () => {
      still = value() === last ? still + 1 : 0;
      last = value();
      return still >= 10;
    },
    { everyMs: 20 },
  );
}

test("chunks arrive whole and in order, then the result", async () => {
  const { server, flood } = await flooding(200);
  await using _closing = server;
  const client = await connect({ address: server.address, tokenFile: server.tokenFile });
  const stream = client.stream("job.follow", FOLLOW);
  let next = 0;
  for await (const chunk of stream) {
    expect([chunk.length, chunk[0], chunk[CHUNK_BYTES - 1]]).toEqual([CHUNK_BYTES, next & 0xff, next & 0xff]);
    next += 1;
  }
  expect(await stream.result).toEqual({ status: "done" });
  expect([next, flood.emitted]).toEqual([200, 200]);
  client.close();
});

test("a client that reads but does not acknowledge gets one window", async () => {
  const { server, flood } = await flooding(10_000);
  await using _closing = server;
  using peer = await RawPeer.authenticated(server.port, server.token);
  peer.request(1, "job.follow", FOLLOW);
  await standsStill(() => flood.emitted);
  expect(peer.receivedBytes).toBeGreaterThanOrEqual(STREAM_WINDOW_BYTES);
  expect(peer.receivedBytes).toBeLessThan(STREAM_WINDOW_BYTES + 2 * CHUNK_BYTES);
  peer.request(2, "server.ping", {});
  expect(await peer.answered(2)).toMatchObject({ kind: "result" });
});

test("many streams to a client that stops reading cost bounded memory, and are dropped with it", async () => {
  const { server, flood } = await flooding(1_000_000);
  await using _closing = server;
  using peer = await RawPeer.authenticated(server.port, server.token);
  peer.pause();
  for (let id = 1; id <= 20; id += 1) peer.request(id, "job.follow", FOLLOW);
  await standsStill(() => flood.emitted);
  // At most a window a stream, the high-water mark and what the kernel holds: far below the 65 GB that were to be sent.
  expect(flood.emitted * CHUNK_BYTES).toBeLessThan(20 * (STREAM_WINDOW_BYTES + CHUNK_BYTES));
  peer[Symbol.dispose]();
  await waitFor(() => flood.ended !== null);
  expect(flood.ended).toEqual(new RequestGone("disconnected"));
  expect(server.errors).toEqual([]);
});

test("a slow reader of a stream can ask other things in between", async () => {
  const { server } = await flooding(60);
  await using _closing = server;
  const client = await connect({ address: server.address, tokenFile: server.tokenFile });
  let chunks = 0;
  for await (const _chunk of client.stream("job.follow", FOLLOW)) {
    chunks += 1;
    expect(await client.call("server.ping", {})).toEqual({ version: "9.8.7" });
  }
  expect(chunks).toBe(60);
  client.close();
});

test("leaving the loop cancels the stream at the server", async () => {
  const { server, flood } = await flooding(1_000_000);
  await using _closing = server;
  const client = await connect({ address: server.address, tokenFile: server.tokenFile });
  const stream = client.stream("job.follow", FOLLOW);
  for await (const _chunk of stream) break;
  await waitFor(() => flood.ended !== null);
  expect(flood.ended).toEqual(new RequestGone("canceled"));
  await expect(stream.result).rejects.toMatchObject({ code: "canceled" });
  expect(await client.call("server.ping", {})).toEqual({ version: "9.8.7" });
  client.close();
});

test("a handler that does not await its chunks is a fault of ours, found early", async () => {
  await using server = await TestServer.start({
    handlers: {
      "job.follow": async (_params, { emit }) => {
        await Promise.all(Array.from({ length: EMITS_WAITING_MAX + 1 }, () => emit(new Uint8Array(1))));
        return { status: "done" };
      },
    },
  });
  using peer = await RawPeer.authenticated(server.port, server.token);
  peer.request(1, "job.follow", FOLLOW);
  expect(await peer.answered(1)).toMatchObject({ error: { code: "internal" } });
  expect(String(server.errors[0]?.error)).toContain("without awaiting");
});
