/** What the server does when nothing is to be done but to keep connections: processor time and wake-ups. */
import { once } from "node:events";
import type { TestBinary } from "../support/binary.ts";
import { startMachines } from "../support/daemon.ts";
import { sshdAvailable } from "../support/sshd.ts";
import { EmptyProgram } from "./floor.ts";
import type { Figure, Subject } from "./measure.ts";
import { activityBetween, activityOf } from "./processes.ts";
import { BenchServer } from "./server.ts";

/** As the server has it when nothing else is configured. */
const KEEPALIVE_SECONDS = 15;

/** null: there is no sshd here. */
export function idleFigures({ quick }: { readonly quick: boolean }): readonly Figure[] | null {
  if (!sshdAvailable()) return null;
  const machines = quick ? 2 : 50;
  const seconds = quick ? 1 : 20;
  const keepalives = machines / KEEPALIVE_SECONDS;
  return [
    {
      parts: [
        { what: `idle with ${machines} connected machines: processor`, unit: "%", target: { kind: "at-most", value: 0.1 } },
        // One to send each keepalive and one for its answer.
        {
          what: `idle with ${machines} connected machines: wake-ups (${keepalives.toFixed(1)} keepalives a second)`,
          unit: "per second",
          target: { kind: "at-most", value: Math.ceil(2 * keepalives) },
        },
      ],
      rounds: quick ? 1 : 2,
      usesBinary: true,
      ours: (binary) => connected(binary, { machines, seconds }),
      // It does nothing at all: a short look is enough.
      peer: () => idleProgram(quick ? 1 : 3),
    },
  ];
}

async function connected(binary: TestBinary, { machines: count, seconds }: { machines: number; seconds: number }): Promise<Subject> {
  const machines = await startMachines(count);
  try {
    const server = await BenchServer.start(binary, { machines: machines.all });
    const last = (await server.add("idle", "true", count * 3)) + count * 3 - 1;
    await server.addMachines("idle", machines.addresses);
    await server.drained(last);
    // What the jobs left is tidied up, threads that have nothing to do end, and Bun, which looks at its memory every
    // second, finds it the same thirty times and then looks every thirty seconds.
    await activityDuring(server.daemon.pid, 2 * seconds);
    return {
      name: "expjobserver",
      once: () => activityDuring(server.daemon.pid, seconds),
      [Symbol.asyncDispose]: async () => {
        await server[Symbol.asyncDispose]();
        await machines[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await machines[Symbol.asyncDispose]();
    throw error;
  }
}

async function idleProgram(seconds: number): Promise<Subject> {
  const program = await EmptyProgram.build();
  const child = Bun.spawn([program.path, "idle"], { stdio: ["ignore", "pipe", "inherit"] });
  await child.stdout.getReader().read();
  return {
    name: "empty program",
    once: () => activityDuring(child.pid, seconds),
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await child.exited;
      await program[Symbol.asyncDispose]();
    },
  };
}

/** Percent of one core, and wake-ups a second. */
async function activityDuring(pid: number, seconds: number): Promise<readonly [number, number]> {
  const before = activityOf(pid);
  // Here time itself is what is waited for: nothing is to happen in it.
  await once(AbortSignal.timeout(seconds * 1_000), "abort");
  const { processorMs, wakeUps } = activityBetween(before, activityOf(pid));
  return [processorMs / (seconds * 10), wakeUps / seconds];
}
