/**
 * `npm run test:fault`: the fault suite alone, and its table.
 *
 *   npm run test:fault                      the short form, as in `npm test`
 *   npm run test:fault -- --long            the long form: hours. Stopped and started again, it goes on with what is left
 *   npm run test:fault -- --table           nothing is run: the table of what is through (with --long: of the long form)
 *   npm run test:fault -- --only storm      files whose name contains the word
 *   npm run test:fault -- --long --fresh    from the beginning
 *   npm run test:fault -- --counts storm=500,seeds=20000   other counts
 *   npm run test:fault -- --jobs 1          one file at a time (default: 2)
 *
 * The figures of each file that is through are kept in dist/fault-<form>.jsonl. The long form runs the files with the
 * greatest counts in pieces, each with a seed of its own: the first piece of every file, then the second of each that has
 * one, so that it has looked everywhere wherever it is stopped.
 */
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { buildBinary } from "./build-binary.ts";
import { runTestFile } from "./test-file.ts";

const root = resolve(import.meta.dir, "..");

/** In how many pieces the long form runs a file; the others in one. A piece takes some minutes. */
const PIECES: Readonly<Record<string, number>> = {
  "test/fault/archives.test.ts": 5,
  "test/fault/copies.test.ts": 4,
  "test/fault/frames.test.ts": 4,
  "test/fault/network.test.ts": 10,
  "test/fault/power-cut.test.ts": 5,
  "test/fault/secrets.test.ts": 5,
  "test/fault/simulation.test.ts": 100,
  "test/fault/storm.test.ts": 20,
  "test/fault/terminal-safety.test.ts": 10,
};

/** A file of the suite, or the `piece`-th of `pieces` of it. */
interface Part {
  readonly file: string;
  readonly piece: number;
  readonly pieces: number;
}

interface KeptLine {
  readonly file: string;
  readonly piece: number;
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
      table: { type: "boolean", default: false },
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
  const all = await faultFiles();
  const files = all.filter((file) => values.only.length === 0 || values.only.some((word) => file.includes(word)));
  const parts = partsOf(files, values.long);
  if (!values.table) {
    if (values.fresh || !values.long) rmSync(kept, { force: true });
    await buildBinary();
    const through = new Set(readKept(kept).map(nameOf));
    const queue = parts.filter((part) => !through.has(nameOf(part))).values();
    const lane = async (): Promise<void> => {
      for (const part of queue) await runOne(part, { form, counts: values.counts, kept });
    };
    await Promise.all(Array.from({ length: jobs }, lane));
  }
  const lines = readKept(kept).filter((line) => files.includes(line.file));
  console.log(`\n${table(lines)}`);
  const left = parts.length - lines.length;
  const failed = lines.reduce((sum, line) => sum + line.failed, 0);
  console.log(
    `${lines.reduce((sum, line) => sum + line.passed, 0)} passed, ${failed} failed${left > 0 ? `; ${left} of ${parts.length} parts are left` : ""}`,
  );
  return failed === 0 && left === 0 ? 0 : 1;
}

/** Every file once, then what more pieces there are, a round after the other. */
function partsOf(files: readonly string[], isLong: boolean): Part[] {
  const most = isLong ? Math.max(1, ...Object.values(PIECES)) : 1;
  return Array.from({ length: most }, (_, index) => index + 1).flatMap((piece) =>
    files.flatMap((file) => {
      const pieces = isLong ? (PIECES[file] ?? 1) : 1;
      return piece <= pieces ? [{ file, piece, pieces }] : [];
    }),
  );
}

function nameOf({ file, piece }: { readonly file: string; readonly piece: number }): string {
  return `${file} ${piece}`;
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

async function runOne({ file, piece, pieces }: Part, { form, counts, kept }: OneRun): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "expj-fault-"));
  const reportFile = join(folder, "figures.jsonl");
  const environment = {
    EXPJOB_FAULT_FORM: form,
    EXPJOB_FAULT_COUNTS: counts,
    EXPJOB_FAULT_PIECES: `${pieces}`,
    EXPJOB_FAULT_REPORT: reportFile,
  };
  const limitMs = form === "long" ? 12 * 3_600_000 : 480_000;
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
  console.log(
    `${failed === 0 ? "pass" : "FAIL"}    ${file}${pieces === 1 ? "" : `, piece ${piece} of ${pieces}`} (${passed} passed, ${failed} failed, ${(durationMs / 1000).toFixed(0)} s)`,
  );
  if (failed > 0) console.log(`${faults.join("\n")}\n${output}`);
  // One that failed is tried again at the next call.
  if (failed === 0) appendFileSync(kept, `${JSON.stringify({ file, piece, passed, failed, skipped, figures } satisfies KeptLine)}\n`);
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

/** A row for each figure; the pieces of a file are added up, and the words are those of the last. */
function table(lines: readonly KeptLine[]): string {
  const byName = Map.groupBy(
    lines.flatMap(({ figures }) => figures),
    ({ name }) => name,
  );
  const rows = [...byName].map(([name, figures]) => {
    const sum = (of: "count" | "violations" | "seconds"): number => figures.reduce((total, figure) => total + figure[of], 0);
    const seed = figures[0]?.seed;
    const seeds = seed === null || seed === undefined ? "" : `${seed}${figures.length === 1 ? "" : ` and ${figures.length - 1} more`}`;
    const words = figures.at(-1)?.note ?? "";
    const note = words === "" || figures.length === 1 ? words : `of the last piece: ${words}`;
    return `| ${name} | ${sum("count").toLocaleString("en")} | ${sum("violations")} | ${seeds} | ${sum("seconds").toFixed(1)} | ${note} |`;
  });
  return ["| test | count | violations | seed | seconds | |", "| --- | ---: | ---: | ---: | ---: | --- |", ...rows].join("\n");
}

process.exit(await main());
