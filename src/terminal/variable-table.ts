/** `var ls`: names and values; the value of a secret never leaves the server. */
import { paletteOf } from "./colour.ts";
import type { Screen } from "./job-listing.ts";
import { printable } from "./printable.ts";
import { type Column, renderTable } from "./table.ts";

export interface ListedVariable {
  readonly name: string;
  /** null for a secret. */
  readonly value: string | null;
}

const COLUMNS: readonly Column[] = [
  { header: "Name", shrinkTo: 12 },
  { header: "Value", shrinkTo: 8, weight: 3 },
];

export function renderVariableTable(variables: readonly ListedVariable[], screen: Screen): string {
  if (variables.length === 0) return "No variables yet: `j var set NAME VALUE` sets one.";
  const palette = paletteOf(screen);
  const rows = variables.map(({ name, value }) => [
    palette.bold(printable(name)),
    value === null ? palette.dim("(secret)") : printable(value),
  ]);
  return renderTable(COLUMNS, rows, { width: screen.width, header: palette.bold }).join("\n");
}
