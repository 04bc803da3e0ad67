/**
 * Style as a test: reads every file of the repository and fails on what docs/ARCHITECTURE.md and
 * CONTRIBUTING.md do not allow. The rules are in support/tidy/; each is tried here on a planted
 * violation as well, so that a rule which sees nothing is noticed.
 */
import { describe, expect, test } from "bun:test";
import { join, resolve } from "node:path";
import { cycleViolations, layerViolations, packageViolations } from "./support/tidy/graph.ts";
import { lineCount, linesWarned, textViolations, type Violation } from "./support/tidy/rules.ts";
import { importsOf, type SourceFile, sourceFile } from "./support/tidy/source.ts";
import { traceViolations } from "./support/tidy/tracked.ts";

const root = resolve(import.meta.dir, "..");
const tracked = await trackedFiles();
const sources = await readSources();

describe("the repository", () => {
  test("keeps to the import graph", () => {
    expect(shown(sources.flatMap(layerViolations))).toEqual([]);
  });

  test("imports each package only where it belongs", () => {
    expect(shown(sources.flatMap(packageViolations))).toEqual([]);
  });

  test("has no files that import each other in a circle", () => {
    expect(shown(cycleViolations(sources))).toEqual([]);
  });

  test("keeps to the rules about a file's text", () => {
    const large = sources.filter((file) => lineCount(file) > linesWarned).sort((a, b) => lineCount(b) - lineCount(a));
    for (const file of large) console.log(`note: ${String(lineCount(file)).padStart(4)} lines  ${file.path}`);
    expect(shown(sources.flatMap(textViolations))).toEqual([]);
  });

  test("names no machine, home folder or registry", async () => {
    const violations: Violation[] = [];
    for (const path of tracked) {
      const text = await textOf(path);
      if (text !== undefined) violations.push(...traceViolations(path, text));
    }
    expect(shown(violations)).toEqual([]);
  });
});

/** rule, path, text that breaks it, text that does not */
const planted: readonly (readonly [rule: string, path: string, bad: string, good: string])[] = [
  ["clock", "src/core/a.ts", "const t = Date.now();", "const t = new Date(at).toISOString(); // Date.now()"],
  ["clock", "src/protocol/a.ts", "const t = new Date();", 'const t = "new Date()";'],
  ["clock", "src/terminal/a.ts", "const t = performance.now();", "const t = view.performance;"],
  ["randomness", "src/core/a.ts", "const x = Math.random();", "const x = Math.max(1, 2);"],
  ["randomness", "src/core/a.ts", "const x = crypto.randomUUID();", "const x = key.crypto;"],
  ["process", "src/terminal/a.ts", "const w = process.stdout.columns;", "const w = run.process.id;"],
  ["timer", "src/core/a.ts", "setTimeout(f, 1);", "// setTimeout(f, 1)"],
  ["network", "src/core/a.ts", "fetch(url);", "store.fetch(url);"],
  ["console", "src/core/a.ts", 'console.log("x");', 'const c = "console.log";'],
  ["console", "src/daemon/a.ts", 'console.error("x");', 'log.error("x");'],
  ["pure-import", "src/core/a.ts", 'import { readFileSync } from "node:fs";', 'import * as v from "valibot";'],
  ["pure-import", "src/core/a.ts", 'import { Database } from "bun:sqlite";', 'const x = "bun:sqlite";'],
  ["pure-bun", "src/core/a.ts", "Bun.spawn([]);", "Bun.stringWidth(text) + Bun.hash.crc32(bytes);"],
  ["pure-bun", "src/core/a.ts", "const { spawn } = Bun;", "const b = `Bun ${version}`;"],
  ["any", "src/core/a.ts", "function f(x: any): void {}", "Promise.any(all); const any = 1;"],
  ["any", "test/a.ts", "const x = y as any;", 'const x = "as any";'],
  ["enum", "src/core/a.ts", "const enum Colour { red }", "const x = schema.enum;"],
  ["non-null", "src/core/a.ts", "const x = list[0]!.name;", "const x = a !== b && !c.d;"],
  ["non-null", "src/core/a.ts", "call(name!);", "call(!name);"],
  ["process-exit", "src/daemon/a.ts", "process.exit(1);", "process.exitCode = 1;"],
  ["test-branch", "src/daemon/a.ts", 'if (process.env.NODE_ENV === "test") f();', "// NODE_ENV"],
  ["sleep", "test/a.test.ts", "await Bun.sleep(100);", "await waitFor(() => done);"],
  ["sleep", "test/a.test.ts", "await new Promise((resolve) => setTimeout(resolve, 50));", "setTimeout(abort, 50);"],
  ["skipped", "test/a.test.ts", 'test.skip("x", () => { expect(1).toBe(1); });', 'test("skip", () => { expect(1).toBe(1); });'],
  [
    "switch-default",
    "src/core/a.ts",
    'switch (x.kind) { case "a": { break; } default: break; }',
    'switch (x) { case "a": f({ default: 1 }); }',
  ],
  ["name", "src/core/utils.ts", "// x", ""],
  ["name", "src/core/index.ts", "// x", ""],
  ["size", "src/core/a.ts", "//\n".repeat(501), "//\n".repeat(500)],
  ["header", "src/core/a.ts", "export const a = 1;", "/** What it owns. */\nexport const a = 1;"],
  ["no-expect", "test/a.test.ts", 'test("x", () => { run(); });', 'test("x", () => { expect(run()).toBe(1); });'],
  [
    "no-expect",
    "test/a.test.ts",
    'test.each([1])("x", (n) => { run(n); });',
    'function is(n) { expect(n).toBe(1); }\ntest.each([1])("x", (n) => { is(n); });',
  ],
];

