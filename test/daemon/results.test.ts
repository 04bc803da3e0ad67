/** What becomes of the record of a job whose results had to make way. */
import { expect, test } from "bun:test";
import { movedPath } from "../../src/daemon/results.ts";

test("a file that had to make way is found under its new name, and so is all that is in a folder", () => {
  const move = { from: "out", to: "out.~1~" };
  expect(["out", "out/a", "out/deep/b", "out.log", "other"].map((path) => movedPath(path, move))).toEqual([
    "out.~1~",
    "out.~1~/a",
    "out.~1~/deep/b",
    "out.log",
    "other",
  ]);
});
