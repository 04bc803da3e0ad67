/** Times as people type them: `90s`, `15m`, `1h34m`, `2d`. The printed form is in terminal/duration.ts. */

const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;
type Unit = keyof typeof SECONDS;
const DURATION = /^(?:\d+(?:\.\d+)?[smhd])+$/;
const PART = /(\d+(?:\.\d+)?)([smhd])/g;

/** @returns seconds, or null when the text is no time. @param bareUnit what a number without a unit counts */
export function parseDuration(text: string, bareUnit: Unit): number | null {
  if (/^\d+(?:\.\d+)?$/.test(text)) return Number(text) * SECONDS[bareUnit];
  if (!DURATION.test(text)) return null;
  let seconds = 0;
  let smallest = Number.POSITIVE_INFINITY;
  for (const [, amount, unit] of text.matchAll(PART)) {
    const size = SECONDS[unit as Unit];
    // `5m1h` and `5m5m` are slips of the hand.
    if (size >= smallest) return null;
    smallest = size;
    seconds += Number(amount) * size;
  }
  return seconds;
}
