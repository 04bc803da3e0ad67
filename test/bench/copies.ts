/** The copier's bench (copy.ts) as a figure like the others: ours and rsync, over the same sshd, in turn. */
import { sshdAvailable } from "../support/sshd.ts";
import { benchCopy, type CopyBenchOptions, type CopyBenchResult } from "./copy.ts";
import { type Row, summarize } from "./measure.ts";

const FULL: CopyBenchOptions = { largeFileBytes: 1024 ** 3, smallFileCount: 10_000, smallFileBytes: 4_096, rounds: 1 };
const QUICK: CopyBenchOptions = { largeFileBytes: 1024 ** 2, smallFileCount: 20, smallFileBytes: 4_096, rounds: 1 };
const ROUNDS = 3;

/** null: sshd or rsync is not installed. */
export async function takeCopies({ quick }: { readonly quick: boolean }): Promise<readonly Row[] | null> {
  if (!sshdAvailable() || Bun.which("rsync") === null) return null;
  const sizes = quick ? [QUICK] : [FULL, { ...FULL, largeFileBytes: 1024 ** 2, smallFileCount: 5_000 }];
  const taken = new Map<string, CopyBenchResult[]>();
  for (let round = 0; round < (quick ? 1 : ROUNDS); round += 1) {
    for (const size of sizes) {
      for (const result of (await benchCopy(size)) ?? []) taken.set(result.what, [...(taken.get(result.what) ?? []), result]);
    }
  }
  return [...taken.values()].map(rowOf);
}

function rowOf(results: readonly CopyBenchResult[]): Row {
  return {
    bench: "copy",
    what: `copy of ${results[0]?.what ?? ""}`,
    unit: "ms",
    ours: summarize(results.map((result) => result.ours)),
    peer: { name: "rsync", sample: summarize(results.map((result) => result.rsync)) },
    ratio: summarize(results.map((result) => result.ours / result.rsync)),
    target: { kind: "ratio-at-most", value: 1 },
  };
}
