/**
 * `npm run test:fault`: the fault suite alone, and its table.
 *
 *   npm run test:fault                      the short form, as in `npm test`
 *   npm run test:fault -- --long            the long form: hours. Stopped and started again, it goes on with what is left
 *   npm run test:fault -- --only storm      files whose name contains the word
 *   npm run test:fault -- --long --fresh    from the beginning
 *   npm run test:fault -- --counts storm=500,seeds=20000   other counts
 *   npm run test:fault -- --jobs 1          one file at a time (default: 2)
 *
 * The figures of each file that is through are kept in dist/fault-<form>.jsonl.
 */
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { buildBinary } from "./build-binary.ts";
import { runTestFile } from "./test-file.ts";

const root = resolve(import.meta.dir, "..");

interface KeptLine {
  readonly file: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly figures: readonly FigureLine[];
}

interface FigureLine {
  readonly name: string;
  readonly count: number;
  readonly violations: number;
  readonly seed: number | null;
  readonly seconds: number;
  readonly note?: string;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    args: process.argv.slice(2),
    options: {
      long: { type: "boolean", default: false },
      fresh: { type: "boolean", default: false },
      only: { type: "string", multiple: true, default: [] },
      counts: { type: "string", default: "" },
      jobs: { type: "string", default: "2" },
    },
  });
  const jobs = Number(values.jobs);
  if (!Number.isInteger(jobs) || jobs < 1) throw new Error(`--jobs takes a number from 1, not "${values.jobs}".`);
  const form = values.long ? "long" : "short";
  const kept = join(root, "dist", `fault-${form}.jsonl`);
  mkdirSync(join(root, "dist"), { recursive: true });
  if (values.fresh || !values.long) rmSync(kept, { force: true });
  await buildBinary();
  const all = await faultFiles();
  const files = all.filter((file) => values.only.length === 0 || values.only.some((word) => file.includes(word)));
  const through = new Set(readKept(kept).map((line) => line.file));
  const queue = files.values();
  const lane = async (): Promise<void> => {
    for (const file of queue) {
      if (through.has(file)) console.log(`before  ${file}`);
      else await runOne(file, { form, counts: values.counts, kept });
    }
  };
  await Promise.all(Array.from({ length: jobs }, lane));
  const lines = readKept(kept).filter((line) => files.includes(line.file));
  console.log(`\n${table(lines)}`);
  const failed = lines.reduce((sum, line) => sum + line.failed, 0);
  console.log(`${lines.reduce((sum, line) => sum + line.passed, 0)} passed, ${failed} failed`);
  return failed === 0 && lines.length === files.length ? 0 : 1;
}

/** Those of the suite, and tests beside their module that have a count and a figure as well. */
async function faultFiles(): Promise<string[]> {
  const tests = (await Array.fromAsync(new Bun.Glob("test/**/*.test.ts").scan({ cwd: root }))).sort();
  const texts = await Promise.all(tests.map((file) => Bun.file(join(root, file)).text()));
  return tests.filter((file, index) => file.startsWith("test/fault/") || texts[index]?.includes('/fault/forms.ts"'));
}

interface OneRun {
  readonly form: string;
  readonly counts: string;
  readonly kept: string;
}

async function runOne(file: string, { form, counts, kept }: OneRun): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "expj-fault-"));
  const reportFile = join(folder, "figures.jsonl");
  const environment = { EXPJOB_FAULT_FORM: form, EXPJOB_FAULT_COUNTS: counts, EXPJOB_FAULT_REPORT: reportFile };
  const limitMs = form === "long" ? 12 * 3_600_000 : 240_000;
  const result = await runTestFile({
    root,
    file,
    folder: join(folder, "run"),
    testTimeoutMs: limitMs,
    fileTimeoutMs: limitMs,
    environment,
  });
  const figures = existsSync(reportFile) ? (parsedLines(reportFile) as FigureLine[]) : [];
  rmSync(folder, { recursive: true, force: true });
  const { passed, failed, skipped, durationMs, output, faults } = result;
  console.log(`${failed === 0 ? "pass" : "FAIL"}    ${file} (${passed} passed, ${failed} failed, ${(durationMs / 1000).toFixed(0)} s)`);
  if (failed > 0) console.log(`${faults.join("\n")}\n${output}`);
  // One that failed is tried again at the next call.
  if (failed === 0) appendFileSync(kept, `${JSON.stringify({ file, passed, failed, skipped, figures } satisfies KeptLine)}\n`);
}

function readKept(path: string): KeptLine[] {
  return existsSync(path) ? (parsedLines(path) as KeptLine[]) : [];
}

function parsedLines(path: string): unknown[] {
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as unknown);
}

function table(lines: readonly KeptLine[]): string {
  const rows = lines.flatMap(({ figures }) =>
    figures.map(({ name, count, violations, seed, seconds, note = "" }) => {
      return `| ${name} | ${count.toLocaleString("en")} | ${violations} | ${seed ?? ""} | ${seconds.toFixed(1)} | ${note} |`;
    }),
  );
  return ["| test | count | violations | seed | seconds | |", "| --- | ---: | ---: | ---: | ---: | --- |", ...rows].join("\n");
}

process.exit(await main());
