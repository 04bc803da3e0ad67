/**
 * Runs one test file in a process of its own and says truthfully how it went. A file that crashes, hangs,
 * exits early, holds no test or leaves processes behind has failed, whatever Bun's exit code says: a test
 * that calls `process.exit(0)` would otherwise look like success.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

export interface TestFileOptions {
  /** The folder in which `bun test` runs. */
  readonly root: string;
  /** Relative to `root`. */
  readonly file: string;
  /** An absent folder for this file alone: its TMPDIR, removed at the end. */
  readonly folder: string;
  readonly testTimeoutMs: number;
  readonly fileTimeoutMs: number;
  /** More variables for it. Others of ours do not reach it. */
  readonly environment?: Readonly<Record<string, string>>;
}

export interface TestFileResult {
  readonly file: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** What went wrong beside the tests themselves; each counts as one failure. */
  readonly faults: readonly string[];
  /** Entries that the file left in its TMPDIR. */
  readonly leftFiles: readonly string[];
  readonly output: string;
  readonly durationMs: number;
}

/** Every process that a test starts inherits it, unless it clears its environment. */
const markerName = "EXPJOBSERVER_TEST_FILE";
const leftoverGraceMs = 3_000;

const running = new Set<Bun.Subprocess>();

/** A file whose header says `Needs sshd.` has nothing to test without it. @returns what is missing, or null */
export function missingNeed(source: string, has: (program: string) => boolean): string | null {
  const header = source.slice(0, source.indexOf("*/") + 1);
  const need = /\bNeeds ([a-z]+)\./.exec(header)?.[1];
  return need === undefined || has(need) ? null : need;
}

/** Runs the file to its end, or to `fileTimeoutMs`. Never rejects for what the tests do. */
export async function runTestFile(options: TestFileOptions): Promise<TestFileResult> {
  const startedAt = performance.now();
  const temporary = join(options.folder, "tmp");
  // Like /tmp: tests also act as another user of the host.
  mkdirSync(temporary, { recursive: true, mode: 0o1777 });
  const junitFile = join(options.folder, "junit.xml");
  const marker = `${process.pid}.${options.folder}`;
  const child = Bun.spawn(
    [
      process.execPath,
      "test",
      `--timeout=${options.testTimeoutMs}`,
      "--reporter=junit",
      `--reporter-outfile=${junitFile}`,
      `./${options.file}`,
    ],
    {
      cwd: options.root,
      env: { ...cleanEnvironment(), ...options.environment, TMPDIR: temporary, [markerName]: marker },
      stdio: ["ignore", "pipe", "pipe"],
      // A group of its own, so that a hanging file can be ended with its children.
      detached: true,
    },
  );
  running.add(child);
  const faults: string[] = [];
  const timer = setTimeout(() => {
    faults.push(`did not end within ${options.fileTimeoutMs / 1000} s`);
    endGroup(child, "SIGKILL");
  }, options.fileTimeoutMs);
  // The pipes are read beside, not awaited without end: a leftover process could hold them open.
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  await child.exited;
  clearTimeout(timer);
  running.delete(child);
  const left = await endLeftovers(marker);
  await Promise.race([Promise.all([stdout.end, stderr.end]), Bun.sleep(leftoverGraceMs)]);
  const output = `${stdout.text()}${stderr.text()}`.trim();

  const counts = countCases(readIfThere(junitFile), output);
  if (faults.length === 0) faults.push(...faultsOf(counts, child, output));
  if (left.length > 0) faults.push(`left processes behind: ${left.join("; ")}`);
  const leftFiles = readdirSync(temporary);
  rmSync(options.folder, { recursive: true, force: true });
  return {
    file: options.file,
    passed: counts.passed,
    failed: counts.failed + faults.length,
    skipped: counts.skipped,
    faults,
    leftFiles,
    output,
    durationMs: performance.now() - startedAt,
  };
}

/** Ends all files that run now, with their process groups; for when the runner itself is told to stop. */
export function endRunningFiles(): void {
  for (const child of running) endGroup(child, "SIGKILL");
}

interface CaseCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly isComplete: boolean;
}

/** Text is escaped in the report, so a tag in it is a tag. Without a report, what was printed before the crash counts. */
function countCases(junit: string | undefined, output: string): CaseCounts {
  if (junit === undefined) {
    return { passed: countOf(/^\(pass\) /gm, output), failed: countOf(/^\(fail\) /gm, output), skipped: 0, isComplete: false };
  }
  const all = countOf(/<testcase /g, junit);
  const failed = countOf(/<(failure|error)[ />]/g, junit);
  const skipped = countOf(/<skipped[ />]/g, junit);
  return { passed: all - failed - skipped, failed, skipped, isComplete: true };
}

function faultsOf(counts: CaseCounts, child: Bun.Subprocess, output: string): string[] {
  const { exitCode, signalCode: signal } = child;
  const how = signal === null ? `exit code ${exitCode}` : `signal ${signal}`;
  if (!counts.isComplete && exitCode === 0 && /^Ran 0 tests /m.test(output)) return ["holds no test"];
  if (!counts.isComplete) return counts.failed > 0 && exitCode === 1 ? [] : [`ended before its tests were done (${how})`];
  if (counts.passed + counts.failed + counts.skipped === 0) return ["holds no test"];
  if (exitCode !== 0 && counts.failed === 0) return [`failed outside its tests (${how})`];
  return [];
}

function countOf(pattern: RegExp, text: string): number {
  return text.match(pattern)?.length ?? 0;
}

/** What the caller's shell is set to must not change what the tests see. */
function cleanEnvironment(): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value === undefined) continue;
    if (/^(EXPJOB|XDG_|npm_|BUN_)/.test(name)) continue;
    if (["NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "SSH_AUTH_SOCK", "NODE_OPTIONS"].includes(name)) continue;
    kept[name] = value;
  }
  return kept;
}

/** Processes that outlive their test file are ended and named. Linux only: elsewhere nothing is found. */
async function endLeftovers(marker: string): Promise<string[]> {
  const deadline = performance.now() + leftoverGraceMs;
  let left = findMarked(marker);
  while (left.length > 0 && performance.now() < deadline) {
    await Bun.sleep(50);
    left = findMarked(marker);
  }
  for (const { pid } of left) signalIfThere(pid, "SIGKILL");
  // Their death is not instant; they must be gone before the next file is judged.
  const killDeadline = performance.now() + leftoverGraceMs;
  while (findMarked(marker).length > 0 && performance.now() < killDeadline) await Bun.sleep(10);
  return left.map(({ pid, command }) => `${pid} ${command}`);
}

function findMarked(marker: string): { pid: number; command: string }[] {
  if (!existsSync("/proc/self/environ")) return [];
  const found: { pid: number; command: string }[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const environment = readIfThere(`/proc/${name}/environ`);
    if (environment === undefined || !environment.split("\0").includes(`${markerName}=${marker}`)) continue;
    const words = (readIfThere(`/proc/${name}/cmdline`) ?? "").split("\0").join(" ").trim();
    found.push({ pid: Number(name), command: words.slice(0, 120) });
  }
  return found;
}

function endGroup(child: Bun.Subprocess, signal: NodeJS.Signals): void {
  signalIfThere(-child.pid, signal);
}

function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

/** Absent, gone in between, or another user's: nothing to read. */
function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function collect(stream: ReadableStream<Uint8Array>): { text(): string; end: Promise<void> } {
  const decoder = new TextDecoder();
  let text = "";
  const read = async () => {
    for await (const chunk of stream) text += decoder.decode(chunk, { stream: true });
  };
  return { text: () => text, end: read() };
}
