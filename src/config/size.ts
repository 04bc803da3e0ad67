/** Sizes as people type them: `10GiB`, `500MB`, `64K`. The printed form is in terminal/size.ts. */

/** A letter alone counts in steps of 1,024, as in `ls -h` and `truncate`. */
const BYTES: Readonly<Record<string, number>> = {
  B: 1,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
};

/** @returns whole bytes, or null when the text is no size. A number without a unit is none: it would be a guess. */
export function parseSize(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?) ?([A-Za-z]+)$/.exec(text);
  const unit = match?.[2] ?? "";
  const bytes = Object.hasOwn(BYTES, unit) ? BYTES[unit] : undefined;
  if (match === null || bytes === undefined) return null;
  const size = Math.round(Number(match[1]) * bytes);
  return Number.isSafeInteger(size) ? size : null;
}
