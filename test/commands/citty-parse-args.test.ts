import { expect, test } from "bun:test";
import { parseArgs as theirs } from "node:util";
import fc from "fast-check";
import { parseArgs } from "../../src/commands/citty-parse-args.ts";

const NAMES = ["after", "times", "cp-path", "q", "state-dir"] as const;
const option = fc.oneof(
  fc.record({ type: fc.constant("string" as const), default: fc.option(fc.string(), { nil: undefined }) }),
  fc.record({ type: fc.constant("boolean" as const), default: fc.option(fc.boolean(), { nil: undefined }) }),
);
const line = fc.dictionary(fc.constantFrom(...NAMES), option, { noNullPrototype: true }).chain((options) => {
  const names = Object.keys(options);
  const flags = names.length === 0 ? fc.constant<[string, string][]>([]) : fc.array(fc.tuple(fc.constantFrom(...names), fc.string()));
  return fc.record({
    options: fc.constant(options),
    flags,
    words: fc.array(fc.oneof(fc.string(), fc.constant("--"), fc.constant("--x=y"))),
  });
});

test("a line in the one spelling is read as node:util reads it", () => {
  fc.assert(
    fc.property(line, ({ options, flags, words }) => {
      const spelled = flags.map(([name, value]) => (options[name]?.type === "boolean" ? `--${name}` : `--${name}=${value}`));
      const args = [...spelled, "--", ...words];
      const expected = theirs({ args, options: withDefaults(options), allowPositionals: true, strict: false });
      const read = parseArgs({ args, options });
      expect({ ...read.values }).toEqual({ ...expected.values } as Record<string, string | boolean>);
      expect(read.positionals).toEqual(expected.positionals);
    }),
  );
});

test("another spelling is refused, so that none is read wrong", () => {
  expect(() => parseArgs({ args: ["-n", "5"] })).toThrow("spelling");
  expect(() => parseArgs({ args: ["word"] })).toThrow("spelling");
});

/** node:util refuses a default that is undefined when its key is there. */
function withDefaults(options: Record<string, { type: "string" | "boolean"; default?: string | boolean | undefined }>) {
  const entries = Object.entries(options).map(([name, { type, default: value }]) => [
    name,
    value === undefined ? { type } : { type, default: value },
  ]);
  return Object.fromEntries(entries) as Record<string, { type: "string" | "boolean"; default?: string | boolean }>;
}
