import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type JidRange, withJid } from "../../src/core/jid-ranges.ts";
import { cellCount, cellVariables } from "../../src/core/matrix.ts";
import { jobVariables } from "../../src/core/variables.ts";
import { Lab } from "./lab.ts";

const keys = [
  { name: "PROGRAM", values: ["gzip", "xz"] },
  { name: "LEVEL", values: ["1", "9"] },
];

describe("the cells of a matrix", () => {
  test("come in the order of nested loops as typed, the last key fastest, repeats beside each other", () => {
    const cells = Array.from({ length: cellCount(keys, 2) }, (_, cell) =>
      Object.values(cellVariables({ keys, repeats: 2 }, cell)).join(" "),
    );
    expect(cells).toEqual(["gzip 1", "gzip 1", "gzip 9", "gzip 9", "xz 1", "xz 1", "xz 9", "xz 9"]);
  });

  test("are those of real nested loops for any keys", () => {
    const value = fc.string({ maxLength: 3 });
    const key = fc.record({
      name: fc.stringMatching(/^[A-Za-z][A-Za-z0-9]{0,5}$/),
      values: fc.array(value, { minLength: 1, maxLength: 4 }),
    });
    const someKeys = fc.uniqueArray(key, { selector: ({ name }) => name, minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(someKeys, fc.integer({ min: 1, max: 3 }), (given, repeats) => {
        let looped: [string, string][][] = [[]];
        for (const { name, values } of given) {
          looped = looped.flatMap((cell) => values.map((one): [string, string][] => [...cell, [name, one]]));
        }
        looped = looped.flatMap((cell) => Array.from({ length: repeats }, () => cell));
        expect(cellCount(given, repeats)).toBe(looped.length);
        looped.forEach((cell, index) => {
          expect(Object.entries(cellVariables({ keys: given, repeats }, index))).toEqual(cell);
        });
      }),
    );
  });

  test("become jobs without a gap after the matrix's own id", () => {
    const lab = new Lab();
    lab.add();
    const { id, first, count } = lab.addMatrix({ keys, count: 2 });
    expect([id, first, count]).toEqual([1, 2, 8]);
    expect(lab.state.matrices.get(id)?.jids).toEqual([{ first: 2, last: 9 }]);
    expect(lab.state.nextId).toBe(10);
    expect(jobVariables(lab.state, lab.job(first + 5))).toEqual({ PROGRAM: "xz", LEVEL: "1" });
  });

  test("a retry stays in its cell and joins the matrix's ids", () => {
    const lab = Lab.withMachines("a");
    const { id, first } = lab.addMatrix({ keys, retry: { maxFailures: 3 } });
    lab.dispatch();
    lab.start(first);
    lab.exit(first, 1);
    const retry = lab.job(first).retriedBy ?? -1;
    expect(lab.job(retry).matrix).toEqual({ id, cell: 0 });
    expect(lab.state.matrices.get(id)?.jids).toEqual([{ first, last: retry }]);
    expect(lab.state.matrices.get(id)?.counts).toMatchObject({ waiting: 4, failed: 1 });
  });
});

test("ids are kept as ranges", () => {
  const ranges = [1, 2, 3, 7, 8, 20].reduce<readonly JidRange[]>(withJid, []);
  expect(ranges).toEqual([
    { first: 1, last: 3 },
    { first: 7, last: 8 },
    { first: 20, last: 20 },
  ]);
});
