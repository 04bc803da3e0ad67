/** What a long past costs: listings, the start of the server and its memory must not feel it. */
import { join } from "node:path";
import { canConnect } from "../../scripts/free-port.ts";
import { connect } from "../../src/client/client.ts";
import type { TestBinary } from "../support/binary.ts";
import { TestDaemon } from "../support/daemon.ts";
import { waitFor } from "../support/wait-for.ts";
import { copyPastState } from "./cache.ts";
import { EmptyProgram } from "./floor.ts";
import { type Figure, type Subject, timed } from "./measure.ts";
import { residentMb } from "./server.ts";
import { spawned } from "./start-up.ts";

const FEW = 1_000;

export function pastFigures({ quick }: { readonly quick: boolean }): readonly Figure[] {
  const many = quick ? 2_000 : 1_000_000;
  const listed = quick ? 100 : 1_000;
  const target = { kind: "ratio-at-most", value: 1.2 } as const;
  return [
    {
      parts: [
        { what: `j job ls, ${many} past jobs, by the same with ${FEW}`, unit: "ms", target },
        { what: `j job stat --json of ${listed}, ${many} past jobs, by the same with ${FEW}`, unit: "ms", target },
      ],
      rounds: quick ? 1 : 15,
      usesBinary: true,
      ours: (binary) => listings(binary, { past: many, listed }),
      peer: (binary) => listings(binary, { past: FEW, listed }),
    },
  ];
}

export function startFigures({ quick }: { readonly quick: boolean }): readonly Figure[] {
  const sizes = quick
    ? [{ past: 2_000, toReach: 500 }]
    : [
        { past: 100_000, toReach: 500 },
        { past: 1_000_000, toReach: 1_500 },
      ];
  return sizes.map(({ past, toReach }) => ({
    parts: [
      { what: `start of the server with ${past} past jobs, to the first answer`, unit: "ms", target: { kind: "at-most", value: toReach } },
      { what: `its memory then, ${past} past jobs`, unit: "MB", target: { kind: "at-most", value: 120 } },
    ],
    rounds: quick ? 1 : 5,
    usesBinary: true,
    ours: (binary) => starts(binary, past),
    peer: emptyStarts,
  }));
}

async function daemonWithPast(binary: TestBinary, past: number): Promise<TestDaemon> {
  const daemon = await TestDaemon.prepare({ binary });
  try {
    await copyPastState(past, daemon.stateDir);
    return daemon;
  } catch (error) {
    await daemon[Symbol.asyncDispose]();
    throw error;
  }
}

async function listings(binary: TestBinary, { past, listed }: { past: number; listed: number }): Promise<Subject> {
  const daemon = await daemonWithPast(binary, past);
  await daemon.start();
  const { environment, folder } = daemon;
  const call = (words: string[]): Promise<number> => timed(() => spawned([binary.j, ...words], { cwd: folder, env: environment }));
  const stat = ["job", "stat", "--json", "--id", `${past - listed}-${past - 1}`];
  // Both servers have the blocks in memory that they keep there.
  await call(["job", "ls"]);
  await call(stat);
  return {
    name: `${past} past jobs`,
    once: async () => [await call(["job", "ls"]), await call(stat)],
    [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
  };
}

/** The state is in the page cache, as after a stop of the server; it is not that of a host that was just booted. */
async function starts(binary: TestBinary, past: number): Promise<Subject> {
  const daemon = await daemonWithPast(binary, past);
  return {
    name: "expjobserver",
    once: async () => {
      const durationMs = await timed(async () => {
        daemon.launch();
        await firstAnswer(daemon);
      });
      const memory = residentMb(daemon.pid);
      await daemon.stop();
      return [durationMs, memory];
    },
    [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
  };
}

async function firstAnswer(daemon: TestDaemon): Promise<void> {
  await waitFor(() => canConnect("127.0.0.1", daemon.port), { everyMs: 2, timeoutMs: 60_000, what: () => daemon.stderr });
  const client = await connect({ address: daemon.address, tokenFile: join(daemon.stateDir, "token"), timeoutMs: 20_000 });
  await client.call("server.ping", {});
  client.close();
}

async function emptyStarts(): Promise<Subject> {
  const program = await EmptyProgram.build();
  return {
    name: "empty program",
    once: async () => [await timed(() => spawned([program.path], { cwd: "/", env: {} })), null],
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  };
}
