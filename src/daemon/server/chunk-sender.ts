/**
 * The chunks of one stream, in order and no faster than both the client's acknowledgements and its
 * connection allow: what a slow reader costs is one window and the chunk its handler waits with.
 */
import { STREAM_WINDOW_BYTES } from "../../protocol/limits.ts";
import { EMITS_WAITING_MAX } from "./limits.ts";

export interface ChunkOutlet {
  /** Queues one chunk and answers the payload bytes of its frame. */
  send(chunk: unknown): number;
  /** Resolves when the connection can take more, null when it can now. */
  room(): Promise<void> | null;
}

export class ChunkSender {
  readonly #outlet: ChunkOutlet;
  readonly #signal: AbortSignal;
  #unacknowledgedBytes = 0;
  #waiting = 0;
  #last: Promise<void> = Promise.resolve();
  #wake: (() => void) | null = null;

  constructor(outlet: ChunkOutlet, signal: AbortSignal) {
    this.#outlet = outlet;
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#wake?.(), { once: true });
  }

  readonly emit = async (chunk: unknown): Promise<void> => {
    if (this.#waiting >= EMITS_WAITING_MAX) throw new Error("A handler emits chunks without awaiting them.");
    this.#waiting += 1;
    const before = this.#last;
    const sent = Promise.withResolvers<void>();
    this.#last = sent.promise;
    try {
      await before;
      await this.#ready();
      this.#unacknowledgedBytes += this.#outlet.send(chunk);
      await this.#ready();
    } finally {
      this.#waiting -= 1;
      sent.resolve();
    }
  };

  acknowledge(bytes: number): void {
    this.#unacknowledgedBytes = Math.max(0, this.#unacknowledgedBytes - bytes);
    this.#wake?.();
  }

  async #ready(): Promise<void> {
    while (true) {
      this.#signal.throwIfAborted();
      const room = this.#outlet.room();
      if (room !== null) await room;
      else if (this.#unacknowledgedBytes >= STREAM_WINDOW_BYTES) await this.#acknowledged();
      else return;
    }
  }

  async #acknowledged(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    await promise;
    this.#wake = null;
  }
}
