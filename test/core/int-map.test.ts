import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { IntMap } from "../../src/core/int-map.ts";

/** Dense, sparse, and at the edges of the levels of the trie. */
const key = fc.oneof(
  fc.integer({ min: 0, max: 70 }),
  fc.integer({ min: 0, max: 2 ** 30 - 1 }),
  fc.constantFrom(31, 32, 1_023, 1_024, 32_767, 32_768, 2 ** 20 - 1, 2 ** 20, 2 ** 25, 2 ** 30 - 1),
);

type Step<Key> =
  | { readonly do: "set"; readonly key: Key; readonly value: number }
  | { readonly do: "delete"; readonly key: Key }
  | { readonly do: "set-all"; readonly keys: readonly Key[]; readonly value: number };

const intStep: fc.Arbitrary<Step<number>> = fc.oneof(
  fc.record({ do: fc.constant("set" as const), key, value: fc.nat() }),
  fc.record({ do: fc.constant("delete" as const), key }),
  fc.record({ do: fc.constant("set-all" as const), keys: fc.uniqueArray(key, { maxLength: 40 }), value: fc.nat() }),
);

const ascending = (model: ReadonlyMap<number, number>) => [...model].sort(([a], [b]) => a - b);

function expectSame(map: IntMap<number>, model: ReadonlyMap<number, number>): void {
  const entries = ascending(model);
  expect([...map]).toEqual(entries);
  expect([...map.keys()]).toEqual(entries.map(([at]) => at));
  expect([...map.values()]).toEqual(entries.map(([, value]) => value));
  expect(map.size).toBe(model.size);
  expect(map.lastKey()).toBe(entries.at(-1)?.[0] ?? -1);
  expect(map.first()).toEqual(entries[0]);
}

describe("IntMap", () => {
  test("does what a Map does, in ascending order, and leaves every older version as it was", () => {
    fc.assert(
      fc.property(fc.array(intStep, { maxLength: 60 }), (steps) => {
        let map = IntMap.empty<number>();
        const model = new Map<number, number>();
        const versions: { readonly map: IntMap<number>; readonly entries: readonly (readonly [number, number])[] }[] = [];
        for (const step of steps) {
          versions.push({ map, entries: ascending(model) });
          if (step.do === "set") {
            map = map.set(step.key, step.value);
            model.set(step.key, step.value);
          } else if (step.do === "delete") {
            map = map.delete(step.key);
            model.delete(step.key);
          } else {
            const sorted = step.keys.toSorted((a, b) => a - b);
            map = map.setAll(sorted.map((at) => [at, step.value]));
            for (const at of sorted) model.set(at, step.value);
          }
        }
        expectSame(map, model);
        for (const version of versions) expect([...version.map]).toEqual([...version.entries]);
      }),
      { numRuns: 300 },
    );
  });

  test("finds what is there and nothing else", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(key, fc.nat())), fc.array(key), (entries, others) => {
        const map = IntMap.from(entries);
        const model = new Map(entries);
        for (const at of [...model.keys(), ...others]) {
          expect(map.get(at)).toBe(model.get(at));
          expect(map.has(at)).toBe(model.has(at));
        }
      }),
    );
  });

  test("begins to iterate at any key", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(key, fc.nat())), key, (entries, from) => {
        const map = IntMap.from(entries);
        const expected = ascending(new Map(entries)).filter(([at]) => at >= from);
        expect([...map.entriesFrom(from)]).toEqual(expected);
        expect(map.first(from)).toEqual(expected[0]);
      }),
    );
  });

  test("takes the largest key, and deleting all leaves an empty map", () => {
    const largest = 2 ** 30 - 1;
    const map = IntMap.empty<string>().set(largest, "last").set(0, "first");
    expect(map.get(largest)).toBe("last");
    expect(map.lastKey()).toBe(largest);
    expect([...map.delete(largest).delete(0)]).toEqual([]);
    expect(map.delete(largest).delete(0)).toBe(IntMap.empty());
  });

  test("does not answer for keys that it cannot hold", () => {
    const map = IntMap.from([[0, "zero"]]);
    expect(map.get(-1)).toBeUndefined();
    expect(map.get(32)).toBeUndefined();
    expect(map.get(2 ** 35)).toBeUndefined();
    expect(map.delete(-1)).toBe(map);
  });

  test("shares what did not change: the same map when nothing is deleted", () => {
    const map = IntMap.from([[7, "seven"]]);
    expect(map.delete(8)).toBe(map);
    expect(map.setAll([])).toBe(map);
  });

  test("setAll is set, many times", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(key, fc.nat())), fc.uniqueArray(key), (before, keys) => {
        const sorted = keys.toSorted((a, b) => a - b);
        const map = IntMap.from(before);
        const once = map.setAll(sorted.map((at) => [at, -1]));
        const singly = sorted.reduce((next, at) => next.set(at, -1), map);
        expect([...once]).toEqual([...singly]);
        expect(once.size).toBe(singly.size);
      }),
    );
  });
});
