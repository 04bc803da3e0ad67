/**
 * One connection to the server: dialled, proved on both sides, then many requests at a time. It knows
 * messages and bytes; method names, schemas and retries are the client's (client.ts).
 */
import { type Address, formatAddress } from "../protocol/address.ts";
import { decodeServerMessage, encodeClientMessage } from "../protocol/client-message.ts";
import { RequestError, type RequestErrorBody } from "../protocol/error.ts";
import { FrameReader } from "../protocol/frame.ts";
import { CONNECTION_ID, NONCE_BYTES } from "../protocol/limits.ts";
import type { ClientMessage, ServerMessage } from "../protocol/message.ts";
import { OutputQueue } from "../protocol/output-queue.ts";
import { ClientError } from "./error.ts";
import { ClientHandshake } from "./handshake.ts";
import { readTokenFile } from "./token-file.ts";

export interface DialOptions {
  readonly address: Address;
  readonly tokenFile: string;
  readonly version: string;
  /** For connecting and the handshake together. */
  readonly timeoutMs: number;
}

export interface OutgoingRequest {
  readonly method: string;
  readonly params: unknown;
  readonly requestId: string | null;
}

/** Who waits for the answers to one request. */
export interface Receiver {
  chunk(chunk: unknown, bytes: number): void;
  result(result: unknown): void;
  /** A RequestError of the server, or the ClientError that ended the connection. */
  failed(error: unknown): void;
}

export class Connection {
  #socket: Bun.Socket | null = null;
  readonly #address: string;
  readonly #tokenFile: string;
  readonly #handshake: ClientHandshake;
  readonly #established = Promise.withResolvers<void>();
  readonly #frames = new FrameReader();
  readonly #output = new OutputQueue();
  readonly #receivers = new Map<number, Receiver>();
  #state: "handshake" | "open" | "closed" = "handshake";
  #serverVersion = "";
  #lastId = CONNECTION_ID;

