import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findPortHolder } from "../../../src/daemon/server/port-holder.ts";
import { ListenError } from "../../../src/daemon/server/server.ts";
import { loadOrCreateToken } from "../../../src/daemon/server/token.ts";
import { RawPeer } from "./raw-peer.ts";
import { TestServer } from "./test-server.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "expjob-listen-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function failure(start: Promise<TestServer>): Promise<unknown> {
  return start.then(
    async (server) => {
      await server[Symbol.asyncDispose]();
      return null;
    },
    (error: unknown) => error,
  );
}

test("a port that is taken is refused with the process that has it", async () => {
  await using first = await TestServer.start();
  const error = await failure(TestServer.start({ port: first.port }));
  expect(error).toBeInstanceOf(ListenError);
  expect(error).toMatchObject({ fault: "port-taken", holder: { pid: process.pid, command: expect.stringContaining("bun") } });
});

test("a port nobody listens on has no holder", async () => {
  const server = await TestServer.start();
  const { port } = server;
  await server[Symbol.asyncDispose]();
  expect(await findPortHolder(port)).toBeNull();
});

test.each(["0.0.0.0", "::", "192.168.1.2", "localhost", "127.0.0.1.example.org", "128.0.0.1"])(
  "listening on %s is refused",
  async (host) => {
    expect(await failure(TestServer.start({ host }))).toMatchObject({ fault: "not-loopback" });
  },
);

test.each(["127.0.0.1", "127.3.2.1", "::1"])("listening on %s works", async (host) => {
  await using server = await TestServer.start({ host });
  using peer = await RawPeer.authenticated(server.port, server.token, host);
  expect(peer.open).toBe(true);
});

test("a stopped server leaves its port free at once", async () => {
  const first = await TestServer.start();
  using peer = await RawPeer.authenticated(first.port, first.token);
  expect(peer.open).toBe(true);
  const { port } = first;
  await first[Symbol.asyncDispose]();
  await using second = await TestServer.start({ port });
  expect(second.port).toBe(port);
});

test("the token file is made once, for its owner alone, whatever the umask", () => {
  for (const umask of [0o000, 0o022, 0o777]) {
    const path = join(folder, `token-${umask}`);
    const before = process.umask(umask);
    try {
      const token = loadOrCreateToken(path);
      expect(token).toHaveLength(32);
      expect(loadOrCreateToken(path)).toEqual(token);
    } finally {
      process.umask(before);
    }
    expect(lstatSync(path).mode & 0o7777).toBe(0o600);
    expect(readFileSync(path, "utf8")).toMatch(/^[0-9a-f]{64}\n$/);
  }
  expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
});

test("two token files never hold the same token", () => {
  expect(loadOrCreateToken(join(folder, "a"))).not.toEqual(loadOrCreateToken(join(folder, "b")));
});

test("a token file that others may read is refused and left alone", () => {
  const path = join(folder, "open");
  loadOrCreateToken(path);
  chmodSync(path, 0o640);
  expect(() => loadOrCreateToken(path)).toThrow("readable-by-others");
  expect(lstatSync(path).mode & 0o777).toBe(0o640);
});

test("a token file that is a link, a folder or cut short is refused and left alone", () => {
  const good = join(folder, "good");
  loadOrCreateToken(good);
  symlinkSync(good, join(folder, "link"));
  expect(() => loadOrCreateToken(join(folder, "link"))).toThrow("not-a-file");
  symlinkSync(join(folder, "nowhere"), join(folder, "dangling"));
  expect(() => loadOrCreateToken(join(folder, "dangling"))).toThrow("not-a-file");
  expect(() => loadOrCreateToken(folder)).toThrow("not-a-file");
  writeFileSync(join(folder, "cut"), "00ff", { mode: 0o600 });
  expect(() => loadOrCreateToken(join(folder, "cut"))).toThrow("malformed");
  expect(readFileSync(join(folder, "cut"), "utf8")).toBe("00ff");
});
