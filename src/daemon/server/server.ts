/**
 * Listens on a loopback address and owns the connections: how many there may be, and their end.
 * What is said on them is the connection's, what is done the handlers'.
 */
import { type Address, isLoopback } from "../../protocol/address.ts";
import { NONCE_BYTES } from "../../protocol/limits.ts";
import { Connection } from "./connection.ts";
import type { Handlers } from "./handler.ts";
import {
  AUTHENTICATED_MAX,
  CONNECTIONS_MAX,
  DEADLINES_MS,
  type DeadlinesMs,
  UNAUTHENTICATED_MAX,
  UNAUTHENTICATED_SAFE_MS,
} from "./limits.ts";
import { findPortHolder, type PortHolder } from "./port-holder.ts";

export interface ServerOptions extends Address {
  /** 32 bytes, from loadOrCreateToken. */
  readonly token: Uint8Array;
  /** The program's version, told to every client. */
  readonly version: string;
  readonly handlers: Handlers;
  /** For faults of ours: exceptions of handlers (`where` is the method) and of the socket layer. */
  readonly onError: (error: unknown, where: string) => void;
  /** Default: DEADLINES_MS. */
  readonly deadlinesMs?: DeadlinesMs;
}

export interface Server extends AsyncDisposable {
  readonly address: Address;
  readonly port: number;
  /** Takes no more connections, ends what is in flight ("shutting-down"), sends all answers, closes. */
  stop(): Promise<void>;
}

export type ListenFault = "not-loopback" | "port-taken" | "no-permission" | "listen-failed";

export class ListenError extends Error {
  override readonly name = "ListenError";
  constructor(
    readonly fault: ListenFault,
    readonly address: Address,
    /** With "port-taken": the process that has the port; null when it cannot be seen. */
    readonly holder: PortHolder | null = null,
    /** The system's own code, e.g. EADDRNOTAVAIL, or "". */
    readonly systemCode: string = "",
  ) {
    super(`cannot listen on ${address.host}:${address.port}: ${fault} ${systemCode}`.trimEnd());
  }
}

/** Port 0 takes a free one. @throws {ListenError} */
export async function createServer(options: ServerOptions): Promise<Server> {
  if (!isLoopback(options.host)) throw new ListenError("not-loopback", options);
  const connections = new ConnectionTable(options);
  try {
    const listener: Bun.TCPSocketListener<Connection | undefined> = Bun.listen({
      hostname: options.host,
      port: options.port,
      socket: {
        open: (socket) => connections.opened(socket, listener.port),
        data: (socket, bytes) => socket.data?.received(bytes),
        drain: (socket) => socket.data?.drained(),
        close: (socket) => connections.closed(socket),
        // A reset by the peer is the peer's affair; close follows.
        error: (_socket, error) => connections.failed(error),
      },
    });
    const stop = async (): Promise<void> => {
      listener.stop();
      await connections.stop();
    };
    const address = { host: options.host, port: listener.port };
    return { address, port: listener.port, stop, [Symbol.asyncDispose]: stop };
  } catch (error) {
    throw await explain(error, options);
  }
}

class ConnectionTable {
  readonly #options: ServerOptions;
  /** In the order in which they came. */
  readonly #connections = new Set<Connection>();
  #stopping = false;

  constructor(options: ServerOptions) {
    this.#options = options;
  }

  opened(socket: Bun.Socket<Connection | undefined>, port: number): void {
    if (!this.#makeRoom()) {
      socket.terminate();
      return;
    }
    const { token, version, handlers, onError } = this.#options;
    const connection = new Connection(socket, {
      handshake: {
        token,
        port,
        nonce: crypto.getRandomValues(new Uint8Array(NONCE_BYTES)),
        programVersion: version,
        admission: () => this.#admission(),
      },
      dispatcher: { handlers, version, onError },
      deadlinesMs: this.#options.deadlinesMs ?? DEADLINES_MS,
    });
    socket.data = connection;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 60_000);
    this.#connections.add(connection);
  }

  closed(socket: Bun.Socket<Connection | undefined>): void {
    if (socket.data === undefined) return;
    this.#connections.delete(socket.data);
    socket.data.closed();
  }

  failed(error: Error & { code?: string }): void {
    if (error.code !== "ECONNRESET" && error.code !== "EPIPE") this.#options.onError(error, "socket");
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    const all = [...this.#connections];
    await Promise.all(all.map((connection) => (connection.state === "handshake" ? connection.drop() : connection.stop())));
  }

  /**
   * Many silent connections must not keep honest ones out: the oldest that has proved nothing gives way,
   * unless all of them are so young that they may be honest themselves.
   */
  #makeRoom(): boolean {
    if (this.#stopping) return false;
    const unproved = [...this.#connections].filter((connection) => connection.state === "handshake");
    if (unproved.length < UNAUTHENTICATED_MAX && this.#connections.size < CONNECTIONS_MAX) return true;
    const oldest = unproved[0];
    if (oldest === undefined || performance.now() - oldest.openedAtMs < UNAUTHENTICATED_SAFE_MS) return false;
    oldest.drop();
    this.#connections.delete(oldest);
    return true;
  }

  #admission(): "accepted" | "too-many-connections" | "shutting-down" {
    if (this.#stopping) return "shutting-down";
    const authenticated = this.#connections.values().filter((connection) => connection.state === "open");
    return [...authenticated].length < AUTHENTICATED_MAX ? "accepted" : "too-many-connections";
  }
}

async function explain(error: unknown, address: Address): Promise<unknown> {
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  const where = { host: address.host, port: address.port };
  if (code === "EADDRINUSE") return new ListenError("port-taken", where, await findPortHolder(address.port), code);
  if (code === "EACCES" || code === "EPERM") return new ListenError("no-permission", where, null, code);
  return code === "" ? error : new ListenError("listen-failed", where, null, code);
}
