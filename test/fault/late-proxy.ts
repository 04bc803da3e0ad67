/** A TCP proxy for what arrives late: bytes to the target are kept back, also when their sender is long gone, and delivered on request. */
import { connect, createServer, type Server, type Socket } from "node:net";

interface Way {
  readonly far: Socket;
  readonly held: Buffer[];
  isHeld: boolean;
}

export class LateProxy implements AsyncDisposable {
  readonly #ways = new Set<Way>();
  readonly #server: Server;
  /** New connections wait for their first byte. */
  holdsNew = false;

  private constructor(target: { host: string; port: number }) {
    this.#server = createServer((near) => this.#accept(near, target));
  }

  static async start(target: { host: string; port: number }): Promise<LateProxy> {
    const proxy = new LateProxy(target);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    proxy.#server.once("error", reject);
    proxy.#server.listen(0, target.host, resolve);
    await promise;
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the proxy is not listening");
    return address.port;
  }

  get heldBytes(): number {
    return [...this.#ways].flatMap(({ held }) => held).reduce((sum, bytes) => sum + bytes.length, 0);
  }

  /** From now on, on the connections that there are. */
  hold(): void {
    for (const way of this.#ways) way.isHeld = true;
  }

  /** All that was held, and then what comes. */
  deliver(): void {
    this.holdsNew = false;
    for (const way of this.#ways) {
      way.isHeld = false;
      for (const bytes of way.held.splice(0)) way.far.write(bytes);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { far } of this.#ways) far.destroy();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    await promise;
  }

  #accept(near: Socket, target: { host: string; port: number }): void {
    const far = connect(target);
    const way: Way = { far, held: [], isHeld: this.holdsNew };
    this.#ways.add(way);
    const over = (): void => {
      // The network still has them, and does not know that their sender gave up.
      if (way.held.length === 0) far.destroy();
    };
    near.on("error", over);
    near.on("close", over);
    near.on("data", (bytes: Buffer) => {
      if (way.isHeld) way.held.push(bytes);
      else far.write(bytes);
    });
    far.on("data", (bytes: Buffer) => {
      if (!way.isHeld && !near.destroyed) near.write(bytes);
    });
    far.on("error", () => near.destroy());
    far.on("close", () => {
      this.#ways.delete(way);
      near.destroy();
    });
  }
}
