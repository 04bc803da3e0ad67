import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as v from "valibot";
import { formatAddress, isLoopback, parseAddress } from "../../src/protocol/address.ts";
import { decodeServerMessage, encodeClientMessage } from "../../src/protocol/client-message.ts";
import { decode, encode } from "../../src/protocol/codec.ts";
import { encodeHello, MAGIC, proof, readHello, sameProof } from "../../src/protocol/handshake.ts";
import { type ClientMessage, decodeClientMessage, encodeServerMessage, type ServerMessage } from "../../src/protocol/message.ts";
import { METHODS } from "../../src/protocol/methods.ts";
import { formatToken, parseToken } from "../../src/protocol/token.ts";
import { worksWith } from "../../src/protocol/version.ts";

const id = fc.integer({ min: 1, max: 2 ** 32 - 1 });

test("messages of a client arrive as they were sent", () => {
  const message: fc.Arbitrary<ClientMessage> = fc.oneof(
    fc.record({
      kind: fc.constant("request" as const),
      id,
      method: fc.string({ minLength: 1, maxLength: 100 }),
      params: fc.jsonValue(),
      requestId: fc.option(fc.stringMatching(/^[0-9A-Za-z_-]{1,64}$/)),
    }),
    fc.record({ kind: fc.constant("cancel" as const), id }),
    fc.record({ kind: fc.constant("ack" as const), id, bytes: fc.integer({ min: 1, max: 2 ** 40 }) }),
  );
  fc.assert(
    fc.property(message, (sent) => {
      const received = decodeClientMessage(encodeClientMessage(sent).subarray(4));
      expect(JSON.parse(JSON.stringify(received))).toEqual(JSON.parse(JSON.stringify(sent)));
    }),
  );
});

test("messages of a server arrive as they were sent", () => {
  const messages: ServerMessage[] = [
    { kind: "result", id: 1, result: null },
    { kind: "result", id: 2, result: { a: [1] } },
    { kind: "chunk", id: 3, chunk: Buffer.from([1, 2]) },
    { kind: "error", id: 0, error: { code: "bad-frame", data: { fault: "empty", bytes: 3 } } },
  ];
  for (const sent of messages) expect(decodeServerMessage(encodeServerMessage(sent).subarray(4))).toEqual(sent);
});

test("a server answers in JSON text when it is asked to, but for bytes and errors", () => {
  const messages: ServerMessage[] = [
    { kind: "result", id: 1, result: null },
    { kind: "result", id: 2, result: { a: [1, "ä\u2028"] } },
    { kind: "chunk", id: 3, chunk: ["x"] },
    { kind: "chunk", id: 4, chunk: Uint8Array.of(1, 2) },
    { kind: "error", id: 5, error: { code: "no-such-id", data: { id: 3 } } },
  ];
  const frames = messages.map((sent) => encodeServerMessage(sent, true).subarray(4));
  for (const [index, sent] of messages.entries()) expect(decodeServerMessage(frames[index] ?? new Uint8Array())).toEqual(sent);
  const keys = frames.map((payload) => Object.keys(decode(payload, 100) as object)[1]);
  expect(keys).toEqual(["result_json", "result_json", "chunk_json", "chunk", "error"]);
});

test("a client asks for JSON text, and a server of before reads its request as ever", () => {
  const request: ClientMessage = { kind: "request", id: 1, method: "server.ping", params: {}, requestId: null, json: true };
  expect(decodeClientMessage(encodeClientMessage(request).subarray(4))).toEqual(request);
  expect(decode(encodeClientMessage(request).subarray(4), 100)).toEqual({ id: 1, method: "server.ping", params: {}, json: true });
});

describe("refused as an envelope of a client:", () => {
  test.each([
    ["no map", [1]],
    ["null", null],
    ["no id", { method: "x", params: {} }],
    ["the id 0", { id: 0, method: "x", params: {} }],
    ["a fraction as id", { id: 1.5, method: "x", params: {} }],
    ["an id beyond u32", { id: 2 ** 32, method: "x", params: {} }],
    ["an empty method", { id: 1, method: "", params: {} }],
    ["a long method", { id: 1, method: "x".repeat(101), params: {} }],
    ["a request id with a space", { id: 1, method: "x", params: {}, request_id: "a b" }],
    ["a long request id", { id: 1, method: "x", params: {}, request_id: "a".repeat(65) }],
    ["a cancel that is false", { id: 1, cancel: false }],
    ["an acknowledgement of nothing", { id: 1, ack: 0 }],
    ["an acknowledgement of less", { id: 1, ack: -5 }],
    ["an endless acknowledgement", { id: 1, ack: Number.POSITIVE_INFINITY }],
  ])("%s", (_what, message) => {
    expect(() => decodeClientMessage(encode(message))).toThrow("bad-envelope");
  });
});

test("unknown keys of an envelope are dropped", () => {
  expect(decodeClientMessage(encode({ id: 1, method: "x", params: 1, colour: "green" }))).toEqual({
    kind: "request",
    id: 1,
    method: "x",
    params: 1,
    requestId: null,
  });
});

const hello = { protocol: { major: 1, minor: 3 }, nonce: Uint8Array.from({ length: 32 }, (_, at) => at), programVersion: "1.2.3-beta+4" };

