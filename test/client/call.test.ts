import { expect, test } from "bun:test";
import { connect } from "../../src/client/client.ts";
import { ClientHandshake } from "../../src/client/handshake.ts";
import type { Handlers } from "../../src/daemon/server/handler.ts";
import { ServerHandshake } from "../../src/daemon/server/handshake.ts";
import { encode } from "../../src/protocol/codec.ts";
import { RequestError } from "../../src/protocol/error.ts";
import { frame } from "../../src/protocol/frame.ts";
import { forwardPort } from "../daemon/server/forwarder.ts";
import { TestServer } from "../daemon/server/test-server.ts";
import { waitFor } from "../support/wait-for.ts";

const FOLLOW = { jid: 1, stream: "stdout", tail_bytes: null } as const;

/** A server that remembers the request ids of its changes and does each once, behind a forward that cuts the connection at one piece of bytes from the server, or at all from one on. */
async function cutting(
  at: { readonly piece: number } | { readonly fromPiece: number },
): Promise<{ readonly server: TestServer; readonly done: string[]; readonly asked: string[]; readonly address: string } & AsyncDisposable> {
  const done: string[] = [];
  const asked: string[] = [];
  const set: Handlers["variable.set"] = (_params, { requestId }) => {
    asked.push(requestId ?? "none");
    if (requestId !== null && !done.includes(requestId)) done.push(requestId);
    return Promise.resolve({});
  };
  const server = await TestServer.start({ handlers: { "variable.set": set } });
  let pieces = 0;
  const onDownstream = (): boolean => {
    pieces += 1;
    return "piece" in at ? pieces !== at.piece : pieces < at.fromPiece;
  };
  const forward = await forwardPort({ host: "127.0.0.2", port: server.port, to: { host: "127.0.0.1", port: server.port }, onDownstream });
  const dispose = async (): Promise<void> => {
    await forward[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  };
  return { server, done, asked, address: `127.0.0.2:${forward.port}`, [Symbol.asyncDispose]: dispose };
}

const VARIABLE = { name: "A", value: "1", secret: false };

test("a change whose answer is lost is asked again with the same request id, and done once", async () => {
  // Pieces from the server: hello, acceptance, the answer.
  await using cut = await cutting({ piece: 3 });
  const client = await connect({ address: cut.address, tokenFile: cut.server.tokenFile });
  expect(await client.call("variable.set", VARIABLE)).toEqual({});
  expect(cut.asked).toHaveLength(2);
  expect(cut.done).toHaveLength(1);
  expect(await client.call("variable.set", VARIABLE)).toEqual({});
  expect(cut.done).toHaveLength(2);
  client.close();
});

test("a change that stays without an answer is connection-lost with an unknown outcome", async () => {
  await using cut = await cutting({ fromPiece: 3 });
  const client = await connect({ address: cut.address, tokenFile: cut.server.tokenFile });
  await expect(client.call("variable.set", VARIABLE)).rejects.toMatchObject({ code: "connection-lost", data: { outcome: "unknown" } });
  expect(cut.done).toHaveLength(1);
  client.close();
});

test("a connection lost between two calls is made anew for the second", async () => {
  await using server = await TestServer.start();
  const route = { host: "127.0.0.2", port: server.port, to: { host: "127.0.0.1", port: server.port } };
  const first = await forwardPort(route);
  const client = await connect({ address: `127.0.0.2:${server.port}`, tokenFile: server.tokenFile });
  expect(await client.call("server.ping", {})).toEqual({ version: "9.8.7" });
  await first[Symbol.asyncDispose]();
  await using _second = await forwardPort(route);
  expect(await client.call("server.ping", {})).toEqual({ version: "9.8.7" });
  client.close();
});

test("a refusal is a RequestError with the server's code and data", async () => {
  await using server = await TestServer.start({
    handlers: { "job.show": () => Promise.reject(new RequestError("no-such-job", { jid: 7 })) },
  });
  const client = await connect({ address: server.address, tokenFile: server.tokenFile });
  await expect(client.call("job.show", { ids: [] })).rejects.toEqual(new RequestError("no-such-job", { jid: 7 }));
  client.close();
});

test("only changes carry a request id, each its own", async () => {
  const ids: (string | null)[] = [];
  await using server = await TestServer.start({
    handlers: {
      "variable.set": (_params, { requestId }) => {
        ids.push(requestId);
        return Promise.resolve({});
      },
      "variable.list": (_params, { requestId }) => {
        ids.push(requestId);
        return Promise.resolve({ variables: [] });
      },
    },
  });
  const client = await connect({ address: server.address, tokenFile: server.tokenFile });
  await client.call("variable.set", VARIABLE);
  await client.call("variable.set", VARIABLE);
  await client.call("variable.list", {});
  expect(ids[0]).toMatch(/^[0-9a-f-]{36}$/);
  expect(ids[1]).toMatch(/^[0-9a-f-]{36}$/);
  expect(ids[0]).not.toBe(ids[1] ?? null);
  expect(ids[2]).toBeNull();
  client.close();
});

test("many calls at once share one connection", async () => {
  const gates: (() => void)[] = [];
  await using server = await TestServer.start({
    handlers: {
      "machine.list": async (params) => {
        await new Promise<void>((resolve) => gates.push(resolve));
        return { machines: [{ addr: params.class ?? "", class: "c", state: "free", running: null, failures: 0, reason: null, since: "" }] };
      },
    },
  });
  const client = await connect({ address: server.address, tokenFile: server.tokenFile });
  const calls = Array.from({ length: 50 }, (_, index) => client.call("machine.list", { class: `c${index}` }));
  await waitFor(() => gates.length === 50);
  for (const open of gates.reverse()) open();
  const answers = await Promise.all(calls);
  expect(answers.map((answer) => answer.machines[0]?.addr)).toEqual(Array.from({ length: 50 }, (_, index) => `c${index}`));
  client.close();
});

test("a stream cut in the middle hands over what came and then fails", async () => {
  await using server = await TestServer.start({
    handlers: {
      "job.follow": async (_params, { emit, signal }) => {
        await emit(Uint8Array.of(1));
        await new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
        return { status: "done" };
      },
    },
  });
  await using forward = await forwardPort({ host: "127.0.0.2", port: server.port, to: { host: "127.0.0.1", port: server.port } });
  const client = await connect({ address: `127.0.0.2:${forward.port}`, tokenFile: server.tokenFile });
  const stream = client.stream("job.follow", FOLLOW);
  const seen: Uint8Array[] = [];
  const reading = (async () => {
    for await (const chunk of stream) {
      seen.push(chunk);
      await forward[Symbol.asyncDispose]();
    }
  })();
  await expect(reading).rejects.toMatchObject({ code: "connection-lost" });
  await expect(stream.result).rejects.toMatchObject({ code: "connection-lost" });
  expect(seen).toEqual([Buffer.from([1])]);
  client.close();
});

test("closing the client rejects what is under way", async () => {
  await using server = await TestServer.start({
    handlers: {
      "job.wait": (_params, { signal }) => new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    },
  });
  const client = await connect({ address: server.address, tokenFile: server.tokenFile });
  const call = client.call("job.wait", { ids: [], timeout: null });
  client.close();
  await expect(call).rejects.toMatchObject({ code: "connection-lost" });
  await expect(client.call("server.ping", {})).rejects.toMatchObject({ code: "connection-lost" });
});

/** A server that does the handshake and then answers every request with the same bytes. */
function answersWith(reply: Uint8Array, token: Uint8Array): Bun.TCPSocketListener<ServerHandshake | null> {
  const listener: Bun.TCPSocketListener<ServerHandshake | null> = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => {
        socket.data = new ServerHandshake({
          token,
          port: listener.port,
          nonce: new Uint8Array(32),
          programVersion: "3.0.0",
          admission: () => "accepted",
        });
      },
      data: (socket, bytes) => {
        if (socket.data === null) {
          socket.write(reply);
          return;
        }
        const step = socket.data.push(bytes);
        if (step.kind !== "wait") socket.write(step.bytes);
        if (step.kind === "accept") socket.data = null;
      },
    },
  });
  return listener;
}

