/** A real server for tests: on a free port of 127.0.0.1, with a token file of its own and handlers as given. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Handlers } from "../../../src/daemon/server/handler.ts";
import type { DeadlinesMs } from "../../../src/daemon/server/limits.ts";
import { createServer, type Server } from "../../../src/daemon/server/server.ts";
import { loadOrCreateToken } from "../../../src/daemon/server/token.ts";
import { RequestError } from "../../../src/protocol/error.ts";
import { METHODS } from "../../../src/protocol/methods.ts";

export interface TestServerOptions {
  readonly handlers?: Partial<Handlers>;
  readonly host?: string;
  readonly port?: number;
  readonly version?: string;
  readonly deadlinesMs?: DeadlinesMs;
}

export class TestServer implements AsyncDisposable {
  readonly errors: { readonly error: unknown; readonly where: string }[] = [];

  static async start(options: TestServerOptions = {}): Promise<TestServer> {
    const folder = mkdtempSync(join(tmpdir(), "expjob-server-"));
    const tokenFile = join(folder, "token");
    const token = loadOrCreateToken(tokenFile);
    const test = new TestServer(folder, tokenFile, token);
    try {
      await test.#listen(options);
    } catch (error) {
      rmSync(folder, { recursive: true });
      throw error;
    }
    return test;
  }

  #server: Server | null = null;

  private constructor(
    readonly folder: string,
    readonly tokenFile: string,
    readonly token: Uint8Array,
  ) {}

  async #listen(options: TestServerOptions): Promise<void> {
    const { host = "127.0.0.1", port = 0, version = "9.8.7", deadlinesMs } = options;
    const onError = (error: unknown, where: string): number => this.errors.push({ error, where });
    const handlers = handlersWith(options.handlers ?? {});
    const timing = deadlinesMs === undefined ? {} : { deadlinesMs };
    this.#server = await createServer({ host, port, token: this.token, version, handlers, onError, ...timing });
  }

  get server(): Server {
    if (this.#server === null) throw new Error("The server is not started.");
    return this.#server;
  }

  get port(): number {
    return this.server.port;
  }

  get address(): string {
    return `${this.server.address.host}:${this.server.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.stop();
    rmSync(this.folder, { recursive: true });
  }
}

/** Those given; all others refuse, except server.ping. */
function handlersWith(given: Partial<Handlers>): Handlers {
  const refuse = (): Promise<never> => Promise.reject(new RequestError("bad-request", { what: "no handler in this test" }));
  const all = Object.fromEntries(Object.keys(METHODS).map((name) => [name, refuse])) as unknown as Handlers;
  return { ...all, "server.ping": () => Promise.resolve({ version: "9.8.7" }), ...given };
}