test("a hello is read as it was written, and at every shorter length it is incomplete", () => {
  const bytes = encodeHello(hello);
  expect(readHello(bytes)).toEqual({ kind: "hello", hello, length: bytes.length });
  for (let length = 0; length < bytes.length; length += 1) expect(readHello(bytes.subarray(0, length)).kind).toBe("incomplete");
});

test("a hello with any other byte in its magic is foreign at that byte", () => {
  const bytes = encodeHello(hello);
  for (let at = 0; at < MAGIC.length; at += 1) expect(readHello(bytes.with(at, 0x41).subarray(0, at + 1)).kind).toBe("foreign");
});

test("the first byte is not ASCII, so no text protocol and no TLS begins like us", () => {
  expect(MAGIC[0]).toBeGreaterThan(0x7f);
});

test("a version that cannot be printed is made printable before it is sent", () => {
  const read = readHello(encodeHello({ ...hello, programVersion: `1\u001b[31m ${"x".repeat(100)}` }));
  expect(read).toMatchObject({ kind: "hello", hello: { programVersion: `1?[31m?${"x".repeat(56)}` } });
});

test("a proof differs with the token, the role, either hello and the port", () => {
  const input = {
    token: new Uint8Array(32),
    role: "client",
    clientHello: encodeHello(hello),
    serverHello: encodeHello({ ...hello, programVersion: "2" }),
    port: 3030,
  } as const;
  const proofs = [
    input,
    { ...input, token: new Uint8Array(32).fill(1) },
    { ...input, role: "server" as const },
    { ...input, clientHello: input.clientHello.with(20, 99) },
    { ...input, serverHello: input.serverHello.with(20, 99) },
    { ...input, port: 3031 },
    { ...input, port: 3030 - 256 },
  ].map(proof);
  expect(proof(input)).toEqual(proofs[0] ?? new Uint8Array());
  expect(new Set(proofs.map((bytes) => bytes.toHex())).size).toBe(proofs.length);
});

test("proofs are the same only if every byte is", () => {
  const right = crypto.getRandomValues(new Uint8Array(32));
  expect(sameProof(right, right.slice())).toBe(true);
  for (let at = 0; at < 32; at += 1) expect(sameProof(right, right.with(at, (right[at] ?? 0) ^ 1))).toBe(false);
  expect(sameProof(right, right.subarray(0, 31))).toBe(false);
  expect(sameProof(new Uint8Array(0), new Uint8Array(0))).toBe(false);
});

test("the same major works together, whatever the minor", () => {
  expect(worksWith({ major: 1, minor: 0 }, { major: 1, minor: 9 })).toBe(true);
  expect(worksWith({ major: 1, minor: 0 }, { major: 2, minor: 0 })).toBe(false);
});

test("the token's text form is read back, and nothing else is", () => {
  const token = crypto.getRandomValues(new Uint8Array(32));
  expect(parseToken(formatToken(token))).toEqual(token);
  expect(parseToken(formatToken(token).toUpperCase().trim())).toEqual(token);
  for (const text of ["", "00", "g".repeat(64), `${"0".repeat(63)} `, "0".repeat(66)]) expect(parseToken(text)).toBeNull();
});

test("an address of this host is parsed, and written as it was", () => {
  for (const text of ["127.0.0.1:3030", "127.255.0.9:1", "[::1]:65535"]) {
    const address = parseAddress(text);
    expect(typeof address === "string" ? address : formatAddress(address)).toBe(text);
  }
  expect(parseAddress("LocalHost:3030")).toEqual({ host: "127.0.0.1", port: 3030 });
});

test.each(["", ":", "host", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "::1:3030", "[127.0.0.1:3030", "127.0.0.1:-1"])(
  "%p is no address",
  (text) => {
    expect(parseAddress(text)).toBe("malformed");
  },
);

test("only numeric loopback addresses are loopback", () => {
  for (const host of ["127.0.0.1", "127.1.2.3", "::1"]) expect(isLoopback(host)).toBe(true);
  for (const host of ["127.1", "127.0.0.256", "0127.0.0.1", "126.0.0.1", "0.0.0.0", "::", "::2", "localhost", "127.0.0.1.evil.org", ""])
    expect(isLoopback(host)).toBe(false);
});

test("every method takes a map and refuses anything else", () => {
  for (const method of Object.values(METHODS)) {
    for (const params of [null, 1, "x", undefined]) expect(v.safeParse(method.params, params).success).toBe(false);
  }
});

test("numbers that are no ids, times or sizes are refused", () => {
  const cases: [keyof typeof METHODS, Record<string, unknown>][] = [
    ["job.wait", { ids: [], timeout: Number.POSITIVE_INFINITY }],
    ["job.wait", { ids: [], timeout: -1 }],
    ["job.follow", { jid: 1.5, stream: "stdout", tail_bytes: null }],
    ["job.follow", { jid: 1, stream: "stdout", tail_bytes: -1 }],
    ["matrix.list", { id: -1 }],
    ["job.show", { ids: [{ kind: "id", id: 2 ** 30 }] }],
  ];
  for (const [name, params] of cases) expect(v.safeParse(METHODS[name].params, params).success).toBe(false);
});
