/** What keeps a server from starting, and what it starts in spite of: one clear line, the right exit code, nothing lost. */
import { expect, test } from "bun:test";
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { type Answer, run, TestDaemon } from "../support/daemon.ts";
import { freePort } from "../support/free-port.ts";
import { waitFor } from "../support/wait-for.ts";

/** What went wrong in one line, what to do in the next. */
function expectTwoLines(answer: Answer, message: string, hint: string): void {
  const lines = answer.stderr.trimEnd().split("\n").slice(-2);
  expect(lines[0]).toContain(message);
  expect(lines[1]).toContain(hint);
}

test("a bad config: the key, the nearest valid one, exit 2, and nothing is made", async () => {
  await using daemon = await TestDaemon.prepare({ config: 'log_dirr = "x"\n' });
  const answer = await daemon.startToFail();
  expect(answer.code).toBe(2);
  expectTwoLines(answer, 'there is no key "log_dirr"', "log_dir");
  expect(existsSync(daemon.stateDir)).toBe(false);
  writeFileSync(join(daemon.folder, "config.toml"), "[limits]\nqueued_jobs = 0\n");
  const zero = await daemon.startToFail();
  expect(zero.code).toBe(2);
  expectTwoLines(zero, "limits.queued_jobs is 0", "above 0");
  writeFileSync(join(daemon.folder, "config.toml"), "[limits\n");
  const broken = await daemon.startToFail();
  expect(broken.code).toBe(2);
  expectTwoLines(broken, "is not valid TOML: line 1", "Correct that line");
});

test("a taken port: exit 6, and who holds it", async () => {
  await using daemon = await TestDaemon.prepare();
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(daemon.port, "127.0.0.1", resolve));
  try {
    const answer = await daemon.startToFail();
    expect(answer.code).toBe(6);
    expectTwoLines(answer, `${daemon.address} is taken by process ${process.pid}`, "--address");
    expect(answer.stderr.trimEnd().split("\n")).toHaveLength(2);
  } finally {
    other.close();
  }
  await daemon.start();
  expect((await daemon.j("ping")).code).toBe(0);
});

test("a second daemon on the same state: exit 5 within a second, and it names the first", async () => {
  await using daemon = await TestDaemon.start();
  const elsewhere = `127.0.0.1:${await freePort("127.0.0.1")}`;
  let quickestMs = Number.POSITIVE_INFINITY;
  // More than once, for hosts that are busy with something else.
  for (let attempt = 0; attempt < 10 && quickestMs >= 1_000; attempt++) {
    const startedAt = performance.now();
    const second = await run([daemon.binary.expjobserver, "serve", "--address", elsewhere], {
      cwd: daemon.folder,
      env: daemon.environment,
    });
    quickestMs = Math.min(quickestMs, performance.now() - startedAt);
    expect(second.code).toBe(5);
    expectTwoLines(second, `process ${daemon.pid}`, "expjobserver stop");
  }
  expect(quickestMs).toBeLessThan(1_000);
  expect((await daemon.j("ping")).code).toBe(0);
});

test("a driver that is missing, or not executable: exit 2 and its path", async () => {
  await using daemon = await TestDaemon.prepare();
  const driver = join(daemon.folder, "driver");
  const missing = await daemon.startToFail(["--runner", driver]);
  expect(missing.code).toBe(2);
  expectTwoLines(missing, driver, "Correct --runner");
  writeFileSync(driver, "#!/bin/sh\n", { mode: 0o644 });
  const closed = await daemon.startToFail(["--runner", driver]);
  expect(closed.code).toBe(2);
  expectTwoLines(closed, driver, "chmod +x");
});

/** A server with a past: three jobs acknowledged, killed. @returns its last journal segment */
async function withPast(daemon: TestDaemon): Promise<string> {
  await daemon.start();
  for (const text of ["echo 0", "echo 1", "echo 2"]) await daemon.add("none", text);
  await daemon.kill();
  const segments = readdirSync(join(daemon.stateDir, "journal")).filter((name) => /^\d+$/.test(name));
  return join(daemon.stateDir, "journal", segments.toSorted().at(-1) ?? "");
}

test("a torn journal: what was acknowledged is there, the tail is set aside, and the server says so", async () => {
  await using daemon = await TestDaemon.prepare();
  const segment = await withPast(daemon);
  appendFileSync(segment, Buffer.from([0, 0, 0, 40, 1, 2, 3, 4, 5, 6, 7]));
  await daemon.start();
  expect((await daemon.jobs("0-2")).map((job) => job.jid)).toEqual([0, 1, 2]);
  expect(await daemon.add("none", "echo 3")).toBe(3);
  const warning = daemon.stderr.split("\n").find((line) => line.includes(" warn: "));
  expect(warning).toContain("journal");
  const aside = readdirSync(daemon.stateDir, { recursive: true })
    .map(String)
    .filter((name) => name.includes("torn"));
  expect(aside).toHaveLength(1);
});

