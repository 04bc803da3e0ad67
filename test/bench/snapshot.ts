/** The longest time that a request waits while a snapshot is written, and in as long a time without one. */
import { once } from "node:events";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { TestBinary } from "../support/binary.ts";
import { waitFor } from "../support/wait-for.ts";
import { type Figure, type Subject, timed } from "./measure.ts";
import { writeQueuedState } from "./past-state.ts";
import { BenchServer } from "./server.ts";

/** A value of a variable that is set again and again fills the journal and not the state. */
const VALUE = "x".repeat(60_000);
/** So much of the journal is filled before anything is measured; the server takes a snapshot at 8 MiB. */
const FILLED_BYTES = 8 * 1_048_576 - 4 * VALUE.length;
const FILLS_MAX = 400;

export function snapshotFigures({ quick }: { readonly quick: boolean }): readonly Figure[] {
  const queued = quick ? 1_000 : 100_000;
  return [
    figure(`${queued} queued by one request`, { quick, start: (binary) => oneRequest(binary, queued) }),
    figure(`${queued} queued one by one`, { quick, start: (binary) => oneByOne(binary, queued) }),
  ];
}

type Start = (binary: TestBinary) => Promise<BenchServer>;

function figure(queue: string, { quick, start }: { readonly quick: boolean; readonly start: Start }): Figure {
  const window: Window = { lastedMs: 300 };
  const target = { kind: "at-most", value: 20 } as const;
  return {
    parts: [
      { what: `longest wait of a ping during a snapshot, ${queue}`, unit: "ms", target },
      { what: `longest wait of a job.add during a snapshot, ${queue}`, unit: "ms", target },
      { what: `how long the snapshot took, ${queue}`, unit: "ms" },
    ],
    rounds: quick ? 1 : 3,
    usesBinary: true,
    ours: async (binary) => during(await start(binary), (server) => snapshotTaken(server, window)),
    peer: async (binary) => during(await start(binary), () => nothing(window)),
  };
}

async function oneRequest(binary: TestBinary, queued: number): Promise<BenchServer> {
  const server = await BenchServer.start(binary);
  await server.occupy("later");
  await server.add("later", "true --run {JID}", queued);
  return server;
}

/** A snapshot must write each of them by itself. */
async function oneByOne(binary: TestBinary, queued: number): Promise<BenchServer> {
  return await BenchServer.start(binary, { writeState: (stateDir) => writeQueuedState(stateDir, { jobs: queued, className: "later" }) });
}

/** The time without a snapshot is as long as the last one with it. */
interface Window {
  lastedMs: number;
}

interface Taking {
  readonly name: string;
  /** What is to be done before anything is measured. */
  prepare(): Promise<void>;
  /** @returns how long the snapshot took, ms; null: there was none */
  take(): Promise<number | null>;
}

async function during(server: BenchServer, taking: (server: BenchServer) => Taking): Promise<Subject> {
  const { name, prepare, take } = taking(server);
  return {
    name,
    once: async () => {
      await prepare();
      const pings = new Waits(() => server.client.call("server.ping", {}));
      const adds = new Waits(() => server.add("later", "true"));
      const both = [pings.run(), adds.run()];
      const lastedMs = await take();
      pings.stop();
      adds.stop();
      await Promise.all(both);
      return [pings.longestMs, adds.longestMs, lastedMs];
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** One request after the other. */
class Waits {
  longestMs = 0;
  private stopped = false;

  constructor(private readonly request: () => Promise<unknown>) {}

  async run(): Promise<void> {
    while (!this.stopped) this.longestMs = Math.max(this.longestMs, await timed(this.request));
  }

  stop(): void {
    this.stopped = true;
  }
}

function nothing(window: Window): Taking {
  return {
    name: "without a snapshot",
    prepare: () => Promise.resolve(),
    take: async () => {
      await once(AbortSignal.timeout(window.lastedMs), "abort");
      return null;
    },
  };
}

function snapshotTaken(server: BenchServer, window: Window): Taking {
  const { stateDir } = server.daemon;
  const fill = (): Promise<unknown> => server.client.call("variable.set", { name: "FILLING", value: VALUE, secret: false });
  const writtenAt = (): number => statSync(join(stateDir, "snapshot.toml"), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const fillUntil = async (reached: () => boolean): Promise<void> => {
    for (let fills = 0; !reached(); fills += 1) {
      if (fills === FILLS_MAX) throw new Error("the server takes no snapshot");
      await fill();
    }
  };
  return {
    name: "with a snapshot",
    prepare: () => fillUntil(() => newestSegment(stateDir).bytes >= FILLED_BYTES),
    take: async () => {
      const before = writtenAt();
      const { name } = newestSegment(stateDir);
      let begunAt = performance.now();
      await fillUntil(() => {
        if (newestSegment(stateDir).name !== name) return true;
        begunAt = performance.now();
        return false;
      });
      await waitFor(() => writtenAt() !== before, { everyMs: 5, timeoutMs: 60_000 });
      window.lastedMs = performance.now() - begunAt;
      return window.lastedMs;
    },
  };
}

/** A snapshot begins with a new one. */
function newestSegment(stateDir: string): { readonly name: string; readonly bytes: number } {
  const folder = join(stateDir, "journal");
  const name = readdirSync(folder).sort().at(-1) ?? "";
  return { name, bytes: statSync(join(folder, name)).size };
}
