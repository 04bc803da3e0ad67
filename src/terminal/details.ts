/** Names and values under each other, the values aligned; long values go on in their column, nothing is cut. */

import { fitCell } from "./table.ts";

const VALUE_WIDTH_MIN = 30;

export type Detail = readonly [name: string, value: string | null];

/** Lines; what is null is left out. @param width Infinity: values are never broken */
export function renderDetails(details: readonly Detail[], width: number, name: (text: string) => string): string[] {
  const shown = details.filter((detail): detail is readonly [string, string] => detail[1] !== null);
  const widest = shown.reduce((wide, [label]) => Math.max(wide, Bun.stringWidth(label)), 0);
  const names = Math.min(widest, Math.max(8, width - VALUE_WIDTH_MIN - 2));
  const room = Math.max(1, width - names - 2);
  return shown.flatMap(([fullLabel, value]) => {
    const label = fitCell(fullLabel, names);
    return broken(value, room).map((line, index) => {
      const space = " ".repeat(names - (index === 0 ? Bun.stringWidth(label) : 0) + 2);
      return index === 0 ? name(label) + space + line : space + line;
    });
  });
}

/** At line breaks, and wherever a line would be too wide. */
function broken(text: string, width: number): string[] {
  if (width === Number.POSITIVE_INFINITY) return text.split("\n");
  return Bun.wrapAnsi(text, width, { hard: true, trim: true, wordWrap: true }).split("\n");
}
