/** Durations in two units, `53m55s`: short enough for a column, and what T takes (config/duration.ts) is written the same. */

const UNITS = [
  ["d", 86_400],
  ["h", 3_600],
  ["m", 60],
  ["s", 1],
] as const;

/** @param seconds rounded down, so that a second is shown when it is over; below 0 (a clock was set back) is 0 */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const index = UNITS.findIndex(([, size]) => whole >= size);
  const [name, size] = UNITS[index] ?? ["s", 1];
  const next = UNITS[index + 1];
  const first = `${Math.floor(whole / size)}${name}`;
  if (next === undefined) return first;
  const rest = Math.floor((whole % size) / next[1]);
  return rest === 0 ? first : `${first}${rest}${next[0]}`;
}

/** Under a minute with the digits that tell: `0.34s`, `12.1s`. */
export function formatMilliseconds(milliseconds: number): string {
  if (milliseconds < 1_000) return `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
  return milliseconds < 60_000 ? `${(milliseconds / 1_000).toFixed(1)} s` : formatDuration(milliseconds / 1_000);
}

/** ISO 8601 in UTC, made shorter: local time costs more at start-up than the rest of a listing. */
export function formatInstant(iso: string): string {
  const match = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})/.exec(iso);
  return match === null ? iso : `${match[1]} ${match[2]} UTC`;
}

/** To the minute, for a column. */
export function formatMinute(iso: string): string {
  const match = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2})/.exec(iso);
  return match === null ? iso : `${match[1]} ${match[2]}Z`;
}