describe("each rule sees what breaks it", () => {
  test.each(planted)("%s in %s", (rule, path, bad, good) => {
    expect(rulesBroken(path, bad)).toContain(rule);
    if (good !== "") expect(rulesBroken(path, good)).not.toContain(rule);
  });

  test("an excuse needs a reason", () => {
    expect(rulesBroken("src/daemon/a.ts", "/** a */\nprocess.exit(1); // tidy-allow process-exit: the child after fork")).toEqual([]);
    expect(rulesBroken("src/daemon/a.ts", "/** a */\nprocess.exit(1); // tidy-allow process-exit:")).toEqual(["process-exit"]);
    expect(rulesBroken("src/daemon/a.ts", "/** a */\nprocess.exit(1); // tidy-allow console: wrong rule")).toEqual(["process-exit"]);
  });
});

describe("the import graph", () => {
  const refused: readonly (readonly [path: string, line: string])[] = [
    ["src/core/job.ts", 'import { x } from "../protocol/method.ts";'],
    ["src/core/job.ts", 'import type { X } from "../store/journal.ts";'],
    ["src/protocol/method.ts", 'import type { Job } from "../core/job.ts";'],
    ["src/terminal/table.ts", 'import { method } from "../protocol/method.ts";'],
    ["src/terminal/table.ts", 'import type { Job } from "../core/job.ts";'],
    ["src/store/journal.ts", 'import { x } from "../config/config.ts";'],
    ["src/client/call.ts", 'import { x } from "../terminal/table.ts";'],
    ["src/config/config.ts", 'export { x } from "../core/job.ts";'],
    ["src/daemon/engine.ts", 'const { x } = await import("../commands/job.ts");'],
    ["src/daemon/engine.ts", 'import "../terminal/table.ts";'],
    ["src/commands/job/hold.ts", 'import type { Job } from "../../core/job.ts";'],
    ["src/commands/serve.ts", 'import { serve } from "../daemon/serve.ts";'],
    ["src/offline/check.ts", 'import { x } from "../daemon/serve.ts";'],
    ["src/main.ts", 'import { serve } from "./daemon/serve.ts";'],
    ["src/main.ts", 'const x = await import("../test/support/binary.ts");'],
    ["src/daemon/engine.ts", 'import { x } from "../../scripts/demo.ts";'],
    ["src/daemon/version.ts", 'import { version } from "../../package.json";'],
    ["src/stray.ts", "export const x = 1;"],
    ["src/extra/stray.ts", "export const x = 1;"],
  ];
  test.each(refused)("%s may not: %s", (path, line) => {
    expect(layerViolations(sourceFile(path, line))).toHaveLength(1);
  });

  const allowed: readonly (readonly [path: string, line: string])[] = [
    ["src/core/job.ts", 'import { x } from "./machine.ts";'],
    ["src/terminal/table.ts", 'import type { Job } from "../protocol/methods/job.ts";'],
    ["src/store/journal.ts", 'import { apply } from "../core/apply.ts";'],
    ["src/daemon/engine.ts", 'import { apply } from "../core/apply.ts"; import * as v from "valibot";'],
    ["src/commands/job/hold.ts", 'import { call } from "../../client/call.ts";'],
    ["src/offline/check.ts", 'import { table } from "../terminal/table.ts";'],
    ["src/config/version.ts", 'import { version } from "../../package.json";'],
    ["src/main.ts", 'const { serve } = await import("./daemon/serve.ts");'],
    ["src/main.ts", 'import { basename } from "node:path";'],
    ["src/core/job.ts", '// import { x } from "../daemon/engine.ts";'],
    ["src/core/job.ts", 'const s = `import { x } from "../daemon/engine.ts"`;'],
    ["test/core/job.test.ts", 'import { x } from "../../src/daemon/engine.ts";'],
  ];
  test.each(allowed)("%s may: %s", (path, line) => {
    expect(layerViolations(sourceFile(path, line))).toEqual([]);
  });

  test("sees a circle, and through type imports and lazy ones", () => {
    const files = [
      sourceFile("src/core/a.ts", 'import type { B } from "./b.ts";'),
      sourceFile("src/core/b.ts", 'const c = await import("./deep/c.ts");'),
      sourceFile("src/core/deep/c.ts", 'export { a } from "../a.ts";'),
    ];
    expect(cycleViolations(files).map(({ message }) => message)).toEqual([
      "files import each other: src/core/a.ts -> src/core/b.ts -> src/core/deep/c.ts -> src/core/a.ts",
    ]);
    expect(cycleViolations(files.slice(0, 2))).toEqual([]);
  });

  const packages: readonly (readonly [specifier: string, refusedIn: string, allowedIn: string])[] = [
    ["ssh2", "src/daemon/runner/ssh.ts", "src/daemon/ssh/connection.ts"],
    ["citty", "src/main.ts", "src/commands/job/add.ts"],
    ["smol-toml", "src/daemon/engine.ts", "src/store/snapshot.ts"],
    ["smol-toml", "src/daemon/copier/manifest.ts", "src/daemon/copier/result-record.ts"],
    ["msgpackr/pack", "src/daemon/server.ts", "src/protocol/codec.ts"],
    ["msgpackr", "src/protocol/codec.ts", "test/protocol/codec.test.ts"],
    ["consola/core", "src/daemon/engine.ts", "src/daemon/log.ts"],
    ["rotating-file-stream", "src/store/journal.ts", "src/daemon/log-file.ts"],
  ];
  test.each(packages)("%s is refused in %s and allowed in %s", (specifier, refusedIn, allowedIn) => {
    expect(packageViolations(sourceFile(refusedIn, `import { x } from "${specifier}";`))).toHaveLength(1);
    expect(packageViolations(sourceFile(allowedIn, `import { x } from "${specifier}";`))).toEqual([]);
  });
});

