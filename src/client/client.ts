/**
 * What commands call: methods by name with typed parameters and results. A change carries a random request
 * id, so that asking again after a lost connection is harmless, and that is done once without a word.
 */
import { type Address, parseAddress } from "../protocol/address.ts";
import type { Chunk, MethodName, Params, Result, StreamName } from "../protocol/methods.ts";
import { misfit, type Shape, type WireMethod } from "../protocol/shape.ts";
import { wireShapes } from "../protocol/wire-shapes.ts" with { type: "macro" };
import { Connection, type DialOptions, type OutgoingRequest } from "./connection.ts";
import { ClientError } from "./error.ts";
import { ChunkBuffer, type ClientStream, canceled } from "./stream.ts";

export interface ConnectOptions {
  /** HOST:PORT of this host. */
  readonly address: string;
  readonly tokenFile: string;
  /** For connecting and the handshake, tries included; default 5 s. Requests themselves may take as long as they like. */
  readonly timeoutMs?: number;
  /** Our program's, for the other side's messages. */
  readonly version?: string;
}

/** Methods with one answer. */
export type CallName = Exclude<MethodName, StreamName>;

const TIMEOUT_MS = 5_000;
/** Each as JSON, so that a call reads those of its own method only. */
const METHODS: Readonly<Record<MethodName, string>> = wireShapes();
/** Waits before trying again: a server may just be starting, or have too many to shake hands with. Each varies by half. */
const RETRY_DELAYS_MS = { refused: [20, 60, 150], closed: [20, 60, 150, 300, 400] } as const;

/** @throws {ClientError} */
export async function connect(options: ConnectOptions): Promise<Client> {
  const address = parseAddress(options.address);
  if (typeof address === "string") throw new ClientError("bad-address", { address: options.address, reason: address });
  const dialling = {
    address,
    tokenFile: options.tokenFile,
    version: options.version ?? "unknown",
    timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
  };
  return new Client(dialling, await dialPatiently(dialling));
}

export class Client {
  readonly #dialling: DialOptions;
  #connection: Connection;
  #redial: Promise<Connection> | null = null;
  #closed = false;

  constructor(dialling: DialOptions, connection: Connection) {
    this.#dialling = dialling;
    this.#connection = connection;
  }

  get serverVersion(): string {
    return this.#connection.serverVersion;
  }

  get address(): Address {
    return this.#dialling.address;
  }

  /** @throws {RequestError} when the server refuses. @throws {ClientError} when there is no answer. */
  async call<M extends CallName>(name: M, params: Params<M>): Promise<Result<M>> {
    const method = wireMethod(name);
    const request = { method: name, params, requestId: method.mutates ? crypto.randomUUID() : null };
    const result = await this.#ask(request).catch((error: unknown) => this.#askAgain(request, error));
    return this.#accept(method.result, result, name) as Result<M>;
  }

