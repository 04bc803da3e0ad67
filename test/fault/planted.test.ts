/**
 * Tests of the tests: each bug of planted-bugs.ts is put into a copy of the tree, and the test that is named for it must
 * fail there. On the tree as it is, all of these tests pass.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { report } from "./forms.ts";
import { PLANTED_BUGS, type PlantedBug } from "./planted-bugs.ts";

const root = resolve(import.meta.dir, "../..");
/** Copies of the tree beside each other. */
const LANES = 2;
const LIMIT_MS = 600_000;

interface Verdict {
  readonly caught: boolean;
  readonly output: string;
}

let folder = "";
const trees: string[] = [];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "expjob-planted-"));
  for (let lane = 0; lane <= LANES; lane++) trees.push(copyOfTree(join(folder, `tree-${lane}`)));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("a planted bug", () => {
  for (const { name, file, text } of PLANTED_BUGS) {
    test(`has one place in ${file}: ${name}`, () => {
      expect(readFileSync(join(root, file), "utf8").split(text)).toHaveLength(2);
    });
  }

  test(
    `is caught by the test that is named for it: all ${PLANTED_BUGS.length}`,
    async () => {
      const began = performance.now();
      const verdicts = new Map<string, Verdict>();
      const left = PLANTED_BUGS.values();
      const lanes = trees.slice(0, LANES).map(async (tree) => {
        for (const bug of left) verdicts.set(bug.name, await withBug(tree, bug));
      });
      await Promise.all(lanes);
      const missed = PLANTED_BUGS.filter(({ name }) => verdicts.get(name)?.caught !== true);
      const figure = { count: PLANTED_BUGS.length, violations: missed.length, seed: null, seconds: (performance.now() - began) / 1_000 };
      report({ name: "planted bugs", ...figure });
      expect(missed.map(({ name }) => `${name}: ${verdicts.get(name)?.output}`)).toEqual([]);
    },
    LIMIT_MS,
  );

  test(
    "is all that these tests fail for",
    async () => {
      const [tree = ""] = trees.slice(LANES);
      // Tests of the same file and the same surroundings go together.
      const groups = Map.groupBy(PLANTED_BUGS, ({ caughtBy }) => JSON.stringify([caughtBy.file, caughtBy.environment ?? {}]));
      for (const bugs of groups.values()) {
        const [first] = bugs;
        if (first === undefined) continue;
        const names = [...new Set(bugs.map(({ caughtBy }) => caughtBy.test))];
        const { passed, failed, output } = await runTests(tree, { ...first.caughtBy, test: `(${names.join("|")})` });
        expect({ passed: passed >= names.length, failed, output: failed === 0 ? "" : output }).toEqual({
          passed: true,
          failed: 0,
          output: "",
        });
      }
    },
    LIMIT_MS,
  );
});

async function withBug(tree: string, { file, text, instead, caughtBy }: PlantedBug): Promise<Verdict> {
  const path = join(tree, file);
  const sound = readFileSync(path, "utf8");
  writeFileSync(
    path,
    sound.replace(text, () => instead),
  );
  try {
    const { failed, ran, output } = await runTests(tree, caughtBy);
    return { caught: ran && failed > 0, output: output.slice(-2_000) };
  } finally {
    writeFileSync(path, sound);
  }
}

interface TestRun {
  readonly passed: number;
  readonly failed: number;
  /** Not only that a file could not be loaded. */
  readonly ran: boolean;
  readonly output: string;
}

async function runTests(tree: string, { file, test: name, environment = {} }: PlantedBug["caughtBy"]): Promise<TestRun> {
  const child = Bun.spawn([process.execPath, "test", "--timeout", "60000", `./${file}`, "-t", name], {
    cwd: tree,
    env: { ...process.env, ...environment },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, errors] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  const output = out + errors;
  const number = (word: string): number => Number(new RegExp(`^\\s*(\\d+) ${word}$`, "m").exec(output)?.[1] ?? 0);
  return {
    passed: number("pass"),
    failed: number("fail"),
    ran: /^\(fail\) /m.test(output) && !/SyntaxError|Cannot find/.test(output),
    output,
  };
}

function copyOfTree(tree: string): string {
  mkdirSync(tree);
  for (const name of readdirSync(root)) {
    if (["src", "test"].includes(name)) cpSync(join(root, name), join(tree, name), { recursive: true, verbatimSymlinks: true });
    else if (/^(package\.json|tsconfig.*\.json|bunfig\.toml)$/.test(name)) cpSync(join(root, name), join(tree, name));
    else if (["node_modules", "scripts"].includes(name)) symlinkSync(join(root, name), join(tree, name));
  }
  return tree;
}