describe("traces of the writer's machine", () => {
  const traces = [
    `cd /${"work"}/main`,
    `"/${"home"}/ada/x"`,
    `https://${"registry"}.example.org/x`,
    `"${"resolved"}": "https://x"`,
    `/${"Users"}/ada`,
  ];
  test.each(traces)("are seen: %s", (line) => {
    expect(traceViolations("README.md", line)).toHaveLength(1);
  });

  test("are not seen where there are none", () => {
    const lines = ["a/work/b", "~/work/", "/home/user/x", "/home/$USER", "/home/<name>", "the registry. Then", '"resolved": true'];
    expect(traceViolations("README.md", lines.join("\n"))).toEqual([]);
  });
});

describe("the scanner", () => {
  test("reads every form of import and its kind", () => {
    const text = [
      'import a, { b } from "./1.ts";',
      'import type { C } from "./2.ts";',
      'import { type D } from "./3.ts";',
      'import "./4.ts";',
      'export * from "./5.ts";',
      'export type { E } from "./6.ts";',
      'const f = await import("./7.ts");',
      'import {\n  g,\n  h,\n} from "./8.ts";',
      'export const notOne = "./9.ts";',
      'const pattern = /import "x"/; const half = a / b;',
      'const nested = `${c ? `import "./10.ts"` : d}`; import i from "./11.ts";',
    ].join("\n");
    expect(importsOf(sourceFile("src/core/a.ts", text)).map(({ specifier, kind, line }) => `${line} ${kind} ${specifier}`)).toEqual([
      "1 static ./1.ts",
      "2 type ./2.ts",
      "3 static ./3.ts",
      "4 static ./4.ts",
      "5 static ./5.ts",
      "6 type ./6.ts",
      "8 static ./8.ts",
      "14 static ./11.ts",
      "7 dynamic ./7.ts",
    ]);
  });

  test("finds in every file the imports that Bun finds", async () => {
    const transpiler = new Bun.Transpiler({ loader: "ts" });
    for (const file of sources) {
      const ours = importsOf(file).map(({ specifier }) => specifier);
      for (const { path } of transpiler.scanImports(file.text.replace(/^#!.*/, ""))) expect(ours, file.path).toContain(path);
    }
  });
});

function rulesBroken(path: string, text: string): string[] {
  return textViolations(sourceFile(path, text)).map(({ rule }) => rule);
}

function shown(violations: readonly Violation[]): string[] {
  return violations.map(({ rule, path, line, message }) => `${path}:${line} [${rule}] ${message}`);
}

/** What git has or would take; without git (a source archive, another user's clone) what lies there. */
async function trackedFiles(): Promise<string[]> {
  const git = Bun.spawn(["git", "-c", `safe.directory=${root}`, "ls-files", "-co", "--exclude-standard", "-z"], {
    cwd: root,
    stdio: ["ignore", "pipe", "ignore"],
  });
  const [text, exitCode] = await Promise.all([git.stdout.text(), git.exited]);
  if (exitCode === 0) return [...new Set(text.split("\0").filter((path) => path !== ""))].sort();
  const all = await Array.fromAsync(new Bun.Glob("**/*").scan({ cwd: root, dot: true }));
  return all.filter((path) => !/^(node_modules|dist|coverage|\.git)\//.test(path)).sort();
}

async function readSources(): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  for (const path of tracked) {
    if (!/^(src|scripts|test)\/.*\.(ts|tsx|mjs)$/.test(path)) continue;
    const text = await textOf(path);
    if (text !== undefined) files.push(sourceFile(path, text));
  }
  return files;
}

/** Undefined for what is deleted, or not text. */
async function textOf(path: string): Promise<string | undefined> {
  const file = Bun.file(join(root, path));
  if (!(await file.exists())) return undefined;
  const text = await file.text();
  return text.includes("\0") ? undefined : text;
}
