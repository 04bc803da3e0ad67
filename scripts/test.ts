/**
 * `npm test`: types, lint, the binary, then every test file; the last line is `N passed, N failed`.
 *
 *   npm test                      everything except test/bench/ and *.long.test.ts
 *   npm test -- test/core e2e     only the files whose path contains one of the words; no gates
 *   npm test -- --long            the long fault forms as well
 *   npm test -- --jobs 1          one file at a time (default: 3: many of them wait for something most of the time)
 *
 * A gate and the build count as one test each. What went well is one line a file; what failed is shown whole.
 */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { buildBinary } from "./build-binary.ts";
import { describeGate, gates, runGate } from "./check.ts";
import { endRunningFiles, missingNeed, runTestFile, type TestFileResult } from "./test-file.ts";

const root = resolve(import.meta.dir, "..");
const testTimeoutMs = 90_000;
const fileTimeoutMs = 480_000;
/** Debian keeps sshd where an ordinary user's PATH does not lead. */
const searchPath = `${process.env.PATH ?? ""}:/usr/sbin:/usr/local/sbin:/sbin`;
/** The slow folders first, so that no long file runs alone at the end. */
const slowFolders = ["test/fault/", "test/e2e/", "test/contract/", "test/daemon/"];

interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    args: process.argv.slice(2),
    allowPositionals: true,
    options: { long: { type: "boolean", default: false }, jobs: { type: "string", default: "3" } },
  });
  const jobs = Number(values.jobs);
  if (!Number.isInteger(jobs) || jobs < 1) throw new Error(`--jobs takes a number from 1, not "${values.jobs}".`);
  const startedAt = performance.now();
  const totals: Totals = { passed: 0, failed: 0, skipped: 0 };
  const files = await chooseFiles(positionals, values.long);
  if (positionals.length === 0) {
    await runGates(totals);
    await runBuild(totals);
  }
  await runFiles(files, jobs, totals);
  console.log(`${files.length} test files, ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
  const skipped = totals.skipped === 0 ? "" : `, ${totals.skipped} skipped`;
  console.log(`${totals.passed} passed, ${totals.failed} failed${skipped}`);
  return totals.failed === 0 && totals.passed > 0 ? 0 : 1;
}

async function chooseFiles(words: readonly string[], withLong: boolean): Promise<string[]> {
  const all = (await Array.fromAsync(new Bun.Glob("test/**/*.test.ts").scan({ cwd: root }))).sort();
  const named = (file: string) => words.some((word) => file.includes(word.replace(/^\.\//, "")));
  const unknown = words.filter((word) => !all.some((file) => file.includes(word.replace(/^\.\//, ""))));
  if (unknown.length > 0) throw new Error(`No test file has "${unknown.join('", "')}" in its path.`);
  const chosen = all.filter((file) => {
    if (words.length > 0) return named(file);
    return !file.startsWith("test/bench/") && (withLong || !file.endsWith(".long.test.ts"));
  });
  const weight = (file: string) => {
    const index = slowFolders.findIndex((folder) => file.startsWith(folder));
    return index === -1 ? slowFolders.length : index;
  };
  return chosen.sort((a, b) => weight(a) - weight(b));
}

async function runGates(totals: Totals): Promise<void> {
  for (const gate of gates.filter(({ name }) => name === "types" || name === "lint")) {
    const result = await runGate(gate);
    console.log(describeGate(result));
    if (result.passed) totals.passed += 1;
    else totals.failed += 1;
  }
}

async function runBuild(totals: Totals): Promise<void> {
  try {
    const { durationMs, rebuilt } = await buildBinary();
    console.log(`pass  build (${rebuilt ? `${(durationMs / 1000).toFixed(1)} s` : "up to date"})`);
    totals.passed += 1;
  } catch (error) {
    console.log(`FAIL  build\n      ${error instanceof Error ? error.message : String(error)}`);
    totals.failed += 1;
  }
}

/** `jobs` files at a time, each in a process of its own, so that no file sees another's leftovers. */
async function runFiles(files: readonly string[], jobs: number, totals: Totals): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "expj-test-"));
  chmodSync(folder, 0o755);
  const stop = (signal: NodeJS.Signals) => {
    endRunningFiles();
    rmSync(folder, { recursive: true, force: true });
    process.kill(process.pid, signal);
  };
  const signals: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.once(signal, () => stop(signal));
  let next = 0;
  const work = async () => {
    for (let index = next++; index < files.length; index = next++) {
      const file = files[index];
      if (file === undefined) break;
      const missing = missingNeed(await Bun.file(join(root, file)).text(), (program) => Bun.which(program, { PATH: searchPath }) !== null);
      if (missing !== null) {
        totals.skipped += 1;
        console.log(`SKIP  ${file}: ${missing} is not installed here, and nothing else will do`);
        continue;
      }
      const result = await runTestFile({ root, file, folder: join(folder, String(index)), testTimeoutMs, fileTimeoutMs });
      totals.passed += result.passed;
      totals.failed += result.failed;
      totals.skipped += result.skipped;
      console.log(describeFile(result));
    }
  };
  try {
    await Promise.all(Array.from({ length: jobs }, work));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function describeFile(result: TestFileResult): string {
  const counts = [
    `${result.passed} passed`,
    ...(result.failed > 0 ? [`${result.failed} failed`] : []),
    ...(result.skipped > 0 ? [`${result.skipped} skipped`] : []),
  ].join(", ");
  const lines = [`${result.failed === 0 ? "pass" : "FAIL"}  ${result.file}: ${counts} (${(result.durationMs / 1000).toFixed(1)} s)`];
  if (result.failed > 0) lines.push(result.output.replaceAll(/^/gm, "      "));
  for (const fault of result.faults) lines.push(`      ${result.file} ${fault}`);
  if (result.leftFiles.length > 0)
    lines.push(`      note: ${result.file} left files in TMPDIR: ${result.leftFiles.slice(0, 5).join(", ")}`);
  return lines.join("\n");
}

if (import.meta.main) {
  try {
    process.exit(await main());
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    console.log("0 passed, 1 failed");
    process.exit(1);
  }
}
