/**
 * The server's half of the handshake, as a machine of bytes in and bytes out: no sockets, no clock.
 * Nothing at all is answered before a whole hello with the right magic has come, and nothing that
 * depends on the token before the client has proved it.
 */
import { encodeHello, HANDSHAKE_STATUS, type HandshakeStatus, proof, readHello, sameProof } from "../../protocol/handshake.ts";
import { HANDSHAKE_BYTES_MAX, PROOF_BYTES } from "../../protocol/limits.ts";
import { PROTOCOL_VERSION, worksWith } from "../../protocol/version.ts";

export interface ServerHandshakeOptions {
  readonly token: Uint8Array;
  /** The port this server listens on. */
  readonly port: number;
  /** Random, for this connection alone. */
  readonly nonce: Uint8Array;
  readonly programVersion: string;
  /** Asked once the client has proved the token: is there a reason to turn it away? */
  readonly admission: () => Exclude<HandshakeStatus, "not-allowed">;
}

export type HandshakeStep =
  | { readonly kind: "wait" }
  | { readonly kind: "send"; readonly bytes: Uint8Array }
  | { readonly kind: "accept"; readonly bytes: Uint8Array }
  /** Send these bytes, if any, and close. */
  | { readonly kind: "close"; readonly bytes: Uint8Array };

const NOTHING = new Uint8Array(0);

export class ServerHandshake {
  readonly #options: ServerHandshakeOptions;
  readonly #received = new Uint8Array(HANDSHAKE_BYTES_MAX);
  #length = 0;
  /** Set once the client's hello is complete. */
  #hellos: { readonly client: Uint8Array; readonly server: Uint8Array } | null = null;

  constructor(options: ServerHandshakeOptions) {
    this.#options = options;
  }

  push(bytes: Uint8Array): HandshakeStep {
    if (this.#length + bytes.length > HANDSHAKE_BYTES_MAX) return { kind: "close", bytes: NOTHING };
    this.#received.set(bytes, this.#length);
    this.#length += bytes.length;
    return this.#hellos === null ? this.#hello() : this.#proof(this.#hellos);
  }

  #hello(): HandshakeStep {
    const bytes = this.#received.slice(0, this.#length);
    const read = readHello(bytes);
    if (read.kind === "incomplete") return { kind: "wait" };
    // The proof depends on our nonce, so a client that has sent more already cannot be honest.
    if (read.kind === "foreign" || read.length < bytes.length) return { kind: "close", bytes: NOTHING };
    const { nonce, programVersion } = this.#options;
    const server = encodeHello({ protocol: PROTOCOL_VERSION, nonce, programVersion });
    if (!worksWith(PROTOCOL_VERSION, read.hello.protocol)) return { kind: "close", bytes: server };
    this.#hellos = { client: bytes, server };
    return { kind: "send", bytes: server };
  }

  #proof(hellos: { readonly client: Uint8Array; readonly server: Uint8Array }): HandshakeStep {
    const received = this.#received.slice(hellos.client.length, this.#length);
    if (received.length < PROOF_BYTES) return { kind: "wait" };
    if (received.length > PROOF_BYTES) return { kind: "close", bytes: NOTHING };
    const { token, port } = this.#options;
    const input = { token, port, clientHello: hellos.client, serverHello: hellos.server };
    if (!sameProof(proof({ ...input, role: "client" }), received))
      return { kind: "close", bytes: Uint8Array.of(HANDSHAKE_STATUS["not-allowed"]) };
    const status = this.#options.admission();
    if (status !== "accepted") return { kind: "close", bytes: Uint8Array.of(HANDSHAKE_STATUS[status]) };
    return { kind: "accept", bytes: Uint8Array.of(HANDSHAKE_STATUS.accepted, ...proof({ ...input, role: "server" })) };
  }
}
