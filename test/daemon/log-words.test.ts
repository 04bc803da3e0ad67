/** What machines and jobs say goes to the log as one line that no terminal obeys. */
import { describe, expect, test } from "bun:test";
import { problem } from "../../src/core/problem.ts";
import { asLine, describe as described, faultOf } from "../../src/daemon/log-words.ts";

describe("a line of the log", () => {
  test.each([
    ["a\nb", "a b"],
    ["a\u001b[2Jb", "a [2Jb"],
    ["a\u0085b\u009bc", "a b c"],
    ["a\u2028b\u2029c", "a b c"],
    ["a\u202eb\u200bc\ufeffd", "a b c d"],
    ["a\ud800b", "a\ufffdb"],
    ["plain é 漢字", "plain é 漢字"],
  ])("of %j is %j", (text, line) => {
    expect(asLine(text)).toBe(line);
  });

  test("of a problem is its code and its data", () => {
    expect(described(problem("unreachable", { machine: "a", message: 'x "y"' }))).toBe('unreachable machine="a" message="x \\"y\\""');
  });

  test("of a fault says where", () => {
    expect(faultOf(new TypeError("planted"))).toContain("log-words.test.ts");
    expect(faultOf("a word")).toBe("a word");
  });
});
