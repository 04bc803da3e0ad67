/**
 * The client's half of the handshake, as a machine of bytes in and bytes out: no sockets, no clock.
 * No request leaves before the server has proved that it knows the token too.
 */
import { encodeHello, HANDSHAKE_STATUS, proof, readHello, sameProof } from "../protocol/handshake.ts";
import { HANDSHAKE_BYTES_MAX, PROOF_BYTES } from "../protocol/limits.ts";
import { PROTOCOL_VERSION, worksWith } from "../protocol/version.ts";
import { ClientError } from "./error.ts";

export interface ClientHandshakeOptions {
  /** Called once the server's hello has come. @throws {ClientError} */
  readonly token: () => Uint8Array;
  /** As dialled. */
  readonly port: number;
  readonly nonce: Uint8Array;
  readonly programVersion: string;
}

export type ClientStep =
  | { readonly kind: "wait" }
  | { readonly kind: "send"; readonly bytes: Uint8Array }
  | { readonly kind: "done"; readonly serverVersion: string };

interface Proofs {
  readonly helloLength: number;
  readonly server: Uint8Array;
  readonly serverVersion: string;
}

export class ClientHandshake {
  readonly hello: Uint8Array;
  readonly #options: ClientHandshakeOptions;
  #received = new Uint8Array(0);
  #expected: Proofs | null = null;

  constructor(options: ClientHandshakeOptions) {
    this.#options = options;
    this.hello = encodeHello({ protocol: PROTOCOL_VERSION, nonce: options.nonce, programVersion: options.programVersion });
  }

  /** Has it said all of its hello? */
  get greeted(): boolean {
    return this.#expected !== null;
  }

  /** Has the other side said anything yet? */
  get heard(): boolean {
    return this.#received.length > 0;
  }

  /** @throws {ClientError} "not-our-server", "version-mismatch", "not-allowed", "server-busy", "token-unreadable" */
  push(bytes: Uint8Array): ClientStep {
    if (this.#received.length + bytes.length > HANDSHAKE_BYTES_MAX) throw new ClientError("not-our-server");
    const joined = new Uint8Array(this.#received.length + bytes.length);
    joined.set(this.#received);
    joined.set(bytes, this.#received.length);
    this.#received = joined;
    return this.#expected === null ? this.#prove() : this.#verify(this.#expected);
  }

  #prove(): ClientStep {
    const read = readHello(this.#received);
    if (read.kind === "incomplete") return { kind: "wait" };
    if (read.kind === "foreign" || read.length < this.#received.length) throw new ClientError("not-our-server");
    // An echo: no server has our nonce. Its next words would be our own proof, whose first byte can look like any answer.
    if (Buffer.compare(this.#received, this.hello) === 0) throw new ClientError("not-our-server");
    const serverVersion = read.hello.programVersion;
    if (!worksWith(PROTOCOL_VERSION, read.hello.protocol)) {
      throw new ClientError("version-mismatch", { server_version: serverVersion, client_version: this.#options.programVersion });
    }
    const input = { token: this.#options.token(), port: this.#options.port, clientHello: this.hello, serverHello: this.#received };
    this.#expected = { helloLength: read.length, server: proof({ ...input, role: "server" }), serverVersion };
    return { kind: "send", bytes: proof({ ...input, role: "client" }) };
  }

  #verify(expected: Proofs): ClientStep {
    const answer = this.#received.subarray(expected.helloLength);
    if (answer[0] !== HANDSHAKE_STATUS.accepted) throw refusal(answer[0]);
    if (answer.length < 1 + PROOF_BYTES) return { kind: "wait" };
    if (!sameProof(expected.server, answer.subarray(1))) throw new ClientError("not-our-server");
    return { kind: "done", serverVersion: expected.serverVersion };
  }
}

function refusal(status: number | undefined): ClientError {
  if (status === HANDSHAKE_STATUS["not-allowed"]) return new ClientError("not-allowed");
  if (status === HANDSHAKE_STATUS["too-many-connections"]) return new ClientError("server-busy", { reason: "too-many-connections" });
  if (status === HANDSHAKE_STATUS["shutting-down"]) return new ClientError("server-busy", { reason: "shutting-down" });
  return new ClientError("not-our-server");
}
