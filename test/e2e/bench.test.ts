/** The benches are run by hand: here only that they still run, small, and say what they should. */
import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { buildTestBinary } from "../support/binary.ts";
import { run } from "../support/daemon.ts";
import { waitFor } from "../support/wait-for.ts";

const root = resolve(import.meta.dir, "../..");

test("a quick bench of jobs and start-up gives a row for each figure", async () => {
  const words = [process.execPath, join(root, "test/bench/bench.ts"), "--quick", "--json", "jobs", "start-up"];
  const answer = await run(words, { cwd: root, env: definedEnvironment() });
  expect({ code: answer.code, stderr: answer.stderr }).toEqual({ code: 0, stderr: "bench jobs …\nbench start-up …\n" });
  const { rows } = JSON.parse(answer.stdout) as { rows: { what: string; ours: { median: number }; ratio: { median: number } | null }[] };
  expect(rows.map((row) => row.what)).toEqual([
    "no-op jobs, local, 16 slots",
    "processor time of server and job together, a job",
    "processor time of the server alone, a job",
    "j --version",
    "j ping",
    "j job ls, 50 jobs",
    "j job add",
  ]);
  expect(rows.filter((row) => !(row.ours.median > 0) || !(row.ratio === null || row.ratio.median > 0))).toEqual([]);
  expect(rows.filter((row) => row.ratio === null).map((row) => row.what)).toEqual(["processor time of the server alone, a job"]);
}, 120_000);

test("a peer that is not here is named with the reason, and nothing is installed when it is not wanted", async () => {
  const cache = mkdtempSync(join(tmpdir(), "expjob-bench-cache-"));
  try {
    const environment = { ...definedEnvironment(), XDG_CACHE_HOME: cache, EXPJOB_BENCH_INSTALL: "0" };
    const answer = await run([process.execPath, join(root, "test/bench/bench.ts"), "--quick", "matrix"], { cwd: root, env: environment });
    expect({ code: answer.code, stderr: answer.stderr }).toEqual({ code: 0, stderr: "bench matrix …\n" });
    expect(answer.stdout).toContain("| the old j job matrix ls: not here");
    expect(answer.stdout).toContain("- the old j job matrix ls: not here, not in the cache, and nothing is to be installed");
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}, 120_000);

test("a bench that is interrupted leaves neither files nor processes", async () => {
  await buildTestBinary();
  const folder = mkdtempSync(join(tmpdir(), "expjob-bench-interrupted-"));
  try {
    const child = Bun.spawn([process.execPath, join(root, "test/bench/bench.ts"), "turnaround"], {
      cwd: root,
      env: { ...definedEnvironment(), TMPDIR: folder },
      stdio: ["ignore", "ignore", "ignore"],
    });
    const servers = (): string[] =>
      readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith("/state/token"));
    await waitFor(() => servers().length > 0, { timeoutMs: 30_000 });
    child.kill("SIGTERM");
    await child.exited;
    expect(child.signalCode).toBe("SIGTERM");
    expect(readdirSync(folder)).toEqual([]);
    const environments = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
    expect(environments.filter((pid) => lives(pid, folder))).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 120_000);

function lives(pid: string, folder: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, "latin1").includes(folder);
  } catch {
    // Gone, or another user's.
    return false;
  }
}

test("a bench that does not exist is named, with those that do", async () => {
  const answer = await run([process.execPath, join(root, "test/bench/bench.ts"), "jbos"], { cwd: root, env: definedEnvironment() });
  expect(answer.code).toBe(2);
  expect(answer.stderr).toContain('no bench "jbos"');
  expect(answer.stderr).toContain("start-up, matrix");
});

function definedEnvironment(): Record<string, string> {
  return Object.fromEntries(Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}
