/** The daemon's log on disks that do and do not take it. stderr is a child's, so that it can be looked at. */
import { describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const MODULE = join(import.meta.dir, "../../src/daemon/log.ts");

class Folder {
  readonly path = mkdtempSync(join(tmpdir(), "expjob-log-"));

  /** Runs `steps` with `log` open in the folder. */
  async run(steps: string, level = "info") {
    const program = `
      const { openDaemonLog } = await import(${JSON.stringify(MODULE)});
      const log = openDaemonLog({ level: ${JSON.stringify(level)}, folder: ${JSON.stringify(this.path)}, sizeMax: "1M", filesMax: 2 });
      ${steps}
      await log.close();
      console.log("closed");`;
    const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe", stderr: "pipe" });
    const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { stdout, stderr, code };
  }

  get log(): string {
    return readFileSync(join(this.path, "server.log"), "utf8");
  }

  [Symbol.dispose](): void {
    chmodSync(this.path, 0o700);
    rmSync(this.path, { recursive: true });
  }
}

describe("the log", () => {
  test("has each line on stderr and in a file of its owner's, with its time and level, equal ones too", async () => {
    using folder = new Folder();
    const { stderr } = await folder.run(`for (let i = 0; i < 20; i++) log.warn("same"); log.debug("hidden");`);
    expect(folder.log).toBe(stderr);
    expect(stderr.trimEnd().split("\n")).toHaveLength(20);
    expect(stderr).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z warn: same$/m);
    expect(statSync(join(folder.path, "server.log")).mode & 0o777).toBe(0o600);
  });

  test("shows nothing that a terminal would obey", async () => {
    using folder = new Folder();
    const { stderr } = await folder.run(`log.info("a\\u001b[2J\\nb\\u202ec");`);
    expect(stderr).toEndWith("info: a [2J b c\n");
  });

  test("that cannot be written is said once, and neither logging nor closing fails", async () => {
    using folder = new Folder();
    mkdirSync(join(folder.path, "server.log"));
    const { stdout, stderr, code } = await folder.run(
      `for (let i = 0; i < 5; i++) { log.info("line " + i); await new Promise((go) => setTimeout(go, 5)); }`,
    );
    expect([stdout, code]).toEqual(["closed\n", 0]);
    expect(stderr.match(/cannot write/g)).toHaveLength(1);
    expect(stderr.match(/info: line/g)).toHaveLength(5);
  });

  test("goes on without a stderr", async () => {
    using folder = new Folder();
    const { stdout } = await folder.run(`require("node:fs").closeSync(2); log.info("a"); log.info("b");`);
    expect(stdout).toBe("closed\n");
    expect(folder.log).toContain("info: b");
  });

  test("keeps so many files of such a size", async () => {
    using folder = new Folder();
    const line = `"${"x".repeat(1_000)}"`;
    await folder.run(
      `for (let i = 0; i < 5_000; i++) { log.info(${line}); if (i % 100 === 0) await new Promise((go) => setTimeout(go, 1)); }`,
    );
    const files = readdirSync(folder.path).filter((name) => name.startsWith("server.log"));
    expect(files.length).toBeLessThanOrEqual(3);
    for (const name of files) expect(statSync(join(folder.path, name)).size).toBeLessThan(3 * 1_048_576);
  });

  test("of an earlier server is added to", async () => {
    using folder = new Folder();
    writeFileSync(join(folder.path, "server.log"), "before\n");
    await folder.run(`log.info("after");`);
    expect(folder.log).toMatch(/^before\n.*info: after\n$/);
  });
});
