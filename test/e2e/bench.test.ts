/** The benches are run by hand: here only that they still run, small, and say what they should. */
import { expect, test } from "bun:test";
import { join, resolve } from "node:path";
import { run } from "../support/daemon.ts";

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
}, 60_000);

test("a bench that does not exist is named, with those that do", async () => {
  const answer = await run([process.execPath, join(root, "test/bench/bench.ts"), "jbos"], { cwd: root, env: definedEnvironment() });
  expect(answer.code).toBe(2);
  expect(answer.stderr).toContain('no bench "jbos"');
  expect(answer.stderr).toContain("start-up, matrix");
});

function definedEnvironment(): Record<string, string> {
  return Object.fromEntries(Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}
