/**
 * The requests in flight on one connection: starts them, cancels them, and sends each its one answer, in
 * whatever order they come. It knows messages; bytes and sockets are the connection's.
 */
import type { RequestErrorBody } from "../../protocol/error.ts";
import { FRAME_HEADER_BYTES } from "../../protocol/frame.ts";
import { FrameError } from "../../protocol/frame-error.ts";
import { FRAME_BYTES_MAX, REQUESTS_IN_FLIGHT_MAX } from "../../protocol/limits.ts";
import { type ClientMessage, encodeServerMessage } from "../../protocol/message.ts";
import { ChunkSender } from "./chunk-sender.ts";
import { type Answer, type Dispatcher, dispatch, type RequestMessage } from "./dispatch.ts";
import { RequestGone } from "./handler.ts";

export interface ExchangeOutput {
  /** Queues a whole frame. Harmless when the connection is gone. */
  send(frame: Uint8Array): void;
  /** Resolves when the queue has room or the connection is gone, null when it has room now. */
  room(): Promise<void> | null;
  /** A request has begun or ended. */
  changed(): void;
}

interface RequestInFlight {
  readonly controller: AbortController;
  readonly chunks: ChunkSender;
  /** The client reads JSON text. */
  readonly json: boolean;
  emitted: boolean;
}

export class Exchange {
  readonly #dispatcher: Dispatcher;
  readonly #output: ExchangeOutput;
  readonly #requests = new Map<number, RequestInFlight>();
  #stopping = false;
  #whenEmpty: (() => void) | null = null;

  constructor(dispatcher: Dispatcher, output: ExchangeOutput) {
    this.#dispatcher = dispatcher;
    this.#output = output;
  }

  get inFlight(): number {
    return this.#requests.size;
  }

  /** Is a request in flight that has sent chunks? Its reader may take its time. */
  get streaming(): boolean {
    return this.#requests.values().some((request) => request.emitted);
  }

  /** @throws {FrameError} "bad-envelope" for an id that is in use. */
  receive(message: ClientMessage): void {
    switch (message.kind) {
      case "request":
        return this.#begin(message);
      case "cancel":
        return this.#requests.get(message.id)?.controller.abort(new RequestGone("canceled"));
      case "ack":
        return this.#requests.get(message.id)?.chunks.acknowledge(message.bytes);
    }
  }

  /** The client is gone: nobody waits for any answer. */
  disconnect(): void {
    for (const request of this.#requests.values()) request.controller.abort(new RequestGone("disconnected"));
  }

  /** Refuses what comes from now on, asks what is in flight to end, and resolves when it has. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const request of this.#requests.values()) request.controller.abort(new RequestGone("shutting-down"));
    if (this.#requests.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#whenEmpty = resolve;
    });
  }

  #begin(message: RequestMessage): void {
    const { id } = message;
    if (this.#requests.has(id)) throw new FrameError("bad-envelope");
    if (this.#stopping) return this.#refuse(id, { code: "shutting-down", data: {} });
    if (this.#requests.size >= REQUESTS_IN_FLIGHT_MAX) {
      return this.#refuse(id, { code: "limit-exceeded", data: { what: "requests-in-flight", max: REQUESTS_IN_FLIGHT_MAX } });
    }
    const controller = new AbortController();
    const chunks = new ChunkSender({ send: (chunk) => this.#chunk(id, chunk), room: () => this.#output.room() }, controller.signal);
    this.#requests.set(id, { controller, chunks, json: message.json === true, emitted: false });
    this.#output.changed();
    const context = { requestId: message.requestId, signal: controller.signal, emit: chunks.emit };
    // dispatch() never rejects; what #end throws would be a fault of ours and belongs in the log.
    dispatch(this.#dispatcher, message, context)
      .then((answer) => this.#end(message, answer))
      .catch((error: unknown) => this.#dispatcher.onError(error, message.method));
  }

  #chunk(id: number, chunk: unknown): number {
    const request = this.#requests.get(id);
    if (request === undefined) throw new Error("A handler emitted a chunk after it had answered.");
    const frame = encodeServerMessage({ kind: "chunk", id, chunk }, request.json);
    request.emitted = true;
    this.#output.send(frame);
    return frame.length - FRAME_HEADER_BYTES;
  }

  #end(message: RequestMessage, answer: Answer): void {
    const { id } = message;
    this.#requests.delete(id);
    this.#output.send(this.#encodeAnswer(message, answer));
    this.#output.changed();
    if (this.#requests.size === 0) this.#whenEmpty?.();
  }

  #encodeAnswer(message: RequestMessage, answer: Answer): Uint8Array {
    const { id, method } = message;
    try {
      return encodeServerMessage({ ...answer, id }, message.json);
    } catch (error) {
      if (error instanceof FrameError && error.fault === "too-long") {
        return encodeServerMessage({ kind: "error", id, error: { code: "limit-exceeded", data: { what: "reply", max: FRAME_BYTES_MAX } } });
      }
      this.#dispatcher.onError(error, method);
      return encodeServerMessage({ kind: "error", id, error: { code: "internal", data: {} } });
    }
  }

  #refuse(id: number, error: RequestErrorBody): void {
    this.#output.send(encodeServerMessage({ kind: "error", id, error }));
  }
}
