/** A TCP proxy on loopback that misbehaves on request: cuts after some bytes, freezes, delays. Counts what passes. */
import { connect, createServer, type Server, type Socket } from "node:net";

export interface CutProxyTarget {
  readonly host: string;
  readonly port: number;
}

export class CutProxy implements AsyncDisposable {
  /** Both sides are reset once this many bytes have come from the target, over all connections. */
  cutAfterBytes: number | null = null;
  /** Once so many bytes have gone to the target, nothing of it comes back any more: what was asked is done, its answer lost. */
  muteAfterBytesToTarget: number | null = null;
  /** Each piece from the target is held back this long. */
  delayMs = 0;
  bytesFromTarget = 0;
  bytesToTarget = 0;
  connections = 0;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  readonly #server: Server;
  #isFrozen = false;

  private constructor(target: CutProxyTarget) {
    this.#server = createServer((near) => this.#accept(near, target));
  }

  static async start(target: CutProxyTarget, address = "127.0.0.1"): Promise<CutProxy> {
    const proxy = new CutProxy(target);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    proxy.#server.once("error", reject);
    proxy.#server.listen(0, address, resolve);
    await promise;
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the proxy is not listening");
    return address.port;
  }

  /** Bytes are held on both sides, as on a network that swallows them; `thaw` lets them go on. */
  freeze(): void {
    this.#isFrozen = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  thaw(): void {
    this.#isFrozen = false;
    for (const pair of this.#pairs) for (const socket of pair) socket.resume();
  }

  /** Resets all connections now. */
  cut(): void {
    for (const pair of [...this.#pairs]) this.#end(pair);
  }

  async stop(): Promise<void> {
    this.cut();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    await promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #accept(near: Socket, target: CutProxyTarget): void {
    this.connections += 1;
    const far = connect(target);
    const pair = [near, far] as const;
    this.#pairs.add(pair);
    for (const socket of pair) {
      socket.setNoDelay(true);
      socket.once("error", () => this.#end(pair));
      socket.once("close", () => this.#end(pair));
      if (this.#isFrozen) socket.pause();
    }
    near.on("data", (bytes: Buffer) => {
      this.bytesToTarget += bytes.length;
      pass(bytes, near, far);
    });
    far.on("data", (bytes: Buffer) => {
      if (this.muteAfterBytesToTarget !== null && this.bytesToTarget >= this.muteAfterBytesToTarget) return;
      const allowed = this.cutAfterBytes === null ? bytes.length : Math.min(bytes.length, this.cutAfterBytes - this.bytesFromTarget);
      this.bytesFromTarget += Math.max(0, allowed);
      const passed = bytes.subarray(0, Math.max(0, allowed));
      if (this.delayMs > 0) setTimeout(() => pass(passed, far, near), this.delayMs);
      else pass(passed, far, near);
      if (allowed < bytes.length) this.#end(pair);
    });
  }

  #end(pair: readonly [Socket, Socket]): void {
    this.#pairs.delete(pair);
    for (const socket of pair) socket.destroy();
  }
}

function pass(bytes: Buffer, from: Socket, to: Socket): void {
  if (to.destroyed || to.write(bytes)) return;
  from.pause();
  to.once("drain", () => from.resume());
}