  /** Starts at once. It is not asked again when the connection is lost. */
  stream<M extends StreamName>(name: M, params: Params<M>): ClientStream<Chunk<M>, Result<M>> {
    const method = wireMethod(name);
    const result = Promise.withResolvers<unknown>();
    let cancel = (): void => undefined;
    let acknowledge = (_bytes: number): void => undefined;
    const buffer = new ChunkBuffer((bytes) => acknowledge(bytes));
    const failed = (error: unknown): void => {
      buffer.fail(error);
      result.reject(error);
    };
    const accepted = result.promise.then((value) => this.#accept(method.result, value, name) as Result<M>);
    // A reader of the chunks hears of the error there; `result` need not be awaited as well.
    accepted.catch(() => undefined);
    const begin = (connection: Connection): void => {
      if (buffer.ended) return;
      const receiver = {
        chunk: (chunk: unknown, bytes: number) => buffer.put(chunk, bytes),
        result: (value: unknown) => {
          buffer.finish();
          result.resolve(value);
        },
        failed,
      };
      const id = connection.request({ method: name, params, requestId: null }, receiver);
      cancel = () => connection.cancel(id);
      acknowledge = (bytes) => connection.acknowledge(id, bytes);
    };
    this.#live().then(begin).catch(failed);
    const stop = (): void => {
      cancel();
      failed(canceled());
    };
    return {
      result: accepted,
      cancel: stop,
      [Symbol.asyncIterator]: () => this.#chunks(buffer, { shape: method.chunk, method: name, stop }) as AsyncIterator<Chunk<M>>,
    };
  }

  /** Requests without an answer are rejected with ClientError "connection-lost". */
  close(): void {
    this.#closed = true;
    this.#connection.close();
  }

  async *#chunks(
    buffer: ChunkBuffer,
    { shape, method, stop }: { readonly shape: Shape | undefined; readonly method: string; readonly stop: () => void },
  ): AsyncGenerator<unknown> {
    try {
      for await (const chunk of buffer.read()) yield this.#accept(shape, chunk, method);
    } finally {
      if (!buffer.ended) stop();
    }
  }

  async #ask(request: OutgoingRequest): Promise<unknown> {
    const connection = await this.#live();
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    connection.request(request, { chunk: () => undefined, result: resolve, failed: reject });
    return promise;
  }

  /** The same request id again: a server that has done it already answers as before. */
  async #askAgain(request: OutgoingRequest, error: unknown): Promise<unknown> {
    if (!isLost(error) || this.#closed) throw error;
    try {
      return await this.#ask(request);
    } catch (second) {
      if (!(second instanceof ClientError)) throw second;
      const outcome: Record<string, string> = request.requestId === null ? {} : { outcome: "unknown" };
      throw new ClientError("connection-lost", { ...error.data, ...outcome });
    }
  }

  async #live(): Promise<Connection> {
    if (this.#closed) throw new ClientError("connection-lost", { reason: "closed by the client" });
    if (!this.#connection.lost) return this.#connection;
    this.#redial ??= dialPatiently(this.#dialling);
    try {
      this.#connection = await this.#redial;
    } finally {
      this.#redial = null;
    }
    if (this.#closed) this.#connection.close();
    return this.#connection;
  }

  /** Unknown fields are dropped; an answer that does not fit is one of another version. */
  #accept(shape: Shape | undefined, value: unknown, method: string): unknown {
    const field = shape === undefined ? "" : misfit(shape, value);
    if (field === null) return value;
    throw new ClientError("version-mismatch", {
      method,
      field,
      server_version: this.serverVersion,
      client_version: this.#dialling.version,
    });
  }
}

function wireMethod(name: MethodName): WireMethod {
  return JSON.parse(METHODS[name]) as WireMethod;
}

async function dialPatiently(options: DialOptions): Promise<Connection> {
  const start = performance.now();
  const leftMs = (): number => options.timeoutMs - (performance.now() - start);
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await Connection.dial({ ...options, timeoutMs: Math.max(1, leftMs()) });
    } catch (error) {
      const delayMs = delaysAfter(error)[attempt];
      if (delayMs === undefined) throw error;
      const pauseMs = delayMs * (0.5 + Math.random());
      // What is known says more than that the time is over.
      if (leftMs() <= pauseMs) throw error;
      await Bun.sleep(pauseMs);
      if (leftMs() <= 0) throw error;
    }
  }
}

function delaysAfter(error: unknown): readonly number[] {
  if (!(error instanceof ClientError)) return [];
  // Nothing has been asked yet.
  if (error.code === "connection-lost" && error.data.during === "handshake") return RETRY_DELAYS_MS.closed;
  if (error.code !== "no-server") return [];
  const { reason } = error.data;
  return reason === "refused" || reason === "closed" ? RETRY_DELAYS_MS[reason] : [];
}

function isLost(error: unknown): error is ClientError {
  return error instanceof ClientError && error.code === "connection-lost";
}
