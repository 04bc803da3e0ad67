/** Who may speak to the server: nobody who has not proved the token, on this server's port, for this very connection. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { ClientHandshake } from "../../../src/client/handshake.ts";
import { encodeClientMessage } from "../../../src/protocol/client-message.ts";
import { encodeHello, HANDSHAKE_STATUS, MAGIC, proof, readHello } from "../../../src/protocol/handshake.ts";
import { PROTOCOL_VERSION } from "../../../src/protocol/version.ts";
import { FOREIGN_PROTOCOLS, type Foreign } from "../../support/foreign-protocols.ts";
import { waitFor } from "../../support/wait-for.ts";
import { forwardPort } from "./forwarder.ts";
import { RawPeer } from "./raw-peer.ts";
import { TestServer } from "./test-server.ts";

const nonce = new Uint8Array(32).fill(7);
const hello = encodeHello({ protocol: { major: 1, minor: 0 }, nonce, programVersion: "1.2.3" });

const FOREIGN: readonly Foreign[] = [
  ...FOREIGN_PROTOCOLS,
  ["the right first byte and no more of the magic", Uint8Array.of(0xe7, 0x20)],
  ["a hello with a version that is no text", hello.with(hello.length - 1, 0x1b)],
  ["more than a hello at once", Buffer.concat([hello, new Uint8Array(32)])],
  [
    "hello, proof and request in one go",
    Buffer.concat([
      hello,
      new Uint8Array(32),
      encodeClientMessage({ kind: "request", id: 1, method: "server.stop", params: {}, requestId: null }),
    ]),
  ],
];

test.each([...FOREIGN])("%s gets no byte and is hung up on", async (_name, bytes) => {
  await using server = await TestServer.start();
  using peer = await RawPeer.connect(server.port);
  peer.write(bytes);
  await waitFor(() => peer.closed);
  expect(peer.receivedBytes).toBe(0);
  expect(server.errors).toEqual([]);
});

test("a hello that is not complete gets no byte, however it begins", async () => {
  await using server = await TestServer.start();
  using other = await RawPeer.connect(server.port);
  for (const length of [0, 1, MAGIC.length, MAGIC.length + 4, hello.length - 1]) {
    using peer = await RawPeer.connect(server.port);
    peer.write(hello.subarray(0, length));
    await waitFor(async () => (await RawPeer.authenticated(server.port, server.token)).open);
    expect({ length, bytes: peer.receivedBytes, closed: peer.closed }).toEqual({ length, bytes: 0, closed: false });
  }
  expect(other.receivedBytes).toBe(0);
  expect(server.errors).toEqual([]);
});

test("random bytes get no byte", async () => {
  await using server = await TestServer.start();
  const notOurs = fc.uint8Array({ minLength: 1, maxLength: 400 }).filter((bytes) => bytes[0] !== MAGIC[0]);
  await fc.assert(
    fc.asyncProperty(notOurs, async (bytes) => {
      using peer = await RawPeer.connect(server.port);
      peer.write(bytes);
      await waitFor(() => peer.closed, { everyMs: 1 });
      expect(peer.receivedBytes).toBe(0);
    }),
    { numRuns: 100 },
  );
});

test("a hello that comes byte by byte is as good as one in a piece", async () => {
  await using server = await TestServer.start();
  using peer = await RawPeer.connect(server.port);
  for (const byte of hello) peer.write(Uint8Array.of(byte));
  await waitFor(() => peer.receivedBytes > 0);
  expect(readHello(peer.received)).toMatchObject({ kind: "hello", hello: { protocol: { major: 1 }, programVersion: "9.8.7" } });
});

test("a client of another major learns the server's version and is hung up on", async () => {
  await using server = await TestServer.start();
  using peer = await RawPeer.connect(server.port);
  peer.write(encodeHello({ protocol: { major: 2, minor: 0 }, nonce, programVersion: "7.0.0" }));
  await waitFor(() => peer.closed);
  const read = readHello(peer.received);
  expect(read).toMatchObject({ kind: "hello", length: peer.receivedBytes, hello: { protocol: PROTOCOL_VERSION } });
});

test("a client of another minor is welcome", async () => {
  await using server = await TestServer.start();
  using peer = await RawPeer.connect(server.port);
  const newer = encodeHello({ protocol: { major: 1, minor: 99 }, nonce, programVersion: "7.0.0" });
  peer.write(newer);
  await waitFor(() => peer.receivedBytes > 0);
  const serverHello = peer.received;
  peer.write(proof({ token: server.token, role: "client", clientHello: newer, serverHello, port: server.port }));
  await waitFor(() => peer.receivedBytes > serverHello.length);
  expect(peer.received[serverHello.length]).toBe(HANDSHAKE_STATUS.accepted);
});

test("a wrong token gets the answer not-allowed and nothing that the right one could make", async () => {
  await using server = await TestServer.start();
  using peer = await RawPeer.connect(server.port);
  peer.write(hello);
  await waitFor(() => peer.receivedBytes > 0);
  const serverHello = peer.received;
  peer.write(proof({ token: new Uint8Array(32), role: "client", clientHello: hello, serverHello, port: server.port }));
  await waitFor(() => peer.closed);
  expect([...peer.received.subarray(serverHello.length)]).toEqual([HANDSHAKE_STATUS["not-allowed"]]);
});

test("a recorded handshake is worth nothing the second time", async () => {
  await using server = await TestServer.start();
  const sent: Uint8Array[] = [];
  await using recorder = await forwardPort({ to: { host: "127.0.0.1", port: server.port }, onUpstream: (bytes) => sent.push(bytes) });
  // The recorder stands on another port, so the client is made to believe in the server's.
  using peer = await RawPeer.connect(recorder.port);
  const handshake = new ClientHandshake({ token: () => server.token, port: server.port, nonce, programVersion: "1" });
  peer.write(handshake.hello);
  await waitFor(() => peer.receivedBytes > 0);
  const step = handshake.push(peer.received);
  const helloLength = peer.receivedBytes;
  if (step.kind === "send") peer.write(step.bytes);
  await waitFor(() => peer.receivedBytes > helloLength);
  expect(peer.received[helloLength]).toBe(HANDSHAKE_STATUS.accepted);

  const [recordedHello, recordedProof] = sent;
  using replay = await RawPeer.connect(server.port);
  replay.write(recordedHello ?? "");
  await waitFor(() => replay.receivedBytes > 0);
  const replayedHelloLength = replay.receivedBytes;
  replay.write(recordedProof ?? "");
  await waitFor(() => replay.closed);
  expect([...replay.received.subarray(replayedHelloLength)]).toEqual([HANDSHAKE_STATUS["not-allowed"]]);
});
