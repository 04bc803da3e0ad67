/**
 * Tables that fit: every line is at most as wide as the terminal, whatever the cells hold. Columns that may
 * shrink give way, the widest first; a column's minimum is kept as long as there is room for all minimums.
 * Cells are printable already (printable.ts) and may hold our own colours.
 */

export interface Column {
  readonly header: string;
  readonly align?: "left" | "right";
  /** May be cut down to this width when the table is too wide; absent: is cut last of all. */
  readonly shrinkTo?: number;
  /** How much wider than others it may stay while shrinking; 1 unless told otherwise. */
  readonly weight?: number;
}

export interface TableOptions {
  /** Infinity: nothing is cut. */
  readonly width: number;
  readonly header: (text: string) => string;
}

const GAP = 2;
const INDENT = 1;
/** Without a terminal one cell may be of any length: it then sticks out, and the rest stays aligned. */
const ALIGNED_MAX = 120;

/** Lines without trailing spaces; the first is the header. */
export function renderTable(columns: readonly Column[], rows: readonly (readonly string[])[], options: TableOptions): string[] {
  const measured = rows.map((row) => row.map((cell) => Bun.stringWidth(cell)));
  const natural = columns.map((column, index) =>
    measured.reduce((widest, cells) => Math.max(widest, cells[index] ?? 0), Bun.stringWidth(column.header)),
  );
  const widths = fitWidths(columns, natural, options.width - INDENT - GAP * (columns.length - 1));
  const aligned = widths.map((width) => (options.width === Number.POSITIVE_INFINITY ? Math.min(width, ALIGNED_MAX) : width));
  const draw = (cells: readonly string[], cellWidths: readonly number[]): string => {
    const last = lastFilled(cells);
    let line = " ".repeat(INDENT);
    for (let index = 0; index <= last; index += 1) {
      const whole = cells[index] ?? "";
      const fits = (cellWidths[index] ?? 0) <= (widths[index] ?? 0);
      const cell = fits ? whole : fitCell(whole, widths[index] ?? 0);
      const space = " ".repeat(Math.max(0, (aligned[index] ?? 0) - (fits ? (cellWidths[index] ?? 0) : Bun.stringWidth(cell))));
      line += columns[index]?.align === "right" ? space + cell : index === last ? cell : cell + space;
      if (index < last) line += " ".repeat(GAP);
    }
    return options.width !== Number.POSITIVE_INFINITY && Bun.stringWidth(line) > options.width ? cut(line, options.width) : line;
  };
  const header = columns.map((column, index) => options.header(fitCell(column.header, widths[index] ?? 0)));
  const headerWidths = header.map((cell) => Bun.stringWidth(cell));
  return [draw(header, headerWidths), ...rows.map((row, index) => draw(row, measured[index] ?? []))];
}

/** Cut to the width, with an ellipsis when something is missing. */
export function fitCell(text: string, width: number): string {
  if (Bun.stringWidth(text) <= width) return text;
  return width <= 0 ? "" : `${cut(text, width - 1)}…`;
}

/** At most so wide: sliceAnsi keeps a wide character of which only the first half would fit. */
function cut(text: string, width: number): string {
  const slice = Bun.sliceAnsi(text, 0, width);
  return Bun.stringWidth(slice) <= width ? slice : Bun.sliceAnsi(text, 0, width - 1);
}

function fitWidths(columns: readonly Column[], natural: readonly number[], room: number): number[] {
  const widths = [...natural];
  if (room === Number.POSITIVE_INFINITY) return widths;
  const floors = columns.map((column, index) => Math.min(natural[index] ?? 0, column.shrinkTo ?? natural[index] ?? 0));
  shrink(widths, { columns, floors, room });
  // Not even the minimums fit: everything gives way down to a few columns.
  shrink(widths, { columns, floors: floors.map((floor) => Math.min(floor, 4)), room });
  shrink(widths, { columns, floors: floors.map(() => 0), room });
  return widths;
}

function shrink(
  widths: number[],
  limits: { readonly columns: readonly Column[]; readonly floors: readonly number[]; readonly room: number },
): void {
  let excess = widths.reduce((sum, width) => sum + width, 0) - limits.room;
  while (excess > 0) {
    let widest = -1;
    let share = -1;
    let next = 0;
    for (const [index, width] of widths.entries()) {
      if (width <= (limits.floors[index] ?? 0)) continue;
      const weighted = width / (limits.columns[index]?.weight ?? 1);
      if (weighted > share) {
        next = share;
        share = weighted;
        widest = index;
      } else if (weighted > next) next = weighted;
    }
    if (widest < 0) return;
    const width = widths[widest] ?? 0;
    // In one step down to the next widest, so that a cell of a megabyte costs no more than another.
    const step = Math.floor(width - Math.max(next, 0) * (limits.columns[widest]?.weight ?? 1));
    const taken = Math.max(1, Math.min(step, excess, width - (limits.floors[widest] ?? 0)));
    widths[widest] = width - taken;
    excess -= taken;
  }
}

function lastFilled(cells: readonly string[]): number {
  return cells.findLastIndex((cell) => cell !== "");
}
