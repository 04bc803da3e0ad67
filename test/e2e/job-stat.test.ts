/** `job stat` on the built binary, with jobs that ran, results that were copied and programs that are real. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run, TestDaemon } from "../support/daemon.ts";

let daemon: TestDaemon;
const inFolder = (name: string): string => join(daemon.folder, name);

/** Jobs 0 and 1 with two result files each, 2 with one file, 3 failed, 4 done without results, matrix 5 of 6-9. */
beforeAll(async () => {
  daemon = await TestDaemon.start();
  await daemon.ok("machine", "add", "local", "here");
  const twoFiles = "touch out{JID}.json out{JID}.log; echo RESULTS: $PWD/out{JID}";
  await daemon.ok("job", "add", "here", twoFiles, inFolder("results"), "-x", "2");
  await daemon.ok("job", "add", "here", "echo x >one.csv; echo RESULTS: one.csv", inFolder("results"));
  await daemon.ok("job", "add", "here", "printf '\\033[31mred\\n'; exit 3");
  await daemon.ok("job", "add", "here", 'true # \u202e, "quoted"\t=1+1');
  await daemon.ok("job", "matrix", "add", "here", "echo {A} {B}", inFolder("matrix"), "A=1,2", "B=x,y");
  await daemon.j("job", "wait", "0-9", "--timeout", "60s");
}, 90_000);
afterAll(() => daemon[Symbol.asyncDispose]());

function program(name: string, text: string): string {
  const path = inFolder(name);
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o700);
  return path;
}

async function stat(...words: string[]): Promise<string> {
  return await daemon.ok("job", "stat", ...words);
}

