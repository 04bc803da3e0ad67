/** How many jobs that do nothing pass through the server in a second: on 16 local slots, and over SSH. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestBinary } from "../support/binary.ts";
import { startMachines, type TestMachines } from "../support/daemon.ts";
import { type Sshd, sshdAvailable } from "../support/sshd.ts";
import { type Figure, plainSubject, type Subject, timed } from "./measure.ts";
import { BenchServer } from "./server.ts";
import { spawned } from "./start-up.ts";

const SLOTS = 16;
const MACHINES = 3;

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

/** null: there is no sshd here. */
export function sshJobFigures({ quick }: { readonly quick: boolean }): readonly Figure[] | null {
  if (!sshdAvailable()) return null;
  const jobs = quick ? 6 : 300;
  return [
    {
      parts: [{ what: `no-op jobs over SSH, ${MACHINES} machines`, unit: "per second", target: { kind: "ratio-at-least", value: 3 } }],
      rounds: quick ? 1 : 5,
      usesBinary: true,
      ours: (binary) => sshJobs(binary, jobs),
      peer: () => controlMaster(jobs),
    },
  ];
}

async function localJobs(binary: TestBinary, jobs: number): Promise<Subject> {
  const server = await BenchServer.start(binary);
  const slots = Array.from({ length: SLOTS }, (_, slot) => `local/${slot}`);
  return jobsSubject(server, { jobs, slots, end: () => server[Symbol.asyncDispose]() });
}

async function sshJobs(binary: TestBinary, jobs: number): Promise<Subject> {
  const machines = await startMachines(MACHINES);
  const server = await BenchServer.start(binary, { machines: machines.all });
  const end = async (): Promise<void> => {
    await server[Symbol.asyncDispose]();
    await machines[Symbol.asyncDispose]();
  };
  const subject = jobsSubject(server, { jobs, slots: machines.addresses, end });
  // The connections stand before anything is timed, as those of the peer do.
  await subject.once();
  return subject;
}

interface JobsRun {
  readonly jobs: number;
  readonly slots: string[];
  readonly end: () => Promise<void>;
}

/** All are queued before the first machine is there: only their passage is timed. */
function jobsSubject(server: BenchServer, { jobs, slots, end }: JobsRun): Subject {
  let round = 0;
  return {
    name: "expjobserver",
    once: async () => {
      round += 1;
      const className = `round${round}`;
      const last = (await server.add(className, "true", jobs)) + jobs - 1;
      const before = server.processorTime;
      const durationMs = await timed(async () => {
        await server.addMachines(className, slots);
        await server.drained(last);
      });
      const after = server.processorTime;
      const ownMs = after.ownMs - before.ownMs;
      return [(jobs * 1_000) / durationMs, (ownMs + after.childrenMs - before.childrenMs) / jobs, ownMs / jobs];
    },
    [Symbol.asyncDispose]: end,
  };
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

/** One loop a machine, side by side, over a connection that stands. */
async function controlMaster(jobs: number): Promise<Subject> {
  const machines = await startMachines(MACHINES);
  const sockets = mkdtempSync(join(tmpdir(), "expjob-bench-mux-"));
  const loops = machines.all.map(
    (machine, index) => `${loopOn(machine, { socket: join(sockets, String(index)), jobs: jobs / MACHINES })} &`,
  );
  const once = (): Promise<unknown> =>
    spawned(["sh", "-c", `${loops.join("\n")}\nwait`], { cwd: "/", env: { PATH: process.env["PATH"] ?? "" } });
  try {
    await openMasters(machines, sockets);
  } catch (error) {
    await machines[Symbol.asyncDispose]();
    throw error;
  }
  return {
    name: "ssh with ControlMaster",
    once: async () => [(jobs * 1_000) / (await timed(once))],
    [Symbol.asyncDispose]: async () => {
      // The masters end with the servers that they are connected to.
      await machines[Symbol.asyncDispose]();
      rmSync(sockets, { recursive: true, force: true });
    },
  };
}

async function openMasters(machines: TestMachines, sockets: string): Promise<void> {
  for (const [index, machine] of machines.all.entries()) {
    const words = [
      "-F",
      machine.client.configFile,
      "-p",
      String(machine.port),
      "-M",
      "-S",
      join(sockets, String(index)),
      "-N",
      "-f",
      machine.address,
    ];
    await spawned(["ssh", ...words], { cwd: "/", env: { PATH: process.env["PATH"] ?? "" } });
  }
}

function loopOn(machine: Sshd, { socket, jobs }: { socket: string; jobs: number }): string {
  const call = `ssh -n -F '${machine.client.configFile}' -p ${machine.port} -S '${socket}' ${machine.address} true`;
  return `(i=0; while [ $i -lt ${jobs} ]; do ${call} || exit 1; i=$((i+1)); done)`;
}