test("unknown fields of a newer server are dropped, a result that does not fit is a version mismatch", async () => {
  await using server = await TestServer.start();
  const cases = [
    [{ id: 1, result: { version: "3.0.0", colour: "green" }, more: [] }, { version: "3.0.0" }],
    [
      { id: 1, result: { colour: "green" } },
      { code: "version-mismatch", data: { method: "server.ping", field: "version", server_version: "3.0.0" } },
    ],
    [
      { id: 1, error: { code: "a-code-of-the-future", data: { x: 1 }, hint: "?" } },
      { code: "a-code-of-the-future", data: { x: 1 } },
    ],
    [{ id: 0, error: { code: "bad-frame", data: {} } }, { code: "bad-frame" }],
  ] as const;
  for (const [reply, expected] of cases) {
    const listener = answersWith(frame(encode(reply)), server.token);
    const client = await connect({ address: `127.0.0.1:${listener.port}`, tokenFile: server.tokenFile });
    const outcome: unknown = await client.call("server.ping", {}).catch((error: unknown) => error);
    expect(outcome).toMatchObject(expected);
    client.close();
    listener.stop(true);
  }
});

test("a frame that is no message of ours ends the connection with a code", async () => {
  await using server = await TestServer.start();
  for (const reply of [Uint8Array.of(0xff, 0xff, 0xff, 0xff), frame(Uint8Array.of(0xc1)), frame(encode(["x"])), frame(encode({ id: 1 }))]) {
    const listener = answersWith(reply, server.token);
    const client = await connect({ address: `127.0.0.1:${listener.port}`, tokenFile: server.tokenFile });
    await expect(client.call("server.ping", {})).rejects.toMatchObject({ code: "connection-lost" });
    client.close();
    listener.stop(true);
  }
});

test("both halves of the handshake agree for any versions, and never with different ports or tokens", () => {
  const nonce = new Uint8Array(32);
  const token = new Uint8Array(32).fill(1);
  for (const [port, otherToken, accepted] of [
    [3030, token, true],
    [3031, token, false],
    [3030, new Uint8Array(32), false],
  ] as const) {
    const server = new ServerHandshake({ token, port: 3030, nonce, programVersion: "2", admission: () => "accepted" });
    const client = new ClientHandshake({ token: () => otherToken, port, nonce, programVersion: "1" });
    const hello = server.push(client.hello);
    const proof = hello.kind === "send" ? client.push(hello.bytes) : null;
    const last = proof?.kind === "send" ? server.push(proof.bytes) : null;
    expect(last?.kind).toBe(accepted ? "accept" : "close");
    if (last?.kind === "accept") expect(client.push(last.bytes)).toEqual({ kind: "done", serverVersion: "2" });
  }
});
