/** Colours as strings, on or off by a parameter: whether the terminal wants them is decided in commands/output.ts. */

export interface Palette {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly underline: Paint;
  readonly red: Paint;
  readonly green: Paint;
  readonly yellow: Paint;
  readonly blue: Paint;
  readonly magenta: Paint;
  readonly cyan: Paint;
}
export type Paint = (text: string) => string;

const COLOURED: Palette = {
  bold: paint(1, 22),
  dim: paint(2, 22),
  underline: paint(4, 24),
  red: paint(31, 39),
  green: paint(32, 39),
  yellow: paint(33, 39),
  blue: paint(34, 39),
  magenta: paint(35, 39),
  cyan: paint(36, 39),
};
const same: Paint = (text) => text;
const PLAIN: Palette = {
  bold: same,
  dim: same,
  underline: same,
  red: same,
  green: same,
  yellow: same,
  blue: same,
  magenta: same,
  cyan: same,
};

export function paletteOf(options: { readonly colours: boolean }): Palette {
  return options.colours ? COLOURED : PLAIN;
}

function paint(on: number, off: number): Paint {
  return (text) => (text === "" ? "" : `\x1b[${on}m${text}\x1b[${off}m`);
}
