/** Sets of job ids as ranges, ascending and apart: a matrix of 100,000 jobs is one. */

/** Inclusive. */
export interface JidRange {
  readonly first: number;
  readonly last: number;
}

export function withJid(ranges: readonly JidRange[], jid: number): readonly JidRange[] {
  // New jobs come at the end.
  const end = ranges[ranges.length - 1];
  if (end === undefined || end.last + 1 < jid) return [...ranges, { first: jid, last: jid }];
  if (end.last + 1 === jid) return [...ranges.slice(0, -1), { first: end.first, last: jid }];
  const at = ranges.findIndex((range) => jid <= range.last + 1);
  const range = ranges[at];
  const next = ranges[at + 1];
  if (range === undefined || (range.first <= jid && jid <= range.last)) return ranges;
  const before = ranges.slice(0, at);
  if (jid === range.last + 1) {
    if (next?.first === jid + 1) return [...before, { first: range.first, last: next.last }, ...ranges.slice(at + 2)];
    return [...before, { first: range.first, last: jid }, ...ranges.slice(at + 1)];
  }
  if (jid === range.first - 1) return [...before, { first: jid, last: range.last }, ...ranges.slice(at + 1)];
  return [...before, { first: jid, last: jid }, ...ranges.slice(at)];
}

export function withoutJid(ranges: readonly JidRange[], jid: number): readonly JidRange[] {
  const at = ranges.findIndex((range) => range.first <= jid && jid <= range.last);
  const range = ranges[at];
  if (range === undefined) return ranges;
  const left: readonly JidRange[] = range.first < jid ? [{ first: range.first, last: jid - 1 }] : [];
  const right: readonly JidRange[] = jid < range.last ? [{ first: jid + 1, last: range.last }] : [];
  return [...ranges.slice(0, at), ...left, ...right, ...ranges.slice(at + 1)];
}

export function isIn(ranges: readonly JidRange[], jid: number): boolean {
  return ranges.some((range) => range.first <= jid && jid <= range.last);
}
