/**
 * No-op jobs on 16 local slots against every peer that can be had. Each is asked in the way that is best for it, and timed
 * from the first submission to the end of the last job; ours with the machines there from the beginning, in one request.
 */
import type { TestBinary } from "../../support/binary.ts";
import { type Absent, type Figure, plainSubject, type Subject, type Target, timed } from "../measure.ts";
import { BenchServer } from "../server.ts";
import { gnuParallel } from "./gnu-parallel.ts";
import { hyperQueue } from "./hyperqueue.ts";
import { oldSystemJobs } from "./old-system.ts";
import { pueueJobs, pueuePassage } from "./pueue.ts";
import { SLOTS } from "./slots.ts";
import { slurm } from "./slurm.ts";
import { taskSpoolerJobs, taskSpoolerPassage } from "./task-spooler.ts";

interface PeerRow {
  readonly rounds: number;
  /** How many jobs the peer is given in a round: fewer where it needs long. */
  readonly jobs: number;
  readonly atLeast: number | null;
  /** Our server has just been started. Otherwise it has done jobs before, as one that runs for months has. */
  readonly isFresh?: true;
  readonly peer: (jobs: number) => Promise<Subject | Absent>;
}

/** So many jobs it takes until the engine has compiled what they pass through, and the rate no longer grows. */
const WARM_UP_JOBS = 4_000;

/** "at least 2x task-spooler" and the like; null: reported only. */
const PEERS: readonly PeerRow[] = [
  { rounds: 3, jobs: 500, atLeast: 2.5, peer: gnuParallel },
  { rounds: 3, jobs: 500, atLeast: 2, peer: taskSpoolerJobs },
  { rounds: 3, jobs: 500, atLeast: null, peer: taskSpoolerPassage },
  { rounds: 3, jobs: 500, atLeast: null, isFresh: true, peer: taskSpoolerJobs },
  { rounds: 3, jobs: 10, atLeast: 100, peer: oldSystemJobs },
  { rounds: 3, jobs: 100, atLeast: null, peer: pueueJobs },
  { rounds: 3, jobs: 100, atLeast: null, peer: pueuePassage },
  { rounds: 3, jobs: 150, atLeast: null, peer: hyperQueue },
  { rounds: 3, jobs: 150, atLeast: null, peer: slurm },
];

export function peerFigures({ quick }: { readonly quick: boolean }): readonly Figure[] {
  const ourJobs = quick ? 32 : 500;
  return PEERS.map(({ rounds, jobs, atLeast, isFresh = false, peer }) => ({
    parts: [
      {
        what: `no-op jobs, ${SLOTS} slots, submission included${isFresh ? ", in the first second of a server" : ""}`,
        unit: "per second",
        ...targetOf(atLeast),
      },
    ],
    rounds: quick ? 1 : rounds,
    usesBinary: true,
    ours: (binary) =>
      isFresh ? Promise.resolve(oursFresh(binary, ourJobs)) : ours(binary, { jobs: ourJobs, before: quick ? 32 : WARM_UP_JOBS }),
    peer: () => peer(quick ? Math.min(jobs, 32) : jobs),
  }));
}

function targetOf(atLeast: number | null): { readonly target?: Target } {
  return atLeast === null ? {} : { target: { kind: "ratio-at-least", value: atLeast } };
}

async function ours(binary: TestBinary, { jobs, before }: { jobs: number; before: number }): Promise<Subject> {
  const server = await serverWithSlots(binary);
  await pass(server, before);
  return {
    name: "expjobserver",
    once: async () => [(jobs * 1_000) / (await timed(() => pass(server, jobs)))],
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

function oursFresh(binary: TestBinary, jobs: number): Subject {
  return plainSubject("expjobserver", async () => {
    await using server = await serverWithSlots(binary);
    return [(jobs * 1_000) / (await timed(() => pass(server, jobs)))];
  });
}

async function serverWithSlots(binary: TestBinary): Promise<BenchServer> {
  const server = await BenchServer.start(binary);
  await server.addMachines(
    "slots",
    Array.from({ length: SLOTS }, (_, slot) => `local/${slot}`),
  );
  return server;
}

async function pass(server: BenchServer, jobs: number): Promise<void> {
  await server.drained((await server.add("slots", "true", jobs)) + jobs - 1);
}