test("a flipped byte in the middle: exit 7, file and offset named, nothing touched; --allow-snap-fail starts empty with ids above", async () => {
  await using daemon = await TestDaemon.prepare();
  const segment = await withPast(daemon);
  const bytes = readFileSync(segment);
  const at = Math.floor(bytes.length / 3);
  bytes[at] = (bytes[at] ?? 0) ^ 0x10;
  writeFileSync(segment, bytes);
  const before = contents(daemon.stateDir);
  const answer = await daemon.startToFail();
  expect(answer.code).toBe(7);
  expectTwoLines(answer, segment, "--allow-snap-fail");
  expect(answer.stderr).toMatch(/at byte \d+/);
  expect(answer.stderr).toContain("Nothing was changed");
  expect(contents(daemon.stateDir)).toEqual(before);

  await daemon.start(["--allow-snap-fail"]);
  expect(await daemon.json<unknown[]>("job", "ls")).toEqual([]);
  expect(await daemon.add("none", "echo new")).toBeGreaterThan(2);
  expect(daemon.stderr).toContain(" warn: ");
  // It never deletes: the damaged segment is still there, byte for byte.
  const kept = readdirSync(daemon.stateDir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name)))
    .filter((found) => found.equals(bytes));
  expect(kept).toHaveLength(1);
});

test("without any flag it starts with defaults of the user's own, and says where state, logs and token are", async () => {
  await using daemon = await TestDaemon.prepare();
  const home = join(daemon.folder, "home");
  const environment = { ...daemon.environment, XDG_CONFIG_HOME: join(home, "conf") };
  for (const name of ["EXPJOBSERVER_STATE_DIR", "EXPJOBSERVER_CONFIG"]) Reflect.deleteProperty(environment, name);
  const log = join(daemon.folder, "out");
  const child = Bun.spawn([daemon.binary.expjobserver, "serve"], {
    cwd: daemon.folder,
    env: environment,
    stdio: ["ignore", Bun.file(log), Bun.file(log)],
  });
  const state = join(home, ".local/state/expjobserver");
  try {
    const ping = async () => await run([daemon.binary.j, "ping"], { cwd: daemon.folder, env: environment });
    await waitFor(async () => child.exitCode !== null || (await ping()).code === 0);
  } finally {
    child.kill("SIGTERM");
  }
  expect(await child.exited).toBe(0);
  const said = readFileSync(log, "utf8");
  expect(said).toContain(`state: ${state}; logs: ${join(state, "logs")}; token: ${join(state, "token")}`);
});

test("the old server call: DRIVER LOG_DIR CONFIG --allow_snap_fail, with its hint about the old first argument", async () => {
  await using daemon = await TestDaemon.prepare();
  const driver = join(daemon.folder, "driver");
  writeFileSync(driver, '#!/bin/sh\necho "driven $*"\n', { mode: 0o755 });
  const logs = join(daemon.folder, "old logs");
  mkdirSync(logs);
  const log = join(daemon.folder, "out");
  const words = [driver, logs, join(daemon.folder, "config.toml"), "--allow_snap_fail"];
  const child = Bun.spawn([daemon.binary.expjobserver, ...words], {
    cwd: daemon.folder,
    env: daemon.environment,
    stdio: ["ignore", Bun.file(log), Bun.file(log)],
  });
  try {
    await waitFor(async () => child.exitCode !== null || (await daemon.j("ping")).code === 0);
    await daemon.ok("machine", "add", "10.0.0.1:22", "old");
    const job = await daemon.ended(await daemon.add("old", "one 'two three' {MACHINE}"));
    expect([job.status, daemon.output(job)]).toEqual(["done", "driven one two three 10.0.0.1:22\n"]);
    expect(job.log).toStartWith(`${logs}/`);
  } finally {
    child.kill("SIGTERM");
  }
  expect(await child.exited).toBe(0);
  expect(readFileSync(log, "utf8")).toContain("--runner-arg --print_results_path");
});

/** Every file with its bytes and time, to prove that nothing was touched. The lock is taken before anything is read. */
function contents(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.startsWith("lock"))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => `${path} ${statSync(path).mtimeMs} ${Bun.hash(readFileSync(path))}`)
    .toSorted();
}
