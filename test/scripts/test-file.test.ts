/** The runner of `npm test` believes nothing but a complete report: each way to lose a failure is tried. */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missingNeed, runTestFile, type TestFileResult } from "../../scripts/test-file.ts";

const folder = mkdtempSync(join(tmpdir(), "test-file-"));
mkdirSync(join(folder, "test"));
writeFileSync(join(folder, "package.json"), "{}");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let fileCount = 0;

async function run(body: string, fileTimeoutMs = 20_000): Promise<TestFileResult> {
  fileCount += 1;
  const file = `test/${fileCount}.test.ts`;
  writeFileSync(join(folder, file), `import { afterAll, expect, test } from "bun:test";\n${body}\n`);
  return runTestFile({ root: folder, file, folder: join(folder, `run-${fileCount}`), testTimeoutMs: 10_000, fileTimeoutMs });
}

const ok = 'test("ok", () => { expect(1).toBe(1); });';

describe("a test file", () => {
  test("counts what passed, failed and was skipped", async () => {
    const result = await run(`${ok} test("a <failure> & \\"more\\"", () => { expect(1).toBe(1); });
      test("bad", () => { expect(1).toBe(2); }); test.skipIf(true)("not here", () => { expect(1).toBe(1); });`);
    expect(result).toMatchObject({ passed: 2, failed: 1, skipped: 1, faults: [] });
    expect(result.output).toContain("Expected: 2");
  });

  test.each([
    ["killed by a signal", 'process.kill(process.pid, "SIGKILL");', "ended before its tests were done (signal SIGKILL)"],
    ["ended by process.exit(0)", "process.exit(0);", "ended before its tests were done (exit code 0)"],
  ])("has failed when %s", async (_how, line, fault) => {
    const result = await run(`${ok} test("dies", () => { ${line} });`);
    expect(result).toMatchObject({ passed: 1, failed: 1, faults: [fault] });
  });

  test("has failed when it cannot be loaded", async () => {
    const result = await run(`import "./absent.ts"; ${ok}`);
    expect(result).toMatchObject({ passed: 0, failed: 1 });
    expect(result.output).toContain("absent.ts");
  });

  test("has failed when it holds no test", async () => {
    expect(await run("export {};")).toMatchObject({ passed: 0, failed: 1, faults: ["holds no test"] });
  });

  test("has failed when its clean-up throws", async () => {
    expect(await run(`${ok} afterAll(() => { throw new Error("late"); });`)).toMatchObject({ passed: 1, failed: 1 });
  });

  test("has failed when it hangs, and its children are ended with it", async () => {
    const result = await run('Bun.spawnSync(["sleep", "30"]); test("never", () => { expect(1).toBe(1); });', 700);
    expect(result).toMatchObject({ failed: 1, faults: ["did not end within 0.7 s"] });
  });

  test.skipIf(process.platform !== "linux")("has failed when a process outlives it, even in another session", async () => {
    const result = await run(`${ok} Bun.spawn(["sleep", "31.5"], { detached: true, stdio: ["ignore", "ignore", "ignore"] }).unref();`);
    expect(result).toMatchObject({ passed: 1, failed: 1 });
    expect(result.faults[0]).toMatch(/^left processes behind: \d+ sleep 31\.5$/);
    // A zombie, or nothing at all: who takes the orphans of this host may be slow to bury them.
    const pid = /\d+/.exec(result.faults[0] ?? "")?.[0];
    expect(existsSync(`/proc/${pid}/exe`)).toBe(false);
  });

  test("has a TMPDIR of its own, and what it leaves there is named", async () => {
    const result = await run(`${ok} require("node:fs").writeFileSync(require("node:os").tmpdir() + "/left", "x");`);
    expect(result).toMatchObject({ passed: 1, failed: 0, leftFiles: ["left"] });
  });

  test("does not see what the caller's environment says about expjobserver", async () => {
    process.env.EXPJOBSERVER_ADDRESS = "192.0.2.1:1";
    try {
      const result = await run('test("clean", () => { expect(process.env.EXPJOBSERVER_ADDRESS).toBeUndefined(); });');
      expect(result).toMatchObject({ passed: 1, failed: 0 });
    } finally {
      process.env.EXPJOBSERVER_ADDRESS = undefined;
    }
  });
});

test("a file says in its header what it cannot do without", () => {
  const source = '/** Over SSH. Needs sshd. */\nconst text = "Needs rsync.";\n';
  expect(missingNeed(source, () => true)).toBeNull();
  expect(missingNeed(source, () => false)).toBe("sshd");
  expect(missingNeed('const text = "Needs sshd.";\n', () => false)).toBeNull();
});