describe("job stat", () => {
  test("gives what a script of the old system asked for, in its spelling", async () => {
    const csv = await stat("--only_done", "--after", "0", "--csv", "--jid", "--results_path", ".json", "--cmd", "--matrix");
    expect(csv.split("\n").slice(0, 3)).toEqual([
      "jid,results_path,cmd,matrix",
      `0,${inFolder("results/out0.json")},touch out{JID}.json out{JID}.log; echo RESULTS: $PWD/out{JID},`,
      `1,${inFolder("results/out1.json")},touch out{JID}.json out{JID}.log; echo RESULTS: $PWD/out{JID},`,
    ]);
    expect(existsSync(inFolder("results/out0.json"))).toBe(true);
    expect(await stat("--text", "--no_headers", "--id", "0", "2", "3", "--results_path", "", "--status")).toBe(
      `${inFolder("results/out0")}\tdone\n${inFolder("results/one.csv")}\tdone\n\tfailed`,
    );
    const jobs = JSON.parse(await stat("--id", "5", "--json", "--jid", "--vars", "--starttime", "--duration")) as Record<string, unknown>[];
    expect(jobs.map((job) => [job["jid"], job["variables"]])).toEqual([
      [6, { A: "1", B: "x" }],
      [7, { A: "1", B: "y" }],
      [8, { A: "2", B: "x" }],
      [9, { A: "2", B: "y" }],
    ]);
    expect(jobs[0]?.["start"]).toBe(jobs[0]?.["started"]);
    expect(typeof jobs[0]?.["duration"]).toBe("number");
  });

  test("pipes columns and jobs through programs, and keeps what they add", async () => {
    const base = program("base", "sed 's,.*/,,'");
    const size = program("size", `path=$(cat); set -- $path; printf '{"jid":0,"error":"none","bytes":"%s"}' "$(printf '%s' "$1" | wc -c)"`);
    expect(await stat("--id", "0-2", "--csv", "--jid", "--results-path", ".json", "--results_path_map", base)).toBe(
      "jid,results_path\n0,out0.json\n1,out1.json\n2,one.csv.json",
    );
    expect(await stat("--id", "0", "--csv", "--jid", "--error", "--mapper", size)).toMatch(/^jid,error,bytes\n0,none,\d+$/);
  });

  test("names the job whose program failed, prints the others and exits with 1", async () => {
    const odd = program("odd", `read -r jid; [ "$jid" != 7 ] || { echo "no seven" >&2; exit 9; }; echo "<$jid>"`);
    const answer = await daemon.j("job", "stat", "--id", "5", "--csv", "--jid", "--jid-map", odd);
    expect([answer.code, answer.stdout]).toEqual([1, "jid\n<6>\n<8>\n<9>\n"]);
    expect(answer.stderr).toContain(`The mapper "${odd}" failed for job 7: exit code 9.`);
    expect(answer.stderr).toContain("no seven\n");
  });

  test("finds results that were moved by hand", async () => {
    mkdirSync(inFolder("archive/2026"), { recursive: true });
    renameSync(inFolder("results/one.csv"), inFolder("archive/2026/one.csv"));
    renameSync(inFolder("results/out1.log"), inFolder("archive/out1.log"));
    const path = async (id: string, suffix: string, ...dirs: string[]): Promise<string> =>
      await stat("--id", id, "--no-headers", "--results-path", suffix, ...dirs.flatMap((dir) => ["--alt-paths", dir]));
    const dirs = [inFolder("nowhere"), "archive", inFolder("archive/2026")];
    expect(await path("2", "", ...dirs)).toBe(inFolder("archive/2026/one.csv"));
    expect(await path("1", ".log", ...dirs)).toBe(inFolder("archive/out1.log"));
    expect(await path("1", ".json", ...dirs)).toBe(inFolder("results/out1.json"));
    expect(await path("0", ".gone", ...dirs)).toBe(inFolder("results/out0.gone"));
  });

  test("follows a file that had to make room for another job's", async () => {
    await daemon.ok("job", "add", "here", "echo other >two.csv; echo RESULTS: two.csv", inFolder("results"));
    await daemon.ended(10);
    await daemon.ok("job", "add", "here", "echo newer >two.csv; echo RESULTS: two.csv", inFolder("results"));
    await daemon.ended(11);
    const path = async (...words: string[]): Promise<string[]> =>
      (await stat("--id", "10", "11", "--no-headers", "--results-path", ...words)).split("\n");
    const [older, newer] = await path("");
    expect([readFileSync(older ?? "", "utf8"), readFileSync(newer ?? "", "utf8")]).toEqual(["other\n", "newer\n"]);
    expect(newer).toBe(inFolder("results/two.csv"));
    await daemon.ok("job", "add", "here", "echo more >two.csv.a; touch two.csv.b; echo RESULTS: two.csv.", inFolder("results"));
    await daemon.ok("job", "add", "here", "echo most >two.csv.a; touch two.csv.b; echo RESULTS: two.csv.", inFolder("results"));
    await daemon.j("job", "wait", "12", "13");
    const several = (await stat("--id", "12", "13", "--no-headers", "--results-path", "a")).split("\n");
    expect(several.map((name) => readFileSync(name, "utf8"))).toEqual(["more\n", "most\n"]);
  });

  test("keeps hostile text in its cell, as it is", async () => {
    const cmd = 'true # \u202e, "quoted"\t=1+1';
    expect(await stat("--id", "4", "--csv", "--cmd")).toBe(`cmd\n"${cmd.replaceAll('"', '""')}"`);
    expect(await stat("--id", "4", "--no-headers", "--cmd")).toBe(cmd.replace("\t", "\\t"));
    expect(JSON.parse(await stat("--id", "4", "--json", "--cmd"))).toEqual([{ cmd }]);
  });

  test("gives twenty thousand jobs whole, and a reader that stops hears nothing", async () => {
    await daemon.ok("job", "add", "nowhere", "bench {JID}", "-x", "20000");
    const csv = await stat("--after", "14", "--csv", "--jid", "--status");
    expect(csv.split("\n").length).toBe(20_001);
    expect(csv.endsWith("20013,waiting")).toBe(true);
    const shell = `"${daemon.binary.j}" job stat --after 0 --json 2>errors | head -c 10; cat errors`;
    const { stdout } = await run(["sh", "-c", shell], { cwd: daemon.folder, env: daemon.environment });
    expect(stdout).toBe('[{"jid":0,');
  }, 120_000);
});
