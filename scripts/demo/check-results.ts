/**
 * Looks once more at what came back, without the server's help: each copied file against the one that the experiment
 * left on its machine, and against the checksums that the experiment itself printed into its log.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { WireJob } from "../../src/protocol/methods/job.ts";
import type { DemoMachine } from "./machines.ts";

export interface CheckedResults {
  readonly files: number;
  readonly bytes: number;
  /** Sentences; empty when all is well. */
  readonly differences: readonly string[];
}

export interface CheckOptions {
  /** Those that are done. */
  readonly jobs: readonly Pick<WireJob, "jid" | "machine" | "log">[];
  readonly machines: readonly DemoMachine[];
  /** Where the server copied to. */
  readonly folder: string;
  /** Where the experiment leaves its files, in a machine's home. */
  readonly folderOnMachine: string;
}

/** The measurement, what was compressed, and the checksums. */
const filesPerJob = 3;

export function checkResults({ jobs, machines, folder, folderOnMachine }: CheckOptions): CheckedResults {
  const differences: string[] = [];
  const expected = new Set<string>();
  let bytes = 0;
  for (const job of jobs) {
    const home = machines.find((machine) => machine.address === job.machine)?.home;
    if (home === undefined) {
      differences.push(`job ${job.jid} ran on ${job.machine ?? "nothing"}, which is none of the machines`);
      continue;
    }
    const printed = printedChecksums(job.log);
    const names = readdirSync(join(home, folderOnMachine)).filter((name) => name.includes(`-${job.jid}.`));
    if (names.length !== filesPerJob || printed.size !== filesPerJob - 1)
      differences.push(`job ${job.jid} left ${names.length} files on its machine and printed ${printed.size} checksums`);
    for (const name of printed.keys()) if (!names.includes(name)) differences.push(`${name} is not on the machine`);
    for (const name of names) {
      expected.add(name);
      const original = readFileSync(join(home, folderOnMachine, name));
      const copy = join(folder, name);
      if (!existsSync(copy)) {
        differences.push(`${name} was not copied`);
        continue;
      }
      const copied = readFileSync(copy);
      bytes += copied.length;
      const sum = sha256(copied);
      if (sum !== sha256(original)) differences.push(`${name} is not what is on the machine`);
      if (printed.has(name) && printed.get(name) !== sum) differences.push(`${name} is not what the experiment measured`);
    }
  }
  for (const name of readdirSync(folder)) {
    if (name !== ".expjobserver" && !expected.has(name)) differences.push(`${name} was copied, but no job left it`);
  }
  return { files: expected.size, bytes, differences };
}

/** Lines as `sha256sum` writes them. */
function printedChecksums(log: string | null): Map<string, string> {
  const text = log === null ? "" : readFileSync(log, "utf8");
  return new Map([...text.matchAll(/^([0-9a-f]{64}) {2}(\S+)$/gm)].map(([, sum = "", name = ""]) => [basename(name), sum]));
}

function sha256(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}
