/**
 * One accepted socket from its first byte to its last: handshake, frames in, frames out, and the deadlines
 * that keep silent, slow and half-open peers from holding anything. Requests are the exchange's.
 */

import { FrameReader } from "../../protocol/frame.ts";
import { FrameError } from "../../protocol/frame-error.ts";
import { CONNECTION_ID } from "../../protocol/limits.ts";
import { decodeClientMessage, encodeServerMessage } from "../../protocol/message.ts";
import { OutputQueue } from "../../protocol/output-queue.ts";
import type { Dispatcher } from "./dispatch.ts";
import { Exchange } from "./exchange.ts";
import { ServerHandshake, type ServerHandshakeOptions } from "./handshake.ts";
import { type DeadlinesMs, OUTPUT_BYTES_HIGH } from "./limits.ts";

export type ConnectionState = "handshake" | "open" | "closing" | "closed";

export interface ConnectionOptions {
  readonly handshake: ServerHandshakeOptions;
  readonly dispatcher: Dispatcher;
  readonly deadlinesMs: DeadlinesMs;
}

type Deadline = keyof DeadlinesMs;

export class Connection {
  readonly openedAtMs: number;
  readonly #socket: Bun.Socket<Connection | undefined>;
  readonly #handshake: ServerHandshake;
  readonly #exchange: Exchange;
  readonly #dispatcher: Dispatcher;
  readonly #deadlinesMs: DeadlinesMs;
  readonly #frames = new FrameReader();
  readonly #output = new OutputQueue();
  readonly #whenRoom: (() => void)[] = [];
  readonly #whenClosed = Promise.withResolvers<void>();
  #state: ConnectionState = "handshake";
  #reading = true;
  #deadline: Deadline | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: Bun.Socket<Connection | undefined>, options: ConnectionOptions) {
    this.openedAtMs = performance.now();
    this.#socket = socket;
    this.#handshake = new ServerHandshake(options.handshake);
    this.#dispatcher = options.dispatcher;
    this.#deadlinesMs = options.deadlinesMs;
    this.#exchange = new Exchange(options.dispatcher, {
      send: (frame) => this.#send(frame),
      room: () => this.#room(),
      changed: () => this.#watch(),
    });
    this.#watch();
  }

  get state(): ConnectionState {
    return this.#state;
  }

  received(bytes: Uint8Array): void {
    if (this.#state === "handshake") this.#shakeHands(bytes);
    else if (this.#state === "open") this.#readFrames(bytes);
    // What a closing connection still receives is dropped.
  }

  drained(): void {
    if (this.#state === "closed") return;
    const taken = this.#output.flush((bytes) => this.#socket.write(bytes));
    if (this.#output.bytes === 0 && this.#state === "closing") this.#socket.end();
    if (taken > 0) this.#renew("stalled");
    this.#regulate();
  }

  /** The socket is closed, by whichever side. */
  closed(): void {
    this.#state = "closed";
    clearTimeout(this.#timer);
    this.#output.clear();
    this.#exchange.disconnect();
    for (const wake of this.#whenRoom.splice(0)) wake();
    this.#whenClosed.resolve();
  }

  /** Answers what is in flight, sends all that is queued, closes. Resolves when the socket is closed. */
  async stop(): Promise<void> {
    if (this.#state === "open") {
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, this.#deadlinesMs.closing);
      await Promise.race([this.#exchange.stop(), this.#whenClosed.promise, late.promise]);
      clearTimeout(timer);
    }
    this.#close();
    await this.#whenClosed.promise;
  }

  /** At once, without another byte. */
  drop(): void {
    if (this.#state !== "closed") this.#socket.terminate();
  }

  #shakeHands(bytes: Uint8Array): void {
    const step = this.#handshake.push(bytes);
    switch (step.kind) {
      case "wait":
        return;
      case "send":
        return this.#send(step.bytes);
      case "accept":
        this.#state = "open";
        return this.#send(step.bytes);
      case "close":
        this.#send(step.bytes);
        return this.#close();
    }
  }

  #readFrames(bytes: Uint8Array): void {
    try {
      this.#frames.push(bytes, (payload) => {
        this.#exchange.receive(decodeClientMessage(payload));
        // Each frame has its own time.
        this.#renew("frame");
      });
      this.#watch();
    } catch (error) {
      const fault = error instanceof FrameError ? error.fault : "undecodable";
      if (!(error instanceof FrameError)) this.#dispatcher.onError(error, "frame");
      this.#send(encodeServerMessage({ kind: "error", id: CONNECTION_ID, error: { code: "bad-frame", data: { fault } } }));
      this.#exchange.disconnect();
      this.#close();
    }
  }

  #send(bytes: Uint8Array): void {
    if (bytes.length === 0 || this.#state === "closing" || this.#state === "closed") return;
    const waits = this.#output.bytes > 0;
    this.#output.push(bytes);
    if (!waits) this.#output.flush((part) => this.#socket.write(part));
    this.#regulate();
  }

  #room(): Promise<void> | null {
    if (this.#state === "closed" || this.#output.bytes < OUTPUT_BYTES_HIGH) return null;
    return new Promise<void>((resolve) => this.#whenRoom.push(resolve));
  }

  /** Requests are read only while their answers find room. */
  #regulate(): void {
    const room = this.#output.bytes < OUTPUT_BYTES_HIGH;
    if (room) for (const wake of this.#whenRoom.splice(0)) wake();
    if (room !== this.#reading) {
      this.#reading = room;
      if (room) this.#socket.resume();
      else this.#socket.pause();
    }
    this.#watch();
  }

  #close(): void {
    if (this.#state === "closing" || this.#state === "closed") return;
    this.#state = "closing";
    if (this.#output.bytes === 0) this.#socket.end();
    this.#watch();
  }

  /** Sets the one deadline that the present state calls for; one that is running goes on. */
  #watch(): void {
    const due = this.#due();
    if (due === this.#deadline && due !== "idle") return;
    this.#deadline = due;
    clearTimeout(this.#timer);
    if (due !== null) this.#timer = setTimeout(() => this.drop(), this.#deadlinesMs[due]);
  }

  /** There was progress: that deadline begins anew, if it is still due. */
  #renew(deadline: Deadline): void {
    if (this.#deadline !== deadline) return;
    clearTimeout(this.#timer);
    this.#deadline = null;
  }

  #due(): Deadline | null {
    switch (this.#state) {
      case "handshake":
        return "handshake";
      case "closing":
        return "closing";
      case "closed":
        return null;
      case "open":
        if (this.#output.bytes > 0 && !this.#exchange.streaming) return "stalled";
        if (this.#frames.midFrame && this.#reading) return "frame";
        return this.#exchange.inFlight === 0 ? "idle" : null;
    }
  }
}
