/** Runs seeds of the simulation in processes of their own, as many side by side as there are cores for them. */
import { join } from "node:path";

export interface Lanes {
  readonly seeds: number;
  readonly crashes: number;
  readonly powerCuts: number;
  readonly executions: number;
  /** One line for each seed that failed; with `hashes`, for every seed. */
  readonly lines: readonly string[];
}

const LANES = 2;

export async function runSeeds(first: number, count: number, options: { readonly hashes?: boolean } = {}): Promise<Lanes> {
  const lanes = Math.min(LANES, count);
  const outputs = await Promise.all(
    Array.from({ length: lanes }, (_, lane) => {
      const share = Math.floor((count - lane + lanes - 1) / lanes);
      const more = options.hashes === true ? ["--hashes"] : [];
      return simulate(["--first", `${first + lane}`, "--count", `${share}`, "--step", `${lanes}`, ...more]);
    }),
  );
  const sums = outputs.map((lines) => JSON.parse(lines.at(-1) ?? "{}") as Omit<Lanes, "lines">);
  const total = (of: "seeds" | "crashes" | "powerCuts" | "executions"): number => sums.reduce((sum, lane) => sum + lane[of], 0);
  return {
    seeds: total("seeds"),
    crashes: total("crashes"),
    powerCuts: total("powerCuts"),
    executions: total("executions"),
    lines: outputs.flatMap((lines) => lines.slice(0, -1)),
  };
}

/** @returns what it printed, line by line. @throws when it fails */
export async function simulate(words: readonly string[]): Promise<readonly string[]> {
  const process = Bun.spawn([globalThis.process.execPath, join(import.meta.dir, "main.ts"), ...words], { stdout: "pipe", stderr: "pipe" });
  const [text, errors, exitCode] = await Promise.all([process.stdout.text(), process.stderr.text(), process.exited]);
  if (exitCode !== 0) throw new Error(`the simulation exited with ${exitCode}: ${errors}`);
  return text.split("\n").filter((line) => line !== "");
}
