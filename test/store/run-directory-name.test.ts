import { expect, test } from "bun:test";
import fc from "fast-check";
import { lifeOfSpare, parseRunDirectoryName, runDirectoryName, spareDirectoryName } from "../../src/store/run-directory-name.ts";

test("the name of a run directory reads back, and nothing else is one", () => {
  const run = fc.record({ jid: fc.nat(), command: fc.nat({ max: 999_999_999 }), runId: fc.stringMatching(/^[0-9a-z]+$/) });
  fc.assert(fc.property(run, (one) => expect(parseRunDirectoryName(runDirectoryName(one))).toEqual(one)));
  for (const name of ["", "1", "1.0", "1.0.", "01.0.a", "1.0.A", "1.0.a/b", "-1.0.a", "1.0.a.b", "1.0.a\n", "spare.0123abcd.0"]) {
    expect(parseRunDirectoryName(name)).toBeNull();
  }
});

test("a spare directory tells whose it is, and a run directory is none", () => {
  expect(lifeOfSpare(spareDirectoryName("0123abcd", 7))).toBe("0123abcd");
  for (const name of ["", "spare", "spare.0123abcd", "spare.0123abcd.", "spare.0123ABCD.0", "spare.0123abcd.0\n", "1.0.spare"]) {
    expect(lifeOfSpare(name)).toBeNull();
  }
});
