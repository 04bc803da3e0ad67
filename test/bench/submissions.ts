/** How many jobs are taken in: the answer means that they are on stable storage. */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestBinary } from "../support/binary.ts";
import { EmptyProgram } from "./floor.ts";
import { type Figure, plainSubject, type Subject, timed } from "./measure.ts";
import { pueueAdditions } from "./peers/pueue.ts";
import { BenchServer } from "./server.ts";
import { spawned } from "./start-up.ts";

const OUTSTANDING = 64;

export function submissionFigures({ quick }: { readonly quick: boolean }): readonly Figure[] {
  const calls = quick ? 4 : 100;
  const requests = quick ? 64 : 2_000;
  const values = quick ? 10 : 100;
  const many = quick ? 100 : 10_000;
  const cells = values * values * 10;
  return [
    {
      parts: [{ what: "j job add, one call after the other", unit: "per second" }],
      rounds: quick ? 1 : 5,
      usesBinary: true,
      ours: (binary) => singleCalls(binary, { calls, queued: 0 }),
      peer: () => emptyPrograms(calls),
    },
    {
      parts: [
        { what: "job.add on one connection, each after the answer", unit: "per second" },
        { what: `job.add on one connection, ${OUTSTANDING} outstanding`, unit: "per second" },
      ],
      rounds: quick ? 1 : 5,
      usesBinary: true,
      ours: (binary) => oneConnection(binary, requests),
      peer: () => Promise.resolve(appends(requests)),
    },
    {
      parts: [
        { what: `j job add -x ${many}`, unit: "ms", target: { kind: "at-most", value: 300 } },
        { what: `j job matrix add of ${cells}`, unit: "ms", target: { kind: "at-most", value: 1_500 } },
      ],
      rounds: quick ? 1 : 5,
      usesBinary: true,
      ours: (binary) => Promise.resolve(atOnce(binary, { many, values })),
      peer: null,
    },
    {
      parts: [
        {
          what: `${5 * calls} j job add in turns of ${calls} with ${cells} queued, by the same with none`,
          unit: "ms",
          target: { kind: "ratio-at-most", value: 1.1 },
        },
      ],
      rounds: quick ? 1 : 5,
      usesBinary: true,
      ours: (binary) => durationOf(singleCalls(binary, { calls, queued: cells }), calls),
      peer: (binary) => durationOf(singleCalls(binary, { calls, queued: 0 }), calls),
    },
    {
      parts: [{ what: `pueue itself: ${calls / 2} pueue add with ${many / 10} queued, by the same with none`, unit: "ms" }],
      rounds: quick ? 1 : 3,
      usesBinary: false,
      ours: () => pueueWithQueue({ calls: calls / 2, queued: many / 10 }),
      peer: () => pueueAdditions({ calls: calls / 2, queued: 0 }),
    },
  ];
}

/** In the place of ours; that it is not here was seen when its own peer was made. */
async function pueueWithQueue(size: { calls: number; queued: number }): Promise<Subject> {
  const pueue = await pueueAdditions(size);
  if ("absent" in pueue) throw new Error(pueue.absent);
  return pueue;
}

/** @param queued jobs that wait already */
async function singleCalls(binary: TestBinary, { calls, queued }: { calls: number; queued: number }): Promise<Subject> {
  const server = await BenchServer.start(binary);
  await server.occupy("later");
  if (queued > 0) await server.add("later", "true", queued);
  const { environment, folder } = server.daemon;
  return {
    name: queued === 0 ? "none queued" : `${queued} queued`,
    once: async () => {
      const durationMs = await timed(async () => {
        for (let call = 0; call < calls; call += 1)
          await spawned([binary.j, "job", "add", "later", "true"], { cwd: folder, env: environment });
      });
      return [(calls * 1_000) / durationMs];
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function durationOf(made: Promise<Subject>, calls: number): Promise<Subject> {
  const subject = await made;
  return { ...subject, once: async () => (await subject.once()).map((rate) => (rate === null ? null : (calls * 1_000) / rate)) };
}

async function emptyPrograms(calls: number): Promise<Subject> {
  const empty = await EmptyProgram.build();
  return {
    name: "empty program",
    once: async () => {
      const durationMs = await timed(async () => {
        for (let call = 0; call < calls; call += 1) await spawned([empty.path], { cwd: "/", env: {} });
      });
      return [(calls * 1_000) / durationMs];
    },
    [Symbol.asyncDispose]: () => empty[Symbol.asyncDispose](),
  };
}

async function oneConnection(binary: TestBinary, requests: number): Promise<Subject> {
  const server = await BenchServer.start(binary);
  return {
    name: "one connection",
    once: async () => {
      const oneByOneMs = await timed(async () => {
        for (let request = 0; request < requests; request += 1) await server.add("later", "true");
      });
      const togetherMs = await timed(async () => {
        let left = requests;
        const worker = async (): Promise<void> => {
          while (left-- > 0) await server.add("later", "true");
        };
        await Promise.all(Array.from({ length: OUTSTANDING }, worker));
      });
      return [(requests * 1_000) / oneByOneMs, (requests * 1_000) / togetherMs];
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** The floor of one durable answer after the other: an append of 300 bytes and its sync. */
function appends(requests: number): Subject {
  return plainSubject("append and fdatasync", () => {
    const folder = mkdtempSync(join(tmpdir(), "expjob-bench-sync-"));
    const file = openSync(join(folder, "file"), "a");
    try {
      const bytes = new Uint8Array(300);
      const before = performance.now();
      for (let request = 0; request < requests; request += 1) {
        writeSync(file, bytes);
        fdatasyncSync(file);
      }
      const rate = (requests * 1_000) / (performance.now() - before);
      return Promise.resolve([rate, rate]);
    } finally {
      closeSync(file);
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

/** Each on a server of its own, from the start of the client to its exit. */
function atOnce(binary: TestBinary, { many, values }: { many: number; values: number }): Subject {
  const keys = [`A=${numbers(values)}`, `B=${numbers(values)}`, `C=${numbers(10)}`];
  return plainSubject("j", async () => {
    await using server = await BenchServer.start(binary);
    await server.occupy("later");
    const { environment, folder } = server.daemon;
    const call = (words: string[]): Promise<number> => timed(() => spawned([binary.j, ...words], { cwd: folder, env: environment }));
    const addMs = await call(["job", "add", "later", "true", "-x", String(many)]);
    return [addMs, await call(["job", "matrix", "add", "later", "echo {A} {B} {C}", ...keys])];
  });
}

function numbers(count: number): string {
  return Array.from({ length: count }, (_, index) => index).join(",");
}
