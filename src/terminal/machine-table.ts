/** `machine ls`: Machine, Class, State, Running, Since; and what `machine check` found. */
import type { WireMachine } from "../protocol/methods/machine.ts";
import { type Palette, paletteOf } from "./colour.ts";
import { formatInstant } from "./duration.ts";
import { machineReason } from "./job-json.ts";
import type { Screen } from "./job-listing.ts";
import { printable } from "./printable.ts";
import { type Column, renderTable } from "./table.ts";

const COLUMNS: readonly Column[] = [
  { header: "Machine", shrinkTo: 12, weight: 1.5 },
  { header: "Class", shrinkTo: 6 },
  { header: "State" },
  { header: "Running", align: "right" },
  { header: "Since", shrinkTo: 10, weight: 3 },
  { header: "Reason", shrinkTo: 8 },
];

export function renderMachineTable(machines: readonly WireMachine[], screen: Screen): string {
  const palette = paletteOf(screen);
  const withReasons = machines.some((machine) => machine.reason !== null);
  const columns = withReasons ? COLUMNS : COLUMNS.slice(0, -1);
  const rows = machines.map((machine) => [
    palette.bold(printable(machine.addr)),
    printable(machine.class),
    stateCell(machine.state, palette),
    machine.running === null ? "" : String(machine.running),
    printable(formatInstant(machine.since)),
    machine.reason === null ? "" : machineReason(machine.reason),
  ]);
  return renderTable(columns, rows, { width: screen.width, header: palette.bold }).join("\n");
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
