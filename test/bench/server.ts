/** The server that the benches measure: a compiled one in a temporary folder, and one connection to it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Client, connect } from "../../src/client/client.ts";
import type { TestBinary } from "../support/binary.ts";
import { TestDaemon, type TestDaemonOptions } from "../support/daemon.ts";
import { childrenOf } from "./processes.ts";

/** What `job.add` needs beside class and command. */
export const PLAIN = { cp_results: null, retry: null, timeout: null, tag: null, notify: false } as const;
/** More than any bench queues. */
const CONFIG = "[limits]\nqueued_jobs = 1000000\n";

export interface BenchServerOptions extends Omit<TestDaemonOptions, "binary" | "config"> {
  /** What the server finds at its start. Default: nothing. */
  readonly writeState?: (stateDir: string) => Promise<void>;
}

export class BenchServer implements AsyncDisposable {
  private constructor(
    readonly daemon: TestDaemon,
    private connection: Client,
  ) {}

  static async start(binary: TestBinary, options: BenchServerOptions = {}): Promise<BenchServer> {
    const { writeState, ...more } = options;
    const daemon = await TestDaemon.prepare({ ...more, binary, config: CONFIG });
    try {
      await writeState?.(daemon.stateDir);
      await daemon.start();
      return new BenchServer(daemon, await connectTo(daemon));
    } catch (error) {
      await daemon[Symbol.asyncDispose]();
      throw error;
    }
  }

  get client(): Client {
    return this.connection;
  }

  /** @returns the first id */
  async add(className: string, cmd: string, count = 1): Promise<number> {
    return (await this.client.call("job.add", { ...PLAIN, class: className, cmd, count })).first;
  }

  async addMatrix(className: string, cmd: string, keys: { name: string; values: string[] }[]): Promise<void> {
    await this.client.call("matrix.add", { ...PLAIN, class: className, cmd, keys, count: 1 });
  }

  async addMachines(className: string, addrs: string[]): Promise<void> {
    await this.client.call("machine.add", { addrs, class: className });
  }

  /** A class whose only machine is busy: what is queued for it waits, as on a full lab. */
  async occupy(className: string): Promise<void> {
    await this.addMachines(className, ["local"]);
    await this.add(className, "exec sleep 100000");
  }

  /** Waits for the end of one job. @returns its status */
  async ended(jid: number): Promise<string> {
    const { jobs } = await this.client.call("job.wait", { ids: [{ kind: "id", id: jid }], timeout: null });
    return jobs[0]?.status ?? "forgotten";
  }

  /** Until no job waits, runs or copies. @param last the highest id, so that looking again costs little */
  async drained(last: number): Promise<void> {
    await this.client.call("job.wait", { ids: [{ kind: "id", id: last }], timeout: null });
    for (;;) {
      const { jobs } = await this.client.call("server.status", {});
      if (jobs.failed + jobs.unknown > 0) throw new Error(`jobs failed: ${JSON.stringify(jobs)}`);
      if (jobs.waiting + jobs.running + jobs.copying === 0) return;
    }
  }

  /** As after a stop of the host: the same state, a new process. */
  async restart(): Promise<void> {
    this.connection.close();
    await this.daemon.stop();
    await this.daemon.start();
    this.connection = await connectTo(this.daemon);
  }

  /** Resident memory of the server's process, MB (10^6 bytes). */
  get residentMb(): number {
    return residentMb(this.daemon.pid);
  }

  /** Of the server's process, and of its children, those that have ended and those that stand (supervisors), since its start. */
  get processorTime(): { readonly ownMs: number; readonly childrenMs: number } {
    const { pid } = this.daemon;
    const server = processorTimeOf(pid);
    const standing = childrenOf(pid).map((child) => processorTimeOf(child));
    const standingMs = standing.reduce((sum, { ownMs, endedChildrenMs }) => sum + ownMs + endedChildrenMs, 0);
    return { ownMs: server.ownMs, childrenMs: server.endedChildrenMs + standingMs };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.connection.close();
    await this.daemon[Symbol.asyncDispose]();
  }
}

/** Zeros for a process that is gone: who waited for it has its time. */
function processorTimeOf(pid: number): { readonly ownMs: number; readonly endedChildrenMs: number } {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // utime, stime, cutime and cstime, in ticks of 10 ms.
    const fields = stat.slice(stat.lastIndexOf(") ") + 2).split(" ");
    const [user = 0, system = 0, childUser = 0, childSystem = 0] = fields.slice(11, 15).map(Number);
    return { ownMs: (user + system) * 10, endedChildrenMs: (childUser + childSystem) * 10 };
  } catch {
    return { ownMs: 0, endedChildrenMs: 0 };
  }
}

export function residentMb(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
  return (Number(kib) * 1_024) / 1e6;
}

function connectTo(daemon: TestDaemon): Promise<Client> {
  return connect({ address: daemon.address, tokenFile: join(daemon.stateDir, "token"), timeoutMs: 20_000 });
}
