/** A client of bytes: what it sends and reads is up to the test. */
import { ClientHandshake } from "../../../src/client/handshake.ts";
import { decodeServerMessage, encodeClientMessage } from "../../../src/protocol/client-message.ts";
import { FrameReader } from "../../../src/protocol/frame.ts";
import type { ServerMessage } from "../../../src/protocol/message.ts";
import { OutputQueue } from "../../../src/protocol/output-queue.ts";
import { waitFor } from "../../support/wait-for.ts";

export class RawPeer implements Disposable {
  readonly messages: ServerMessage[] = [];
  readonly #received: Uint8Array[] = [];
  readonly #frames = new FrameReader();
  readonly #handshake: ClientHandshake | null;
  readonly #output = new OutputQueue();
  #socket: Bun.Socket | null = null;
  closed = false;
  open = false;
  receivedBytes = 0;

  static async connect(port: number, host = "127.0.0.1"): Promise<RawPeer> {
    const peer = new RawPeer(null);
    await peer.#dial(port, host);
    return peer;
  }

  /** With the handshake done. */
  static async authenticated(port: number, token: Uint8Array, host = "127.0.0.1"): Promise<RawPeer> {
    const nonce = crypto.getRandomValues(new Uint8Array(32));
    const handshake = new ClientHandshake({ token: () => token, port, nonce, programVersion: "1.2.3" });
    const peer = new RawPeer(handshake);
    await peer.#dial(port, host);
    peer.write(handshake.hello);
    await waitFor(() => peer.open || peer.closed);
    return peer;
  }

  private constructor(handshake: ClientHandshake | null) {
    this.#handshake = handshake;
  }

  async #dial(port: number, hostname: string): Promise<void> {
    const closed = (): void => {
      this.closed = true;
    };
    const data = (_socket: Bun.Socket, bytes: Uint8Array): void => this.#take(bytes);
    const socket = { data, drain: () => this.#flush(), close: closed, error: closed, connectError: closed };
    this.#socket = await Bun.connect({ hostname, port, socket });
  }

  get received(): Uint8Array {
    return Buffer.concat(this.#received);
  }

  write(bytes: Uint8Array | string): void {
    const waits = this.#output.bytes > 0;
    this.#output.push(typeof bytes === "string" ? Buffer.from(bytes) : bytes);
    if (!waits) this.#flush();
  }

  /** What the system has not taken yet. */
  get unsentBytes(): number {
    return this.#output.bytes;
  }

  request(id: number, method: string, params: unknown): void {
    this.write(encodeClientMessage({ kind: "request", id, method, params, requestId: null }));
  }

  answer(id: number): ServerMessage | undefined {
    return this.messages.find((message) => message.id === id && message.kind !== "chunk");
  }

  async answered(id: number): Promise<ServerMessage | undefined> {
    await waitFor(() => this.answer(id) !== undefined || this.closed);
    return this.answer(id);
  }

  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  [Symbol.dispose](): void {
    this.#socket?.terminate();
  }

  #flush(): void {
    const socket = this.#socket;
    if (socket !== null && !this.closed) this.#output.flush((part) => socket.write(part));
  }

  #take(bytes: Uint8Array): void {
    this.receivedBytes += bytes.length;
    if (this.open) {
      this.#frames.push(bytes, (payload) => this.messages.push(decodeServerMessage(payload)));
    } else if (this.#handshake === null) {
      this.#received.push(bytes.slice());
    } else {
      const step = this.#handshake.push(bytes);
      if (step.kind === "send") this.write(step.bytes);
      if (step.kind === "done") this.open = true;
    }
  }
}
