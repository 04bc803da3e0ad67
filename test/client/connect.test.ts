/** What becomes of a client that finds something other than its server: one error with a code, soon, and nothing given away. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { connect } from "../../src/client/client.ts";
import { ClientError, exitCodeOf } from "../../src/client/error.ts";
import { encodeHello } from "../../src/protocol/handshake.ts";
import { formatToken } from "../../src/protocol/token.ts";
import { PROTOCOL_VERSION } from "../../src/protocol/version.ts";
import { forwardPort } from "../daemon/server/forwarder.ts";
import { TestServer } from "../daemon/server/test-server.ts";
import { squat } from "./squatter.ts";

let folder = "";
let tokenFile = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "expjob-client-"));
  tokenFile = join(folder, "token");
  writeFileSync(tokenFile, formatToken(new Uint8Array(32).fill(9)), { mode: 0o600 });
});
afterAll(() => rmSync(folder, { recursive: true }));

async function failure(address: string, file: string = tokenFile, timeoutMs?: number): Promise<ClientError> {
  try {
    const client = await connect({ address, tokenFile: file, version: "1.2.3", ...(timeoutMs === undefined ? {} : { timeoutMs }) });
    client.close();
  } catch (error) {
    if (error instanceof ClientError) return error;
    throw error;
  }
  throw new Error("It connected.");
}

test("a client and a server with the same token know each other's version and work together", async () => {
  await using server = await TestServer.start();
  const client = await connect({ address: server.address, tokenFile: server.tokenFile });
  expect(client.serverVersion).toBe("9.8.7");
  expect(await client.call("server.ping", {})).toEqual({ version: "9.8.7" });
  client.close();
});

test("localhost and ::1 are addresses of this host", async () => {
  await using four = await TestServer.start();
  await using six = await TestServer.start({ host: "::1" });
  for (const [address, file] of [
    [`localhost:${four.port}`, four.tokenFile],
    [`[::1]:${six.port}`, six.tokenFile],
  ] as const) {
    const client = await connect({ address, tokenFile: file });
    expect(await client.call("server.ping", {})).toEqual({ version: "9.8.7" });
    client.close();
  }
});

test.each([
  ["example.org:3030", "not-loopback"],
  ["10.0.0.1:3030", "not-loopback"],
  ["0.0.0.0:3030", "not-loopback"],
  ["3030", "malformed"],
  ["127.0.0.1:70000", "port-out-of-range"],
])("%s is no address to dial: %s", async (address, reason) => {
  const error = await failure(address);
  expect([error.code, error.data.reason, exitCodeOf(error.code)]).toEqual(["bad-address", reason, 2]);
});

test("a port where nobody listens is no-server, before the time for connecting is over", async () => {
  await using gone = squat({});
  const { address } = gone;
  await gone[Symbol.asyncDispose]();
  const start = performance.now();
  const error = await failure(address);
  expect([error.code, error.data.reason, exitCodeOf(error.code)]).toEqual(["no-server", "refused", 3]);
  expect(performance.now() - start).toBeLessThan(4_000);
});

test("a server that is just starting is waited for", async () => {
  const first = await TestServer.start();
  const { port } = first;
  await first[Symbol.asyncDispose]();
  const connecting = connect({ address: `127.0.0.1:${port}`, tokenFile });
  const rejected = connecting.then(
    () => null,
    (error: unknown) => error,
  );
  await using second = await TestServer.start({ port });
  // It has a token of its own: that it says so is proof enough that it was reached.
  expect(second.port).toBe(port);
  expect(await rejected).toMatchObject({ code: "not-allowed" });
});

test("a forwarded port with nothing behind it is no-server", async () => {
  await using hangsUp = squat({ hangUp: "at once" });
  const error = await failure(hangsUp.address);
  expect([error.code, error.data.reason]).toEqual(["no-server", "closed"]);
});

test("another token is not-allowed", async () => {
  await using server = await TestServer.start();
  const error = await failure(server.address);
  expect([error.code, error.data.token_file, exitCodeOf(error.code)]).toEqual(["not-allowed", tokenFile, 4]);
});

test.each([
  ["missing", (_path: string) => undefined],
  ["readable-by-others", (path: string) => writeAnd(path, () => chmodSync(path, 0o644))],
  ["malformed", (path: string) => writeFileSync(path, "not a token", { mode: 0o600 })],
  ["not-a-file", (path: string) => symlinkSync(tokenFile, path)],
])("a token file that is %s is named with its path", async (reason, make) => {
  const path = join(folder, `token-${reason}`);
  make(path);
  await using server = await TestServer.start();
  const error = await failure(server.address, path);
  expect([error.code, error.data.reason, error.data.path, exitCodeOf(error.code)]).toEqual(["token-unreadable", reason, path, 4]);
});

test.if(process.geteuid?.() === 0)("a token file of another user is not trusted (this test needs root)", async () => {
  const path = join(folder, "token-foreign");
  writeAnd(path, () => chownSync(path, 65_534, 65_534));
  await using server = await TestServer.start();
  const error = await failure(server.address, path);
  expect([error.code, error.data.reason]).toEqual(["token-unreadable", "foreign-owner"]);
});

function writeAnd(path: string, then: () => void): void {
  writeFileSync(path, formatToken(new Uint8Array(32)), { mode: 0o600 });
  then();
}

test("without a server a missing token file is not the first thing to complain of", async () => {
  await using gone = squat({});
  const { address } = gone;
  await gone[Symbol.asyncDispose]();
  expect((await failure(address, join(folder, "no-such-token"))).code).toBe("no-server");
});

test.each([
  ["a web server", { answer: "HTTP/1.1 400 Bad Request\r\n\r\n", hangUp: "after the answer" }],
  ["an SSH server", { greeting: "SSH-2.0-OpenSSH_9.2p1 Debian\r\n" }],
  ["a mail server", { greeting: "220 mail.example.org ESMTP\r\n" }],
  ["a Redis server", { answer: "-ERR unknown command\r\n" }],
  ["an echo", { answer: (bytes: Uint8Array) => bytes }],
  ["a flood of our first byte", { greeting: new Uint8Array(100_000).fill(0xe7) }],
  ["a server that says nothing and hangs up after our hello", { answer: "", hangUp: "after the answer" }],
] as const)("%s on the port is recognised as not ours", async (_name, options) => {
  await using squatter = squat(options);
  const error = await failure(squatter.address, tokenFile, 2_000);
  expect(["not-our-server", "no-server", "connection-lost"]).toContain(error.code);
  if (options !== undefined && "greeting" in options) expect(error.code).toBe("not-our-server");
});

test("an echo is recognised by our own hello, before the bytes of a proof could look like an answer", async () => {
  for (let round = 0; round < 300; round += 1) {
    await using squatter = squat({ answer: (bytes: Uint8Array) => bytes });
    expect((await failure(squatter.address, tokenFile, 2_000)).code).toBe("not-our-server");
  }
});

test("a server that drops us before we could prove anything, to make room, is tried again", async () => {
  await using server = await TestServer.start();
  const hello = encodeHello({ protocol: PROTOCOL_VERSION, nonce: new Uint8Array(32), programVersion: "1.0.0" });
  let dropped = 0;
  using gate = Bun.listen<{ there: Promise<Bun.Socket> | null }>({
    hostname: "127.0.0.2",
    port: server.port,
    socket: {
      open: (socket) => {
        socket.data = { there: null };
        if (dropped++ < 2) return void socket.write(hello);
        const there = { data: (_: Bun.Socket, bytes: Buffer) => void socket.write(bytes), close: () => void socket.end() };
        socket.data.there = Bun.connect({ hostname: "127.0.0.1", port: server.port, socket: there });
      },
      data: (socket, bytes) => {
        if (socket.data.there === null) socket.end();
        else void socket.data.there.then((there) => there.write(bytes));
      },
    },
  });
  const client = await connect({ address: `127.0.0.2:${gate.port}`, tokenFile: server.tokenFile });
  expect(await client.call("server.ping", {})).toEqual({ version: "9.8.7" });
  client.close();
  expect(dropped).toBe(3);
});

test("a server that says nothing at all is a timeout", async () => {
  await using silent = squat({});
  const error = await failure(silent.address, tokenFile, 150);
  expect([error.code, exitCodeOf(error.code)]).toEqual(["timeout", 3]);
});

test("a server of another major is a version mismatch that names both versions", async () => {
  const hello = encodeHello({ protocol: { major: 2, minor: 0 }, nonce: new Uint8Array(32), programVersion: "5.0.0" });
  await using newer = squat({ answer: hello });
  const error = await failure(newer.address);
  expect([error.code, error.data.server_version, error.data.client_version, exitCodeOf(error.code)]).toEqual([
    "version-mismatch",
    "5.0.0",
    "1.2.3",
    1,
  ]);
});

test("a squatter that says it accepts us must prove the token before it hears a request", async () => {
  const hello = encodeHello({ protocol: { major: 1, minor: 0 }, nonce: new Uint8Array(32), programVersion: "9.8.7" });
  const yes = new Uint8Array(33);
  await using squatter = squat({ answer: (bytes) => (bytes[0] === 0xe7 ? hello : yes) });
  const error = await failure(squatter.address);
  expect(error.code).toBe("not-our-server");
  // A hello and a proof, which is worth nothing on any other connection.
  expect(squatter.heard.map((bytes) => bytes.length)).toEqual([50, 32]);
});

test("a squatter that relays to the real server from another port is refused by it", async () => {
  await using server = await TestServer.start();
  const passed: Uint8Array[] = [];
  await using relay = await forwardPort({ to: { host: "127.0.0.1", port: server.port }, onUpstream: (bytes) => passed.push(bytes) });
  const error = await failure(`127.0.0.1:${relay.port}`, server.tokenFile);
  expect(error.code).toBe("not-allowed");
  expect(passed).toHaveLength(2);
});

test("a forward of the same port number, as ssh -L makes it, works", async () => {
  await using server = await TestServer.start();
  await using forward = await forwardPort({ host: "127.0.0.2", port: server.port, to: { host: "127.0.0.1", port: server.port } });
  const client = await connect({ address: `127.0.0.2:${forward.port}`, tokenFile: server.tokenFile });
  expect(await client.call("server.ping", {})).toEqual({ version: "9.8.7" });
  client.close();
});

test("no garbage makes the client do anything but fail with a code", async () => {
  const hello = encodeHello({ protocol: { major: 1, minor: 0 }, nonce: new Uint8Array(32), programVersion: "9.8.7" });
  const garbage = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 300 }),
    fc
      .tuple(fc.nat({ max: hello.length }), fc.uint8Array({ minLength: 1, maxLength: 60 }))
      .map(([kept, rest]) => Buffer.concat([hello.subarray(0, kept), rest])),
  );
  await fc.assert(
    fc.asyncProperty(garbage, async (bytes) => {
      await using squatter = squat({ answer: bytes, hangUp: "after the answer" });
      const error = await failure(squatter.address, tokenFile, 1_000);
      expect(["not-our-server", "connection-lost", "version-mismatch", "not-allowed", "server-busy", "timeout"]).toContain(error.code);
    }),
    { numRuns: 150 },
  );
});
