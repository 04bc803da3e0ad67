/** Resident memory of a server that has nothing to do, MB: what a person sees in `top`. */
import type { TestBinary } from "../support/binary.ts";
import { waitFor } from "../support/wait-for.ts";
import { EmptyProgram } from "./floor.ts";
import { type Figure, plainSubject, type Subject } from "./measure.ts";
import { writeQueuedState } from "./past-state.ts";
import { childrenOf, memoryShareMb, nameOf } from "./processes.ts";
import { BenchServer, residentMb } from "./server.ts";

export function memoryFigures({ quick }: { readonly quick: boolean }): readonly Figure[] {
  const past = quick ? 100 : 10_000;
  const queued = quick ? 100 : 100_000;
  const running = quick ? 10 : 1_000;
  return [
    {
      parts: [
        { what: "idle server, empty", unit: "MB", target: { kind: "at-most", value: 60 } },
        { what: `idle server, ${past} past jobs, after a restart`, unit: "MB", target: { kind: "at-most", value: 120 } },
        { what: `${queued} queued by one request`, unit: "MB", target: { kind: "at-most", value: 200 } },
        { what: `${queued} queued, after a restart`, unit: "MB", target: { kind: "at-most", value: 200 } },
      ],
      rounds: quick ? 1 : 3,
      usesBinary: true,
      ours: (binary) => Promise.resolve(idleServer(binary, { past, queued })),
      peer: idleProgram,
    },
    {
      parts: [{ what: `${queued} queued one by one, after a start`, unit: "MB", target: { kind: "at-most", value: 200 } }],
      rounds: quick ? 1 : 3,
      usesBinary: true,
      ours: (binary) => Promise.resolve(longQueue(binary, queued)),
      peer: idleProgram,
    },
    {
      parts: [
        {
          what: `${running} running local jobs: server, supervisors and jobs together`,
          unit: "MB",
          target: { kind: "at-most", value: 80 + 2 * running },
        },
        { what: `${running} running local jobs: the server alone`, unit: "MB" },
        { what: `${running} running local jobs: each job with its supervisor`, unit: "MB" },
      ],
      rounds: quick ? 1 : 2,
      usesBinary: true,
      ours: (binary) => Promise.resolve(busyServer(binary, running)),
      peer: () => Promise.resolve(sleepers(running)),
    },
  ];
}

function idleServer(binary: TestBinary, { past, queued }: { past: number; queued: number }): Subject {
  return plainSubject("expjobserver", async () => {
    await using server = await BenchServer.start(binary);
    const empty = server.residentMb;
    const first = await server.add("later", "true", past);
    const range = { kind: "range" as const, first, last: first + past - 1 };
    await server.client.call("job.cancel", { ids: [range], forget: false });
    await server.restart();
    const withPast = server.residentMb;
    await server.add("later", "true", queued);
    const withQueue = server.residentMb;
    await server.restart();
    return [empty, withPast, withQueue, server.residentMb];
  });
}

/** Each of a request of its own: the state can share nothing between them. */
function longQueue(binary: TestBinary, queued: number): Subject {
  return plainSubject("expjobserver", async () => {
    const writeState = (stateDir: string): Promise<void> => writeQueuedState(stateDir, { jobs: queued, className: "later" });
    await using server = await BenchServer.start(binary, { writeState });
    return [server.residentMb];
  });
}

/** Memory of the jobs is their proportional share of pages: what they share with each other is counted once. */
function busyServer(binary: TestBinary, running: number): Subject {
  return plainSubject("expjobserver", async () => {
    await using server = await BenchServer.start(binary);
    const addrs = Array.from({ length: running }, (_, slot) => `local/${slot}`);
    await server.add("busy", "exec sleep 100000", running);
    await server.addMachines("busy", addrs);
    await waitFor(async () => (await server.client.call("server.status", {})).jobs.running === running, {
      timeoutMs: 60_000,
      everyMs: 100,
    });
    // A job is counted as running from the moment it is sent; its sleep is there a little later.
    await waitFor(() => childrenOf(server.daemon.pid).filter((pid) => nameOf(pid) === "sleep").length === running, { everyMs: 100 });
    const jobs = childrenOf(server.daemon.pid);
    const jobsMb = jobs.reduce((sum, pid) => sum + memoryShareMb(pid), 0);
    return [server.residentMb + jobsMb, server.residentMb, jobsMb / running];
  });
}

/** The same programs without a server: a shell each that waits for its sleep. */
function sleepers(running: number): Subject {
  return plainSubject("sh -c 'sleep & wait' each", async () => {
    const script = `i=0; while [ $i -lt ${running} ]; do sh -c 'sleep 100000; :' & i=$((i+1)); done; echo ready; wait`;
    const parent = Bun.spawn(["sh", "-c", script], { stdio: ["ignore", "pipe", "inherit"], detached: true });
    try {
      await waitFor(() => childrenOf(parent.pid).length === 2 * running, { timeoutMs: 60_000, everyMs: 100 });
      const shellsMb = childrenOf(parent.pid).reduce((sum, pid) => sum + memoryShareMb(pid), 0);
      return [shellsMb, null, shellsMb / running];
    } finally {
      process.kill(-parent.pid, "SIGKILL");
      await parent.exited;
    }
  });
}

async function idleProgram(): Promise<Subject> {
  const program = await EmptyProgram.build();
  const child = Bun.spawn([program.path, "idle"], { stdio: ["ignore", "pipe", "inherit"] });
  await child.stdout.getReader().read();
  return {
    name: "empty program",
    once: () => {
      const resident = residentMb(child.pid);
      return Promise.resolve([resident, resident, resident, resident]);
    },
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await child.exited;
      await program[Symbol.asyncDispose]();
    },
  };
}
