/**
 * How long a machine stands idle between two jobs: from the end of one to the start of the next, by the clocks of
 * the jobs themselves. The floor is a shell that runs the same jobs in a loop.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestBinary } from "../support/binary.ts";
import { type Figure, quantile, type Subject } from "./measure.ts";
import { BenchServer } from "./server.ts";
import { spawned } from "./start-up.ts";

/** The last thing that a job does is to say when. */
const stamps = (file: string): string => `date +%s%N >>'${file}'; exec date +%s%N >>'${file}'`;

export function turnaroundFigures({ quick }: { readonly quick: boolean }): readonly Figure[] {
  const jobs = quick ? 5 : 200;
  return [0, quick ? 100 : 100_000].map((queued) => {
    const where = queued === 0 ? "nothing else queued" : `${queued} queued`;
    return {
      parts: [
        { what: `end of a job to start of the next, p50, ${where}`, unit: "ms", target: { kind: "at-most", value: 3 } },
        { what: `end of a job to start of the next, p99, ${where}`, unit: "ms", target: { kind: "at-most", value: 20 } },
      ],
      rounds: quick ? 1 : 3,
      usesBinary: true,
      ours: (binary) => serverGaps(binary, { jobs, queued }),
      peer: () => Promise.resolve(shellGaps(jobs)),
    } satisfies Figure;
  });
}

async function serverGaps(binary: TestBinary, { jobs, queued }: { jobs: number; queued: number }): Promise<Subject> {
  const server = await BenchServer.start(binary);
  let round = 0;
  return {
    name: "expjobserver",
    once: async () => {
      round += 1;
      const className = `round${round}`;
      const file = join(server.daemon.folder, className);
      const last = (await server.add(className, stamps(file), jobs)) + jobs - 1;
      // Of the same class, behind those that are measured.
      if (queued > 0) await server.add(className, "true", queued);
      await server.addMachines(className, ["local"]);
      await server.client.call("job.wait", { ids: [{ kind: "id", id: last }], timeout: null });
      await server.client.call("machine.remove", { addrs: ["local"], classes: [] });
      return percentiles(file, jobs);
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

function shellGaps(jobs: number): Subject {
  const folder = mkdtempSync(join(tmpdir(), "expjob-bench-gaps-"));
  let round = 0;
  return {
    name: "a loop of sh -c",
    once: async () => {
      round += 1;
      const file = join(folder, String(round));
      const loop = `i=0; while [ $i -lt ${jobs} ]; do sh -c "$JOB"; i=$((i+1)); done`;
      await spawned(["sh", "-c", loop], { cwd: "/", env: { PATH: process.env["PATH"] ?? "", JOB: stamps(file) } });
      return percentiles(file, jobs);
    },
    [Symbol.asyncDispose]: () => {
      rmSync(folder, { recursive: true, force: true });
      return Promise.resolve();
    },
  };
}

/** Lines are start, end, start, end, … in nanoseconds. */
function percentiles(file: string, jobs: number): readonly [number, number] {
  const times = readFileSync(file, "utf8")
    .split("\n", jobs * 2)
    .map(BigInt);
  const gapsMs: number[] = [];
  for (let index = 2; index < times.length; index += 2) {
    gapsMs.push(Number((times[index] ?? 0n) - (times[index - 1] ?? 0n)) / 1e6);
  }
  gapsMs.sort((left, right) => left - right);
  return [quantile(gapsMs, 0.5), quantile(gapsMs, 0.99)];
}
