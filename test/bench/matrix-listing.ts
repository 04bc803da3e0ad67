/** `j job matrix ls` of a large matrix: what a person waits for who looks at a sweep. */
import type { TestBinary } from "../support/binary.ts";
import { EmptyProgram } from "./floor.ts";
import { type Figure, type Subject, timed } from "./measure.ts";
import { oldSystemListing } from "./peers/old-system.ts";
import { BenchServer } from "./server.ts";
import { spawned } from "./start-up.ts";

export function matrixListingFigures({ quick }: { readonly quick: boolean }): readonly Figure[] {
  const side = quick ? 3 : 10;
  const what = `j job matrix ls of ${side ** 3} jobs`;
  const common = { usesBinary: true, ours: (binary: TestBinary) => listing(binary, side) } as const;
  return [
    { ...common, rounds: quick ? 1 : 20, parts: [{ what, unit: "ms", target: { kind: "at-most", value: 60 } }], peer: emptyProgram },
    {
      ...common,
      rounds: quick ? 1 : 10,
      parts: [{ what, unit: "ms", target: { kind: "ratio-at-most", value: 1 / 20 } }],
      peer: () => oldSystemListing(side),
    },
  ];
}

async function listing(binary: TestBinary, side: number): Promise<Subject> {
  const server = await BenchServer.start(binary);
  await server.occupy("later");
  const values = Array.from({ length: side }, (_, index) => String(index));
  await server.addMatrix(
    "later",
    "echo {A} {B} {C}",
    [..."ABC"].map((name) => ({ name, values })),
  );
  const { environment, folder } = server.daemon;
  // The running job is 0, so the matrix is 1.
  return {
    name: "j",
    once: async () => [await timed(() => spawned([binary.j, "job", "matrix", "ls", "1"], { cwd: folder, env: environment }))],
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function emptyProgram(): Promise<Subject> {
  const empty = await EmptyProgram.build();
  return {
    name: "empty program",
    once: async () => [await timed(() => spawned([empty.path], { cwd: "/", env: {} }))],
    [Symbol.asyncDispose]: () => empty[Symbol.asyncDispose](),
  };
}
