/** `machine check`: one line for each machine that answers, what is wrong and what to do for each that does not. */
import type { WireProblem } from "../protocol/problem.ts";
import { paletteOf } from "./colour.ts";
import { renderDetails } from "./details.ts";
import { formatMilliseconds } from "./duration.ts";
import type { Screen } from "./job-listing.ts";
import { printable } from "./printable.ts";
import { problemWords } from "./problem.ts";

export interface CheckedMachine {
  readonly addr: string;
  readonly duration_ms: number;
  readonly problem: WireProblem | null;
  readonly kernel: string | null;
}

export function renderChecks(results: readonly CheckedMachine[], screen: Screen): string {
  if (results.length === 0) return "There are no machines to check.";
  const palette = paletteOf(screen);
  const details = results.map((result): readonly [string, string] => {
    if (result.problem === null) {
      const kernel = result.kernel === null ? "" : `, ${printable(result.kernel)}`;
      return [printable(result.addr), `${palette.green("reachable")} in ${formatMilliseconds(result.duration_ms)}${kernel}`];
    }
    const { message, hint } = problemWords(result.problem);
    return [printable(result.addr), hint === "" ? palette.red(message) : `${palette.red(message)}\n${hint}`];
  });
  return renderDetails(details, screen.width, palette.bold).join("\n");
}
