/**
 * The bytes before the first frame (docs/PROTOCOL.md, "Handshake"). This file knows their layout and how
 * the proofs are made; who sends what when is in client/handshake.ts and daemon/server/handshake.ts.
 * The layout of a hello never changes, whatever the protocol's major: it is what lets two versions say so.
 */
import { NONCE_BYTES, PROOF_BYTES, VERSION_BYTES_MAX } from "./limits.ts";
import type { ProtocolVersion } from "./version.ts";

/** 0xE7 is not ASCII, so every text protocol, and TLS, fails at the first byte; then "expjob" and a newline. */
export const MAGIC = Uint8Array.of(0xe7, 0x65, 0x78, 0x70, 0x6a, 0x6f, 0x62, 0x0a);
const NONCE_AT = MAGIC.length + 4;
const VERSION_AT = NONCE_AT + NONCE_BYTES + 1;

export interface Hello {
  readonly protocol: ProtocolVersion;
  /** Random, drawn for this connection alone. */
  readonly nonce: Uint8Array;
  /** Of the program, for messages to people: printable ASCII without spaces. */
  readonly programVersion: string;
}

export type Role = "client" | "server";

/** What the server answers to the client's proof; only `accepted` is followed by bytes: its own proof. */
export const HANDSHAKE_STATUS = { accepted: 0, "not-allowed": 1, "too-many-connections": 2, "shutting-down": 3 } as const;
export type HandshakeStatus = keyof typeof HANDSHAKE_STATUS;

export function encodeHello(hello: Hello): Uint8Array {
  const version = new TextEncoder().encode(printableVersion(hello.programVersion));
  const bytes = new Uint8Array(VERSION_AT + version.length);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setUint16(MAGIC.length, hello.protocol.major);
  view.setUint16(MAGIC.length + 2, hello.protocol.minor);
  bytes.set(hello.nonce, NONCE_AT);
  bytes[VERSION_AT - 1] = version.length;
  bytes.set(version, VERSION_AT);
  return bytes;
}

export type HelloRead =
  /** Right so far. */
  | { readonly kind: "incomplete" }
  /** Not a hello of ours, known at the first byte that differs. */
  | { readonly kind: "foreign" }
  | { readonly kind: "hello"; readonly hello: Hello; readonly length: number };

export function readHello(bytes: Uint8Array): HelloRead {
  for (let at = 0; at < Math.min(bytes.length, MAGIC.length); at += 1) {
    if (bytes[at] !== MAGIC[at]) return { kind: "foreign" };
  }
  if (bytes.length < VERSION_AT) return { kind: "incomplete" };
  const length = VERSION_AT + (bytes[VERSION_AT - 1] ?? 0);
  if (length > VERSION_AT + VERSION_BYTES_MAX) return { kind: "foreign" };
  if (bytes.length < length) return { kind: "incomplete" };
  const version = bytes.slice(VERSION_AT, length);
  if (version.some((byte) => byte <= 0x20 || byte > 0x7e)) return { kind: "foreign" };
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  return {
    kind: "hello",
    length,
    hello: {
      protocol: { major: view.getUint16(MAGIC.length), minor: view.getUint16(MAGIC.length + 2) },
      nonce: bytes.slice(NONCE_AT, NONCE_AT + NONCE_BYTES),
      programVersion: new TextDecoder().decode(version),
    },
  };
}

export interface ProofInput {
  readonly token: Uint8Array;
  readonly role: Role;
  /** Both hellos byte for byte as they were sent: versions and nonces of both sides are in them. */
  readonly clientHello: Uint8Array;
  readonly serverHello: Uint8Array;
  /** The server's port as the client dialled it and as the server listens on it: a relay behind another port cannot make them agree. */
  readonly port: number;
}

/** HMAC-SHA256 over the role, both hellos and the port. The token itself is never sent. */
export function proof(input: ProofInput): Uint8Array {
  const port = Uint8Array.of(input.port >> 8, input.port & 0xff);
  const hmac = new Bun.CryptoHasher("sha256", input.token);
  hmac.update(`expjobserver ${input.role} proof\n`).update(input.clientHello).update(input.serverHello).update(port);
  return new Uint8Array(hmac.digest());
}

/** Takes the same time wherever the first difference is. */
export function sameProof(expected: Uint8Array, received: Uint8Array): boolean {
  if (expected.length !== PROOF_BYTES || received.length !== PROOF_BYTES) return false;
  let difference = 0;
  for (let at = 0; at < PROOF_BYTES; at += 1) difference |= (expected[at] ?? 0) ^ (received[at] ?? 0);
  return difference === 0;
}

function printableVersion(version: string): string {
  return version.replace(/[^\x21-\x7e]/g, "?").slice(0, VERSION_BYTES_MAX);
}
