/** How many jobs that do nothing pass through the server in a second on 16 local slots, against xargs. */
import type { TestBinary } from "../support/binary.ts";
import { type Figure, plainSubject, type Subject, timed } from "./measure.ts";
import { passage } from "./passage.ts";
import { SLOTS } from "./peers/slots.ts";
import { BenchServer } from "./server.ts";
import { spawned } from "./start-up.ts";

export function localJobFigures({ quick }: { readonly quick: boolean }): readonly Figure[] {
  const jobs = quick ? 32 : 1_000;
  return [
    {
      parts: [
        { what: `no-op jobs, local, ${SLOTS} slots`, unit: "per second", target: { kind: "ratio-at-least", value: 0.6 } },
        { what: "processor time of server and job together, a job", unit: "ms" },
        { what: "processor time of the server alone, a job", unit: "ms" },
      ],
      rounds: quick ? 1 : 7,
      usesBinary: true,
      ours: (binary) => localJobs(binary, jobs),
      peer: () => Promise.resolve(xargs(jobs)),
    },
  ];
}

export async function localJobs(binary: TestBinary, jobs: number): Promise<Subject> {
  const server = await BenchServer.start(binary);
  const slots = Array.from({ length: SLOTS }, (_, slot) => `local/${slot}`);
  return passage(server, { jobs, slots, end: () => server[Symbol.asyncDispose]() });
}

function xargs(jobs: number): Subject {
  return plainSubject(`xargs -P${SLOTS} -n1 sh -c true`, async () => {
    const command = ["sh", "-c", `seq ${jobs} | xargs -P${SLOTS} -n1 sh -c true`];
    let processorMs = 0;
    const durationMs = await timed(async () => {
      processorMs = await spawned(command, { cwd: "/", env: { PATH: process.env["PATH"] ?? "" } });
    });
    return [(jobs * 1_000) / durationMs, processorMs / jobs, null];
  });
}
