/**
 * Owns the thread that hashes and writes for one stream (receive-worker.ts), from its start to its end: what it is
 * told, and the slots of shared memory, of which it is given the next only when one is free. Some 8 MB while it lives.
 */
import { targetUnwritable } from "./copy-problem.ts";
import type { FileToWrite } from "./files-writer.ts";
import type { FromWorker, ToWorker } from "./receive-worker.ts";
import { TimeSlice } from "./time-slice.ts";

const SLOTS = 8;
const SLOT_BYTES = 512 * 1024;
const FILES_A_MESSAGE = 1000;

export class ReceivingThread {
  readonly #worker: Worker;
  readonly #onHash: (sha256: string) => void;
  readonly #slots: readonly Uint8Array[];
  readonly #free: number[];
  #filling: { readonly slot: number; readonly bytes: Uint8Array; length: number } | null = null;
  #wake: (() => void) | null = null;
  #failure: Error | null = null;
  #isEnded = false;

  /** @param onHash called with the hash of each file that is complete, in their order */
  static async start(files: readonly FileToWrite[], onHash: (sha256: string) => void): Promise<ReceivingThread> {
    const thread = new ReceivingThread(onHash);
    const slice = new TimeSlice();
    for (let at = 0; at < files.length; at += FILES_A_MESSAGE) {
      thread.#tell({ kind: "files", files: files.slice(at, at + FILES_A_MESSAGE) });
      if (slice.over) await slice.pause();
    }
    return thread;
  }

  private constructor(onHash: (sha256: string) => void) {
    this.#onHash = onHash;
    const memory = new SharedArrayBuffer(SLOTS * SLOT_BYTES);
    this.#slots = Array.from({ length: SLOTS }, (_, slot) => new Uint8Array(memory, slot * SLOT_BYTES, SLOT_BYTES));
    this.#free = this.#slots.map((_, slot) => slot);
    this.#worker = new Worker(workerUrl(), { smol: true });
    this.#worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#hear(data);
    this.#worker.onerror = (event) => this.#fail(targetUnwritable("", new Error(`the thread that writes failed: ${event.message}`)));
    this.#tell({ kind: "slots", slots: this.#slots });
  }

  /** Copies `chunk`; what is returned must be awaited before the next one. @throws {CopyProblem} target-unwritable */
  take(chunk: Uint8Array): Promise<void> | undefined {
    const taken = this.#fill(chunk, 0);
    return taken < chunk.length ? this.#takeRest(chunk, taken) : undefined;
  }

  /**
   * Waits until all is written.
   * @param isWhole the stream came to its end; else what was received is kept, and no more
   * @throws {CopyProblem} target-unwritable
   */
  async end(isWhole: boolean): Promise<void> {
    if (this.#filling !== null) this.#send(this.#filling);
    this.#tell({ kind: "end", isWhole });
    while (!this.#isEnded) await this.#news();
  }

  /** The thread is gone when it resolves. */
  async stop(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#worker.addEventListener("close", () => resolve(), { once: true });
    this.#worker.terminate();
    await promise;
  }

  async #takeRest(chunk: Uint8Array, from: number): Promise<void> {
    for (let at = from; at < chunk.length; at = this.#fill(chunk, at)) await this.#news();
  }

  /** As much as fits into free slots. @returns where it stopped */
  #fill(chunk: Uint8Array, from: number): number {
    if (this.#failure !== null) throw this.#failure;
    for (let at = from; ; ) {
      if (at === chunk.length) return at;
      this.#filling ??= this.#nextSlot();
      const filling = this.#filling;
      if (filling === null) return at;
      const piece = chunk.subarray(at, at + SLOT_BYTES - filling.length);
      filling.bytes.set(piece, filling.length);
      filling.length += piece.length;
      at += piece.length;
      if (filling.length === SLOT_BYTES) this.#send(filling);
    }
  }

  #nextSlot(): { slot: number; bytes: Uint8Array; length: number } | null {
    const slot = this.#free.pop();
    const bytes = slot === undefined ? undefined : this.#slots[slot];
    return slot === undefined || bytes === undefined ? null : { slot, bytes, length: 0 };
  }

  #send({ slot, length }: { readonly slot: number; readonly length: number }): void {
    this.#filling = null;
    this.#tell({ kind: "bytes", slot, length });
  }

  #tell(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #hear(message: FromWorker): void {
    switch (message.kind) {
      case "written":
        this.#free.push(message.slot);
        break;
      case "ended":
        this.#isEnded = true;
        break;
      case "failed":
        return this.#fail(targetUnwritable(message.path, new Error(message.message)));
    }
    for (const sha256 of message.hashes) this.#onHash(sha256);
    this.#wake?.();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#wake?.();
  }

  async #news(): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    await promise;
    if (this.#failure !== null) throw this.#failure;
  }
}

/** Beside this file; in the executable, where all modules are merged into a few, an entry of its own. */
function workerUrl(): URL {
  const isBuilt = !import.meta.path.endsWith("receive-thread.ts");
  return new URL(isBuilt ? "./src/daemon/copier/receive-worker.js" : "./receive-worker.ts", import.meta.url);
}
