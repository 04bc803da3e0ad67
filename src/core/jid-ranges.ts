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
  const at = indexOf(ranges, jid);
  const range = ranges[at];
  if (range === undefined) return ranges;
  const left: readonly JidRange[] = range.first < jid ? [{ first: range.first, last: jid - 1 }] : [];
  const right: readonly JidRange[] = jid < range.last ? [{ first: jid + 1, last: range.last }] : [];
  return [...ranges.slice(0, at), ...left, ...right, ...ranges.slice(at + 1)];
}

/** Adds ids that are not in it yet, ascending. Those of a whole request come at the end and are one range. */
export function withJids(ranges: readonly JidRange[], jids: readonly number[]): readonly JidRange[] {
  const first = jids[0];
  const last = jids[jids.length - 1];
  if (first === undefined || last === undefined) return ranges;
  const end = ranges[ranges.length - 1];
  const isOneRange = last - first + 1 === jids.length;
  if (!isOneRange || (end !== undefined && end.last >= first)) return jids.reduce(withJid, ranges);
  if (end !== undefined && end.last + 1 === first) return [...ranges.slice(0, -1), { first: end.first, last }];
  return [...ranges, { first, last }];
}

/** The range that the id is in. */
export function rangeAround(ranges: readonly JidRange[], jid: number): JidRange | null {
  return ranges[indexOf(ranges, jid)] ?? null;
}

export function isIn(ranges: readonly JidRange[], jid: number): boolean {
  return indexOf(ranges, jid) !== -1;
}

/** -1: in none of them. A matrix whose jobs were tried again one by one has as many ranges as retries. */
function indexOf(ranges: readonly JidRange[], jid: number): number {
  let low = 0;
  let high = ranges.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const range = ranges[middle];
    if (range === undefined) return -1;
    if (jid < range.first) high = middle - 1;
    else if (jid > range.last) low = middle + 1;
    else return middle;
  }
  return -1;
}
