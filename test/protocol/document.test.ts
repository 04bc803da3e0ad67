/** docs/PROTOCOL.md held against the server: a client made from the page alone, and its example and figures. */
import { expect, test } from "bun:test";
import { createHmac, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import {
  AUTHENTICATED_MAX,
  CONNECTIONS_MAX,
  DEADLINES_MS,
  OUTPUT_BYTES_HIGH,
  UNAUTHENTICATED_MAX,
} from "../../src/daemon/server/limits.ts";
import { encode } from "../../src/protocol/codec.ts";
import { ERROR_CODES } from "../../src/protocol/error.ts";
import { frame } from "../../src/protocol/frame.ts";
import { encodeHello } from "../../src/protocol/handshake.ts";
import * as limits from "../../src/protocol/limits.ts";
import { METHODS } from "../../src/protocol/methods.ts";
import { PROTOCOL_VERSION } from "../../src/protocol/version.ts";
import { TestServer } from "../daemon/server/test-server.ts";

const page = readFileSync(join(import.meta.dir, "../../docs/PROTOCOL.md"), "utf8");

const hex = (bytes: Uint8Array): string => (bytes.toHex().toUpperCase().match(/../g) ?? []).join(" ");
const spaced = page.replaceAll(/ +/g, " ");

/** Exactly so many bytes from the socket. */
async function read(socket: Socket, length: number): Promise<Buffer> {
  while (true) {
    const bytes: unknown = socket.read(length);
    if (bytes instanceof Buffer) return bytes;
    await new Promise((resolve, reject) => {
      socket.once("readable", resolve);
      socket.once("error", reject);
    });
  }
}

test("a client made from the page alone is answered", async () => {
  await using server = await TestServer.start();
  const socket = connect(server.port, "127.0.0.1");
  const token = Buffer.from(readFileSync(server.tokenFile, "utf8").trim(), "hex");

  const clientHello = Buffer.concat([
    Buffer.from("e7 65 78 70 6a 6f 62 0a 00 01 00 00".replaceAll(" ", ""), "hex"),
    randomBytes(32),
    Buffer.from("\x05me-99"),
  ]);
  socket.write(clientHello);
  const start = await read(socket, 45);
  const serverHello = Buffer.concat([start, await read(socket, start[44] ?? 0)]);
  expect(serverHello.subarray(45).toString()).toBe("9.8.7");

  const port = Buffer.alloc(2);
  port.writeUInt16BE(server.port);
  const prove = (role: string): Buffer =>
    createHmac("sha256", token).update(`expjobserver ${role} proof\n`).update(clientHello).update(serverHello).update(port).digest();
  socket.write(prove("client"));
  expect(await read(socket, 1)).toEqual(Buffer.from([0]));
  expect(await read(socket, 32)).toEqual(prove("server"));

  socket.write(Buffer.from("00000020 83A2696401A66D6574686F64AB7365727665722E70696E67A6706172616D7380".replace(" ", ""), "hex"));
  const length = (await read(socket, 4)).readUInt32BE();
  expect((await read(socket, length)).toString("latin1")).toEndWith("\xa5" + "9.8.7");
  socket.destroy();
});

test("the example is what is sent", () => {
  const hello = hex(encodeHello({ protocol: PROTOCOL_VERSION, nonce: new Uint8Array(32).fill(0xaa), programVersion: "0.1.0" }));
  expect(spaced.includes(hello.replace("AA ".repeat(32), "N "))).toBe(true);
  expect(spaced).toContain(hex(frame(encode({ id: 1, method: "server.ping", params: {} }))));
  expect(spaced).toContain(hex(frame(encode({ id: 1, result: { version: "0.1.0" } }))));
});

test("the page names the protocol's version, its limits, every method and the codes of the protocol", () => {
  const figures = [
    limits.FRAME_BYTES_MAX,
    limits.REQUEST_NODES_MAX,
    limits.REPLY_NODES_MAX,
    limits.MAP_ENTRIES_MAX,
    limits.STREAM_WINDOW_BYTES,
  ];
  for (const figure of figures) expect(page).toContain(figure.toLocaleString("en"));
  expect(page).toContain(`version **${PROTOCOL_VERSION.major}.${PROTOCOL_VERSION.minor}**`);
  expect(page).toContain(`at most ${limits.FRAME_DEPTH_MAX} maps and arrays`);
  expect(page).toContain(`${limits.REQUESTS_IN_FLIGHT_MAX} at most`);
  expect(page).toContain(`| ${limits.HANDSHAKE_BYTES_MAX} |`);
  expect(page).toContain(`| ${UNAUTHENTICATED_MAX}; beyond`);
  expect(page).toContain(`| ${CONNECTIONS_MAX}, of which ${AUTHENTICATED_MAX} accepted |`);
  expect(page).toContain(`| handshake | ${DEADLINES_MS.handshake / 1_000} s |`);
  expect(page).toContain(`last | ${DEADLINES_MS.frame / 1_000} s |`);
  expect(page).toContain(`${DEADLINES_MS.idle / 60_000} min`);
  expect(page).toContain(`${DEADLINES_MS.stalled / 1_000} s without progress`);
  expect(page).toContain(`| ${DEADLINES_MS.closing / 1_000} s |`);
  expect(page).toContain(`more than ${OUTPUT_BYTES_HIGH / 1024 / 1024} MiB waits`);
  for (const method of Object.keys(METHODS)) expect(page).toContain(`\`${method}\``);
  for (const code of ["bad-frame", "bad-request", "unknown-method", "shutting-down", "canceled", "internal", "limit-exceeded"] as const) {
    expect(ERROR_CODES).toContain(code);
    expect(page).toContain(`\`${code}\``);
  }
});
