/** Sets of ids as ranges are the sets that they stand for, whatever is put in and taken out. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { isIn, type JidRange, rangeAround, withJid, withJids, withoutJid } from "../../src/core/jid-ranges.ts";

const members = (ranges: readonly JidRange[]): number[] =>
  ranges.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, index) => first + index));

test("neighbours grow together, and a gap that is filled makes one range of two", () => {
  expect([3, 4, 5, 9].reduce(withJid, [] as readonly JidRange[])).toEqual([
    { first: 3, last: 5 },
    { first: 9, last: 9 },
  ]);
  expect(
    withJid(
      [
        { first: 1, last: 2 },
        { first: 4, last: 5 },
      ],
      3,
    ),
  ).toEqual([{ first: 1, last: 5 }]);
  expect(withoutJid([{ first: 1, last: 5 }], 3)).toEqual([
    { first: 1, last: 2 },
    { first: 4, last: 5 },
  ]);
});

test("any sequence of changes leaves the set, ascending, apart and without an empty range", () => {
  const changes = fc.array(fc.record({ jid: fc.integer({ min: 0, max: 30 }), add: fc.boolean() }), { maxLength: 80 });
  fc.assert(
    fc.property(changes, (list) => {
      const model = new Set<number>();
      let ranges: readonly JidRange[] = [];
      for (const { jid, add } of list) {
        if (add) model.add(jid);
        else model.delete(jid);
        ranges = add ? withJid(ranges, jid) : withoutJid(ranges, jid);
        expect(members(ranges)).toEqual([...model].sort((a, b) => a - b));
        for (const [index, range] of ranges.entries()) {
          const before = ranges[index - 1];
          if (before !== undefined) expect(before.last + 1).toBeLessThan(range.first);
        }
        expect(isIn(ranges, jid)).toBe(add);
        expect(rangeAround(ranges, jid) !== null).toBe(add);
      }
    }),
  );
});

test("100,000 ids that follow one another are one range", () => {
  let ranges: readonly JidRange[] = [];
  for (let jid = 0; jid < 100_000; jid++) ranges = withJid(ranges, jid);
  expect(ranges).toEqual([{ first: 0, last: 99_999 }]);
});

test("requests one after the other are one range, as if their ids had come one by one", () => {
  expect(withJids(withJids([], [1, 2, 3]), [4, 5])).toEqual([{ first: 1, last: 5 }]);
  const requests = fc.uniqueArray(fc.integer({ min: 0, max: 60 }), { maxLength: 40 }).chain((jids) =>
    fc.array(fc.nat(jids.length), { maxLength: 4 }).map((cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), jids.length];
      return at.slice(1).map((end, index) => jids.slice(at[index], end).sort((a, b) => a - b));
    }),
  );
  fc.assert(
    fc.property(requests, (list) => {
      const together = list.reduce(withJids, [] as readonly JidRange[]);
      expect(together).toEqual(list.flat().reduce(withJid, [] as readonly JidRange[]));
    }),
  );
});
