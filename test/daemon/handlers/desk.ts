/** The handlers on an assembled daemon, called as the server calls them, without sockets. */

import { isEnded } from "../../../src/core/job.ts";
import { allHandlers } from "../../../src/daemon/handlers/all.ts";
import type { Services } from "../../../src/daemon/handlers/services.ts";
import type { Handlers, StreamContext } from "../../../src/daemon/server/handler.ts";
import type { MethodName, Params, Result } from "../../../src/protocol/methods.ts";
import { Assembly, type AssemblyOptions } from "../assembly.ts";

interface CallOptions {
  readonly requestId?: string;
  readonly signal?: AbortSignal;
  readonly emit?: (chunk: unknown) => Promise<void>;
}

export class Desk implements AsyncDisposable {
  private readonly handlers: Handlers;
  stopsAsked = 0;
  /** As [retention] does. */
  deletesLogs = false;

  private constructor(public daemon: Assembly) {
    this.handlers = allHandlers(this.services());
  }

  static async open(options: AssemblyOptions = {}): Promise<Desk> {
    return new Desk(await Assembly.open(options));
  }

  /** A kill -9, and a new server that hands out nothing. */
  async restart(): Promise<Desk> {
    return new Desk(await this.daemon.restart());
  }

  async call<M extends MethodName>(name: M, params: Params<M>, options: CallOptions = {}): Promise<Result<M>> {
    const context: StreamContext<never> = {
      requestId: options.requestId ?? null,
      signal: options.signal ?? new AbortController().signal,
      emit: options.emit ?? (async () => undefined),
    };
    // One table, one name: the parameters are those of the method.
    return await (this.handlers[name] as unknown as (params: Params<M>, context: StreamContext<never>) => Promise<Result<M>>)(
      params,
      context,
    );
  }

  /** @returns the result, and all chunks together */
  async stream<Chunk>(name: "job.list" | "matrix.list", params: Params<"job.list"> | Params<"matrix.list">): Promise<Chunk[]> {
    const chunks: Chunk[][] = [];
    await this.call(name, params as never, { emit: async (chunk) => void chunks.push(chunk as Chunk[]) });
    return chunks.flat();
  }

  async add(cmd = "true", more: Partial<Params<"job.add">> = {}, requestId?: string): Promise<Result<"job.add">> {
    const params = { class: "x", cmd, cp_results: null, count: 1, retry: null, timeout: null, tag: null, notify: false, ...more };
    return await this.call("job.add", params, requestId === undefined ? {} : { requestId });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.daemon[Symbol.asyncDispose]();
  }

  private services(): Services {
    const { engine, book, store, fleet, gate, folder } = this.daemon;
    return {
      engine,
      book,
      now: Date.now,
      secrets: {
        get: (name) => store.secrets.get(name),
        set: (name, value) => store.secrets.set(name, value),
        remove: (name) => store.secrets.remove([name]),
      },
      checkMachine: (addr) => fleet.check(addr),
      forgetConnectFailures: () => fleet.forgetConnectFailures(),
      readRecordedFiles: async () => null,
      takeResults: (request) => this.daemon.transfer.take(request),
      testWebhooks: async () => [],
      mayHaveDeletedLogOf: (job) => this.deletesLogs && isEnded(job.state),
      gateProblem: () => gate.problem,
      server: {
        version: "1.2.3",
        startedAt: 0,
        address: "127.0.0.1:3030",
        stateDir: folder,
        logDir: folder,
        tokenFile: `${folder}/token`,
        configFile: null,
        runner: null,
        splitsWords: (className) => fleet.usesDriver(className),
        conditions: () => [],
      },
      requestStop: () => {
        this.stopsAsked++;
      },
    };
  }
}

export const ids = (...jids: readonly number[]) => jids.map((id) => ({ kind: "id", id }) as const);
