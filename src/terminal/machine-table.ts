/** `machine ls`: Machine, Class, State, Running, Since; and under the table why some of them get no jobs. */
import type { WireMachine } from "../protocol/methods/machine.ts";
import type { WireProblem } from "../protocol/problem.ts";
import { type Palette, paletteOf } from "./colour.ts";
import { type Detail, renderDetails } from "./details.ts";
import { formatMinute } from "./duration.ts";
import type { Screen } from "./job-listing.ts";
import { printable } from "./printable.ts";
import { problemWords } from "./problem.ts";
import { type Column, renderTable } from "./table.ts";

const COLUMNS: readonly Column[] = [
  { header: "Machine", shrinkTo: 12, weight: 2 },
  { header: "Class", shrinkTo: 6 },
  { header: "State" },
  { header: "Running", align: "right" },
  { header: "Since", shrinkTo: 10, weight: 3 },
];

/** A lab that is down must not push its own table off the screen. */
const REASONS_SHOWN_MAX = 8;
const SEE_ALL = "`j machine check ADDR` says what is wrong with one, `j machine ls --json` with all.";

export function renderMachineTable(machines: readonly WireMachine[], screen: Screen): string {
  if (machines.length === 0) return "No machines yet: `j machine add ADDR... CLASS` adds some.";
  const palette = paletteOf(screen);
  const rows = machines.map((machine) => [
    palette.bold(printable(machine.addr)),
    // None yet: it is being set up.
    machine.class === "" ? palette.dim("-") : printable(machine.class),
    stateCell(machine.state, palette),
    machine.running === null ? "" : String(machine.running),
    printable(formatMinute(machine.since)),
  ]);
  const table = renderTable(COLUMNS, rows, { width: screen.width, header: palette.bold });
  const reasons = machines.flatMap((machine): Detail[] =>
    machine.reason === null ? [] : [[printable(machine.addr), reasonLines(machine.reason)]],
  );
  if (reasons.length === 0) return table.join("\n");
  const lines = [...table, "", ...renderDetails(reasons.slice(0, REASONS_SHOWN_MAX), screen.width, palette.bold)];
  const more = reasons.length - REASONS_SHOWN_MAX;
  if (more > 0) lines.push(...wrapped(`And ${more} more: ${SEE_ALL}`, screen.width));
  return lines.join("\n");
}

function wrapped(text: string, width: number): string[] {
  if (width === Number.POSITIVE_INFINITY) return [text];
  return Bun.wrapAnsi(text, width, { hard: true, trim: true, wordWrap: true }).split("\n");
}

function reasonLines(reason: WireProblem): string {
  const { message, hint } = problemWords(reason);
  return hint === "" ? message : `${message}\n${hint}`;
}

function stateCell(state: WireMachine["state"], palette: Palette): string {
  switch (state) {
    case "free":
      return palette.green("free");
    case "busy":
      return palette.yellow("busy");
    case "quarantined":
      return palette.underline(palette.red("quarantined"));
    case "unreachable":
      return palette.red("unreachable");
  }
}
