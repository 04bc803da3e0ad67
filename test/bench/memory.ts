/** Resident memory of a server that has nothing to do, MB: what a person sees in `top`. */
import type { TestBinary } from "../support/binary.ts";
import { EmptyProgram } from "./floor.ts";
import { type Figure, plainSubject, type Subject } from "./measure.ts";
import { BenchServer, residentMb } from "./server.ts";

export function memoryFigures({ quick }: { readonly quick: boolean }): readonly Figure[] {
  const past = quick ? 100 : 10_000;
  const queued = quick ? 100 : 100_000;
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
