import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { TextMap } from "../../src/core/text-map.ts";

/** Texts whose hashes in a TextMap are equal in the `bits` that are looked at first, found by trying. */
function collision(bits: number): readonly [string, string] {
  const seen = new Map<number, string>();
  for (let count = 0; ; count++) {
    const text = Bun.hash(String(count)).toString(36);
    const hash = (Bun.hash.crc32(text) << (32 - bits)) >>> 0;
    const other = seen.get(hash);
    if (other !== undefined) return [other, text];
    seen.set(hash, text);
  }
}

const [left, right] = collision(32);
/** Of one branch, of several below each other, and of one in which no two can be told apart. */
const colliding = [left, right, ...collision(6), ...collision(17), ...collision(30)];
const text = fc.oneof(fc.constantFrom(...colliding, "", "__proto__", "constructor"), fc.string({ unit: "grapheme", maxLength: 4 }));
const textStep = fc.oneof(
  fc.record({ do: fc.constant("set" as const), key: text, value: fc.nat() }),
  fc.record({ do: fc.constant("delete" as const), key: text }),
);

describe("TextMap", () => {
  test("does what a Map does, whatever the hashes, and leaves older versions as they were", () => {
    fc.assert(
      fc.property(fc.array(textStep, { maxLength: 60 }), (steps) => {
        let map = TextMap.empty<number>();
        const model = new Map<string, number>();
        const versions: { readonly map: TextMap<number>; readonly model: ReadonlyMap<string, number> }[] = [];
        for (const step of steps) {
          versions.push({ map, model: new Map(model) });
          if (step.do === "set") map = map.set(step.key, step.value);
          else map = map.delete(step.key);
          if (step.do === "set") model.set(step.key, step.value);
          else model.delete(step.key);
        }
        versions.push({ map, model });
        for (const version of versions) {
          expect(new Map(version.map)).toEqual(new Map(version.model));
          expect(version.map.size).toBe(version.model.size);
          for (const at of [...colliding, ...version.model.keys()]) expect(version.map.get(at)).toBe(version.model.get(at));
        }
      }),
      { numRuns: 300 },
    );
  });

  test("made at once it is as made one by one, and of a text that comes twice the last value counts", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(text, fc.nat()), { maxLength: 100 }), (entries) => {
        const singly = entries.reduce((map, [key, value]) => map.set(key, value), TextMap.empty<number>());
        const atOnce = TextMap.from(entries);
        expect(new Map(atOnce)).toEqual(new Map(entries));
        expect(new Map(singly)).toEqual(new Map(entries));
        expect(atOnce.size).toBe(singly.size);
      }),
    );
  });

  test("what was added and deleted again leaves nothing behind", () => {
    const texts = Array.from({ length: 2_000 }, (_, index) => `job-${index}`);
    const full = texts.reduce((map, key) => map.set(key, 1), TextMap.from([[left, 0]]));
    expect(texts.reduce((map, key) => map.delete(key), full)).toEqual(TextMap.from([[left, 0]]));
  });

  test("keeps two texts with one hash apart", () => {
    const map = TextMap.from([
      [left, 1],
      [right, 2],
    ]);
    expect([map.get(left), map.get(right), map.size]).toEqual([1, 2, 2]);
    const one = map.delete(left);
    expect([one.get(left), one.get(right), one.size]).toEqual([undefined, 2, 1]);
    expect(one.delete(left)).toBe(one);
    expect([...map.set(right, 3).values()].sort()).toEqual([1, 3]);
  });
});
