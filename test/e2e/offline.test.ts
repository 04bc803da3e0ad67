/** The offline commands on the built binary: the old system's jobs come over, a state moves house, and check tells what is wrong. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { appendFileSync, chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Answer, run, TestDaemon } from "../support/daemon.ts";

const fixture = Buffer.from(readFileSync(join(import.meta.dir, "../offline/fixtures/server-snapshot.base64"), "latin1"), "base64");

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.prepare();
}, 120_000);
afterAll(async () => await daemon[Symbol.asyncDispose]());

/** `expjobserver …` */
async function offline(...words: readonly string[]): Promise<Answer> {
  return await run([daemon.binary.expjobserver, ...words], { cwd: daemon.folder, env: daemon.environment });
}

describe("expjobserver import", () => {
  test("brings in the old jobs: listings, details, the matrix as CSV, and held jobs that can be let go", async () => {
    const file = join(daemon.folder, "server-snapshot");
    writeFileSync(file, fixture);
    const dry = await offline("import", file, "--dry-run");
    expect([dry.code, dry.stdout.split("\n")[0]]).toEqual([
      0,
      "Would come in: 28 jobs (3 held, 12 done, 11 failed, 2 canceled), 1 matrix, 1 tag, 5 machines, 2 variables.",
    ]);
    expect(existsSync(daemon.stateDir)).toBe(false);
    const { code, stdout } = await offline("import", "server-snapshot");
    expect(code).toBe(0);
    expect(stdout).toContain("Ids are kept: 0 to 30. The next one is 31.");
    expect(stdout).toContain("`j job unhold 9-10 30` lets them go");

    await daemon.start();
    expect(await daemon.ok("job", "ls")).toContain("28 jobs: 0 waiting, 3 held, 0 running, 12 done, 11 failed, 2 canceled");
    expect(await daemon.show(1)).toMatchObject({ status: "failed", exit_code: 3, machine: "host1:22", attempt: 1 });
    expect((await daemon.show(27)).error).toContain("It was running in the old system when it was imported");
    const csv = (await daemon.ok("job", "matrix", "csv", "12")).split("\n");
    expect([csv.length, csv[0]]).toEqual([13, "jid,N,K,WHO,status,machine,duration,results_path"]);
    expect(csv[1]).toStartWith("13,1,x,world,done,");
    expect(await daemon.ok("job", "unhold", "9")).toContain("Let go of job 9");
    expect(await daemon.ok("machine", "ls")).toContain("host1:22");

    const beside = await offline("import", "server-snapshot");
    expect([beside.code, beside.stderr]).toEqual([5, expect.stringContaining("A server runs on this state")]);
    await daemon.stop();
    const again = await offline("import", "server-snapshot");
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining("was imported before. Nothing was changed.")]);
  }, 120_000);

  test("a file that is something else is one clear line and exit code 1", async () => {
    writeFileSync(join(daemon.folder, "other"), "not a snapshot\n");
    const { code, stderr } = await offline("import", "other");
    expect([code, stderr.split("\n")[0]]).toEqual([1, expect.stringContaining("is no whole snapshot of the old system")]);
    expect((await offline("import", "missing")).stderr).toContain("cannot be read (ENOENT)");
    expect((await offline("import")).code).toBe(2);
  });

  test("killed at any moment, all of it is there or nothing", async () => {
    for (const delayMs of [5, 40, 70, 100, 130, 160, 200, 250]) {
      const stateDir = join(daemon.folder, `killed-${delayMs}`);
      const words = [daemon.binary.expjobserver, "import", "server-snapshot", "--state-dir", stateDir];
      const child = Bun.spawn(words, { cwd: daemon.folder, env: daemon.environment, stdio: ["ignore", "ignore", "ignore"] });
      const timer = setTimeout(() => child.kill("SIGKILL"), delayMs);
      await child.exited;
      clearTimeout(timer);
      const { code, stdout } = await offline("import", "server-snapshot", "--state-dir", stateDir);
      // Either this one brings it in, or the killed one had.
      expect(code === 0 || code === 1, stdout).toBe(true);
      const checked = await offline("check", "--state-dir", stateDir, "--known-hosts", "/dev/null", "--json");
      expect(JSON.parse(checked.stdout)).toMatchObject({ checked: { jobs: 28 } });
      expect(checked.code, checked.stdout).toBe(0);
    }
  }, 120_000);
});