  /** @throws {ClientError} for whatever keeps this from being a proved connection to our server. */
  static async dial(options: DialOptions): Promise<Connection> {
    const connection = new Connection(options);
    const timer = setTimeout(() => connection.#end(new ClientError("timeout", { address: connection.#address })), options.timeoutMs);
    connection.#connect(options.address);
    try {
      await connection.#established.promise;
    } finally {
      clearTimeout(timer);
    }
    return connection;
  }

  private constructor(options: DialOptions) {
    this.#address = formatAddress(options.address);
    this.#tokenFile = options.tokenFile;
    this.#handshake = new ClientHandshake({
      token: () => readTokenFile(options.tokenFile),
      port: options.address.port,
      nonce: crypto.getRandomValues(new Uint8Array(NONCE_BYTES)),
      programVersion: options.version,
    });
  }

  get lost(): boolean {
    return this.#state === "closed";
  }

  get serverVersion(): string {
    return this.#serverVersion;
  }

  /** Answers the request's id on this connection. @throws {FrameError} "too-long" @throws {ClientError} "connection-lost" */
  request(request: OutgoingRequest, receiver: Receiver): number {
    if (this.#state === "closed") throw new ClientError("connection-lost", { address: this.#address });
    const id = this.#lastId + 1;
    const frame = encodeClientMessage({ kind: "request", id, ...request, json: true });
    this.#lastId = id;
    this.#receivers.set(id, receiver);
    this.#write(frame);
    return id;
  }

  /** What the server still sends for it is dropped. */
  cancel(id: number): void {
    if (this.#receivers.delete(id)) this.#send({ kind: "cancel", id });
  }

  acknowledge(id: number, bytes: number): void {
    if (this.#receivers.has(id)) this.#send({ kind: "ack", id, bytes });
  }

  close(): void {
    this.#end(new ClientError("connection-lost", { address: this.#address, reason: "closed by the client" }));
  }

  #connect(address: Address): void {
    Bun.connect({
      hostname: address.host,
      port: address.port,
      socket: {
        open: (socket) => this.#opened(socket),
        data: (_socket, bytes) => this.#received(bytes),
        drain: () => this.#flush(),
        close: () => this.#closedByPeer(),
        error: (_socket, error) => this.#end(this.#unreachable(error)),
        // The rejection below says the same.
        connectError: () => undefined,
      },
    }).catch((error: unknown) => this.#end(this.#unreachable(error)));
  }

  #opened(socket: Bun.Socket): void {
    this.#socket = socket;
    if (this.#state === "closed") {
      socket.terminate();
      return;
    }
    socket.setNoDelay(true);
    this.#write(this.#handshake.hello);
  }

  #received(bytes: Uint8Array): void {
    try {
      if (this.#state === "handshake") this.#shakeHands(bytes);
      else if (this.#state === "open") this.#frames.push(bytes, (payload) => this.#deliver(decodeServerMessage(payload), payload.length));
    } catch (error) {
      this.#end(error instanceof ClientError ? this.#located(error) : this.#garbled());
    }
  }

  #shakeHands(bytes: Uint8Array): void {
    const step = this.#handshake.push(bytes);
    if (step.kind === "send") this.#write(step.bytes);
    if (step.kind !== "done") return;
    this.#serverVersion = step.serverVersion;
    this.#state = "open";
    this.#established.resolve();
  }

  #deliver(message: ServerMessage, bytes: number): void {
    if (message.kind === "error" && message.id === CONNECTION_ID) return this.#endRequests(requestError(message.error));
    const receiver = this.#receivers.get(message.id);
    // Answers to what was canceled may still be on their way.
    if (receiver === undefined) return;
    if (message.kind === "chunk") return receiver.chunk(message.chunk, bytes);
    this.#receivers.delete(message.id);
    if (message.kind === "result") receiver.result(message.result);
    else receiver.failed(requestError(message.error));
  }

  #send(message: ClientMessage): void {
    if (this.#state === "open") this.#write(encodeClientMessage(message));
  }

  #write(bytes: Uint8Array): void {
    const waits = this.#output.bytes > 0;
    this.#output.push(bytes);
    if (!waits) this.#flush();
  }

  #flush(): void {
    const socket = this.#socket;
    if (socket !== null && this.#state !== "closed") this.#output.flush((bytes) => socket.write(bytes));
  }

  #closedByPeer(): void {
    // A forwarded port with nothing behind it, or a server with too many who have not proved anything.
    if (this.#state !== "open" && !this.#handshake.heard)
      return this.#end(new ClientError("no-server", { address: this.#address, reason: "closed" }));
    // A server that stood still for a moment makes room by dropping those that have not proved anything.
    const isDropped = this.#state === "handshake" && this.#handshake.greeted;
    this.#end(new ClientError("connection-lost", { address: this.#address, ...(isDropped ? { during: "handshake" } : {}) }));
  }

  #end(error: ClientError): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#output.clear();
    this.#established.reject(error);
    // Nobody waits for it once it is established; the requests below hear of the error.
    this.#established.promise.catch(() => undefined);
    this.#endRequests(error);
    this.#socket?.end();
  }

  #endRequests(error: unknown): void {
    const receivers = [...this.#receivers.values()];
    this.#receivers.clear();
    for (const receiver of receivers) receiver.failed(error);
  }

  #unreachable(error: unknown): ClientError {
    const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "unknown";
    if (this.#state === "open") return new ClientError("connection-lost", { address: this.#address, reason: code });
    return new ClientError("no-server", {
      address: this.#address,
      reason: code === "ECONNREFUSED" ? "refused" : code === "ECONNRESET" ? "closed" : code,
    });
  }

  #located(error: ClientError): ClientError {
    const token: Record<string, string> = error.code === "not-allowed" ? { token_file: this.#tokenFile } : {};
    return new ClientError(error.code, { address: this.#address, ...token, ...error.data });
  }

  /** Bytes that are no messages of ours: nothing on this connection can be trusted any more. */
  #garbled(): ClientError {
    return new ClientError(this.#state === "open" ? "connection-lost" : "not-our-server", { address: this.#address, reason: "garbled" });
  }
}

function requestError(body: RequestErrorBody): RequestError {
  return new RequestError(body.code, body.data);
}
