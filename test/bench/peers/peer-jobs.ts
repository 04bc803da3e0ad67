/**
 * No-op jobs on 16 local slots against every peer that can be had. Each is asked in the way that is best for it, and timed
 * from the first submission to the end of the last job; ours with the machines there from the beginning, in one request.
 */
import type { TestBinary } from "../../support/binary.ts";
import { type Absent, type Figure, type Subject, type Target, timed } from "../measure.ts";
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
  readonly peer: (jobs: number) => Promise<Subject | Absent>;
}

/** "at least 2x task-spooler" and the like; null: reported only. */
const PEERS: readonly PeerRow[] = [
  { rounds: 3, jobs: 500, atLeast: 2.5, peer: gnuParallel },
  { rounds: 3, jobs: 500, atLeast: 2, peer: taskSpoolerJobs },
  { rounds: 3, jobs: 500, atLeast: null, peer: taskSpoolerPassage },
  { rounds: 3, jobs: 10, atLeast: 100, peer: oldSystemJobs },
  { rounds: 3, jobs: 100, atLeast: null, peer: pueueJobs },
  { rounds: 3, jobs: 100, atLeast: null, peer: pueuePassage },
  { rounds: 3, jobs: 150, atLeast: null, peer: hyperQueue },
  { rounds: 3, jobs: 150, atLeast: null, peer: slurm },
];

export function peerFigures({ quick }: { readonly quick: boolean }): readonly Figure[] {
  const ourJobs = quick ? 32 : 500;
  return PEERS.map(({ rounds, jobs, atLeast, peer }) => ({
    parts: [{ what: `no-op jobs, ${SLOTS} slots, submission included`, unit: "per second", ...targetOf(atLeast) }],
    rounds: quick ? 1 : rounds,
    usesBinary: true,
    ours: (binary) => ours(binary, ourJobs),
    peer: () => peer(quick ? Math.min(jobs, 32) : jobs),
  }));
}

function targetOf(atLeast: number | null): { readonly target?: Target } {
  return atLeast === null ? {} : { target: { kind: "ratio-at-least", value: atLeast } };
}

async function ours(binary: TestBinary, jobs: number): Promise<Subject> {
  const server = await BenchServer.start(binary);
  await server.addMachines(
    "slots",
    Array.from({ length: SLOTS }, (_, slot) => `local/${slot}`),
  );
  const pass = async (): Promise<void> => server.drained((await server.add("slots", "true", jobs)) + jobs - 1);
  // A server runs for months: what it compiles on the way in its first seconds is not what is asked.
  await pass();
  return {
    name: "expjobserver",
    once: async () => [(jobs * 1_000) / (await timed(pass))],
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
