/** Takes the place of runner/results-lines.ts: what a job printed is what its machine says it did. */
import type { ResultsLines } from "../../../src/daemon/runner/results-lines.ts";
import { stage } from "./stage.ts";

export async function scanResultsLines(log: string): Promise<ResultsLines> {
  const prefixes = stage.printed.get(log) ?? [];
  await new Promise<void>((resolve) => stage.time.after(stage.dice.delayMs(0.05, 50), "daemon", resolve));
  return { prefixes, invalid: [] };
}
