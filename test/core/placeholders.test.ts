import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { split } from "shlex";
import { driverWords, placeholderNames, substitute, UnbalancedQuotes } from "../../src/core/placeholders.ts";

const given = (values: Readonly<Record<string, string>>) => (name: string) => (Object.hasOwn(values, name) ? values[name] : undefined);
const nothing = given({});

describe("the words of a driver's command", () => {
  const examples: readonly (readonly [template: string, values: Record<string, string>, words: readonly string[]])[] = [
    ["run {A}", { A: "one two" }, ["run", "one", "two"]],
    ["run {A} end", { A: "" }, ["run", "end"]],
    ["run {A} end", { A: " \t\n " }, ["run", "end"]],
    ['run "{A}" end', { A: "" }, ["run", "", "end"]],
    ['run "{A}"', { A: "one  two" }, ["run", "one  two"]],
    ["run '{A}'", { A: "it's" }, ["run", "it's"]],
    ["run x{A}y", { A: "1 2" }, ["run", "x1", "2y"]],
    ["run x{A}y", { A: " " }, ["run", "x", "y"]],
    ["run x{A}y", { A: "" }, ["run", "xy"]],
    ["run {A}{B}", { A: "1 ", B: " 2" }, ["run", "1", "2"]],
    ['run ""{A}', { A: "" }, ["run", ""]],
    ["run {A}", { A: "\"a b\" 'c' \\d" }, ["run", '"a', 'b"', "'c'", "\\d"]],
    ["run {A}", { A: "{B}", B: "no" }, ["run", "{B}"]],
    ["run {A}", { A: "$(reboot); ls > x | y & *" }, ["run", "$(reboot);", "ls", ">", "x", "|", "y", "&", "*"]],
    ["run $HOME ~ * a|b; #c", {}, ["run", "$HOME", "~", "*", "a|b;", "#c"]],
    ["run ${A} {A}", { A: "1" }, ["run", "${A}", "1"]],
    ["run {UNKNOWN} {1} {} {a b}", { A: "1" }, ["run", "{UNKNOWN}", "{1}", "{}", "{a", "b}"]],
    ["run {A", { A: "1" }, ["run", "{A"]],
    ["run \\{A}", { A: "1" }, ["run", "{A}"]],
    ['run a\\ b \'c\\d\' "e\\f\\"\\\\"', {}, ["run", "a b", "c\\d", 'e\\f"\\']],
    ['run a\\\nb "c\\\nd" \\\n {A}', { A: "1\\\n2" }, ["run", "ab", "cd", "1\\", "2"]],
    ["  ", {}, []],
    ["''", {}, [""]],
  ];
  test.each(examples)("%j with %j", (template, values, words) => {
    expect(driverWords(template, given(values))).toEqual([...words]);
  });

  test.each(["run 'a", 'run "a', "run \\", "run 'a\\'b'"])("unbalanced quotes are refused: %j", (template) => {
    expect(() => driverWords(template, nothing)).toThrow(UnbalancedQuotes);
  });

  const value = fc.string({ unit: fc.constantFrom(..."ab {}A$'\"\\\n\t|;~*é"), maxLength: 12 });

  test("a quoted value never changes how many words there are (C6)", () => {
    const piece = fc.constantFrom("x", " ", '"{A}"', "'{A}'", '" {A} "', "\\ ", '""', "'a b'", "{UNKNOWN}");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), value, value, (pieces, one, other) => {
        const template = pieces.join("");
        const words = driverWords(template, given({ A: one }));
        expect(driverWords(template, given({ A: other }))).toHaveLength(words.length);
        // Nor anything else: the value stands where a letter would.
        const lettered = driverWords(template, given({ A: "V" }));
        expect(words).toEqual(lettered.map((word) => word.replaceAll("V", () => one)));
      }),
    );
  });

  test("an unquoted value becomes words without white space and brings no other character into play (C6)", () => {
    fc.assert(
      fc.property(value, (unquoted) => {
        const words = driverWords("before {A} after", given({ A: unquoted }));
        expect(words).toEqual(["before", ...unquoted.split(/[ \t\n\r]+/).filter((word) => word !== ""), "after"]);
      }),
    );
  });

  test("agree with shlex where there is no placeholder", () => {
    // shlex knows the $'…' and $"…" of bash as well; for a driver the dollar sign is an ordinary character.
    const isPlainDollar = (typed: string): boolean => !/\$['"]/.test(typed);
    // It unescapes all of a word where a double quote ends, also what came before the quote; sh does not.
    const template = fc.oneof(
      fc
        .string({ unit: fc.constantFrom(..."abc  \t\n'\"\\$~*|;#{}é"), maxLength: 30 })
        .filter((typed) => isPlainDollar(typed) && !/\\.*"/s.test(typed)),
      fc
        .array(
          fc.array(fc.constantFrom("a", " ", "\\\\", '\\"', "\\a", "$", "'"), { maxLength: 8 }).map((units) => `"${units.join("")}"`),
          { maxLength: 4 },
        )
        .map((words) => words.join(" "))
        .filter(isPlainDollar),
    );
    let compared = 0;
    fc.assert(
      fc.property(template, (typed) => {
        const ours = outcome(() => driverWords(typed, nothing));
        const theirs = outcome(() => split(typed));
        expect(ours).toEqual(theirs);
        if (ours !== "refused") compared++;
      }),
      { numRuns: 2_000 },
    );
    expect(compared).toBeGreaterThan(200);
  });
});

function outcome(words: () => string[]): readonly string[] | "refused" {
  try {
    return words();
  } catch {
    return "refused";
  }
}

describe("values in shell text and paths", () => {
  test("are put in as they are, in one pass", () => {
    const values = given({ A: "{B} $& $1 'x'", B: "no" });
    expect(substitute('echo "{A}" {B}', values)).toBe("echo \"{B} $& $1 'x'\" no");
  });

  test("a name that nothing defines and ${NAME} stay as typed", () => {
    expect(substitute("{X} ${A} {A}", given({ A: "1" }))).toBe("{X} ${A} 1");
  });

  test("an object's own inheritance defines no name", () => {
    expect(substitute("{constructor} {toString}", given({}))).toBe("{constructor} {toString}");
  });

  test("never reach past the placeholder", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (one, two) => {
        expect(substitute("<{A}|{B}>", given({ A: one, B: two }))).toBe(`<${one}|${two}>`);
      }),
    );
  });
});

test("a template's names come each once, in the order of first mention", () => {
  expect(placeholderNames('{B} {A} {B} ${C} {1x} {_d9} "{A}"')).toEqual(["B", "A", "_d9"]);
});
