import { expect, test } from "bun:test";
import { parseArgs as theirs } from "node:util";
import { parseArgs } from "../../src/commands/citty-parse-args.ts";

test("an empty line is read as node:util reads it", () => {
  const expected = theirs({ args: [], options: {}, allowPositionals: true, strict: false });
  expect({ ...parseArgs({ args: [] }).values }).toEqual({ ...expected.values } as Record<string, string | boolean>);
  expect(parseArgs({ args: [] }).positionals).toEqual(expected.positionals);
});

test("a line with words is refused, so that none is read wrong", () => {
  expect(() => parseArgs({ args: ["-n", "5"] })).toThrow("parse.ts");
  expect(() => parseArgs({ args: ["--"] })).toThrow("parse.ts");
});