test("state export and import: on the other side the same jobs, byte for byte as JSON", async () => {
  await using home = await TestDaemon.start();
  await home.ok("machine", "add", "local", "desk");
  await home.ok("var", "set", "WHO", "world");
  const jid = await home.add("desk", "echo {WHO}; exit 3");
  await home.ended(jid);
  await home.ok("job", "matrix", "add", "nowhere", "run {N}", "N=1,2,3");
  const there = await home.ok("job", "ls", "-a", "0", "--json");
  const file = join(home.folder, "state.toml");
  const expjobserver = home.binary.expjobserver;
  const beside = await run([expjobserver, "state", "export", file], { cwd: home.folder, env: home.environment });
  expect([beside.code, beside.stderr]).toEqual([0, expect.stringContaining("A server runs on this state")]);
  await home.stop();
  const piped = await run([expjobserver, "state", "export", "-"], { cwd: home.folder, env: home.environment });
  expect(piped.stdout).toContain("[[jobs]]");

  await using away = await TestDaemon.prepare({ binary: home.binary });
  writeFileSync(join(away.folder, "moved.toml"), piped.stdout);
  const moved = await run([expjobserver, "state", "import", "moved.toml"], { cwd: away.folder, env: away.environment });
  expect([moved.code, moved.stderr]).toEqual([0, ""]);
  await away.start();
  expect(await away.ok("job", "ls", "-a", "0", "--json")).toBe(there);
  expect(await away.add("nowhere", "next")).toBe(5);
  await away.stop();
  const again = await run([expjobserver, "state", "import", "moved.toml"], { cwd: away.folder, env: away.environment });
  expect([again.code, again.stderr]).toEqual([1, expect.stringContaining("holds a state already")]);
}, 120_000);

test("expjobserver check: well beside a server and without, then each damage with its exit code", async () => {
  await using home = await TestDaemon.start();
  const check = async (...more: readonly string[]): Promise<Answer> =>
    await run([home.binary.expjobserver, "check", "--known-hosts", "/dev/null", "--log-dir", home.logDir, ...more], {
      cwd: home.folder,
      env: home.environment,
    });
  await home.ok("machine", "add", "local", "desk");
  await home.ended(await home.add("desk", "true"));
  const beside = await check();
  expect([beside.code, beside.stdout]).toEqual([0, expect.stringContaining(`a server runs on it, process ${home.pid}`)]);
  await home.stop();
  expect(await check()).toMatchObject({ code: 0, stdout: expect.stringMatching(/^All is well: /) });

  chmodSync(join(home.stateDir, "token"), 0o644);
  const [serverId = ""] = readdirSync(join(home.stateDir, "runs"));
  mkdirSync(join(home.stateDir, "runs", serverId, "7.0.ab"));
  const needed = await check();
  expect(needed.code).toBe(1);
  expect(needed.stdout.split("\n").slice(0, 2)).toEqual([
    expect.stringMatching(/^Look at: ".*token" has mode 644: others can get at it\. chmod 600 \//),
    expect.stringMatching(/^Look at: ".*7\.0\.ab" is of job 7, which was never queued here\./),
  ]);
  const json = JSON.parse((await check("--json")).stdout) as { findings: { code: string; hint: string }[] };
  expect(json.findings.map(({ code }) => code)).toEqual(["open-to-others", "run-of-no-job"]);

  appendFileSync(join(home.stateDir, "snapshot.toml"), "edited\n");
  const damaged = await check();
  expect([damaged.code, damaged.stdout]).toEqual([7, expect.stringMatching(/^Damaged: The snapshot ".*snapshot\.toml" is damaged/)]);
}, 120_000);
