import { expect, test } from "bun:test";
import { parseArgs } from "citty";
import fc from "fast-check";
import type { ArgumentsDefinition } from "../../src/commands/argument.ts";
import { argumentValues } from "../../src/commands/citty-call.ts";
import type { Group, Leaf } from "../../src/commands/command.ts";
import { type ParsedCall, parseCommandLine } from "../../src/commands/parse.ts";

const DEFINITIONS = {
  class: { type: "positional" },
  path: { type: "positional", required: false },
  times: { type: "string", alias: "x", default: "1" },
  "cp-path": { type: "string", empty: true },
  retry: { type: "boolean", alias: "r" },
  wrap: { type: "boolean", default: true },
  quick: { type: "boolean", default: false },
} as const satisfies ArgumentsDefinition;
const NAMES = Object.keys(DEFINITIONS) as (keyof typeof DEFINITIONS)[];

const word = fc.stringMatching(/^[a-z0-9 =.{}|-]{1,8}$/);
/** In the spelling that citty reads as it is meant: any other is read by parse.ts alone. */
const line = fc
  .record({
    flags: fc.subarray(["--retry", "--no-wrap", "--quick", "--times", "--cp-path"]),
    value: word,
    words: fc.array(word, { minLength: 1, maxLength: 2 }),
  })
  .map(({ flags, value, words }) => [...flags.map((flag) => (/times|path/.test(flag) ? `${flag}=${value}` : flag)), "--", ...words]);

test("a command gets the values that citty would read", async () => {
  await fc.assert(
    fc.asyncProperty(line, async (args) => {
      const values = argumentValues(await callOf(DEFINITIONS, args));
      const theirs = parseArgs<typeof DEFINITIONS>(args, DEFINITIONS);
      expect(values).toEqual(Object.fromEntries(NAMES.map((name) => [name, theirs[name]])));
    }),
  );
});

test("repeated flags and the rest of the words come as lists, empty when there are none", async () => {
  const definitions = {
    first: { type: "positional" },
    ids: { type: "positional", rest: true, required: false },
    only: { type: "string", repeat: true },
    keys: { type: "string", many: true },
  } as const satisfies ArgumentsDefinition;
  const given = await callOf(definitions, ["--only", "a", "--only=b", "1", "2", "3", "--keys", "x=1", "y=2"]);
  expect(argumentValues(given)).toEqual({ first: "1", ids: ["2", "3"], only: ["a", "b"], keys: ["x=1", "y=2"] });
  expect(argumentValues(await callOf(definitions, ["1"]))).toEqual({ first: "1", ids: [], only: [], keys: [] });
});

async function callOf(definitions: ArgumentsDefinition, args: readonly string[]): Promise<ParsedCall> {
  const command: Leaf = { kind: "leaf", name: "do", summary: "", example: "", arguments: definitions, run: () => Promise.resolve(0) };
  const root: Group = {
    kind: "group",
    name: "j",
    summary: "",
    example: "",
    commands: [{ name: "do", summary: "", load: () => Promise.resolve(command) }],
  };
  const parsed = await parseCommandLine(root, ["do", ...args]);
  if (parsed.kind !== "call") throw new Error(`read as ${parsed.kind}`);
  return parsed;
}
