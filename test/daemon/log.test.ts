/** The daemon's log on disks that do and do not take it. stderr is a child's, so that it can be looked at. */
import { describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import type { LogOptions } from "../../src/config/retention-options.ts";

const MODULE = join(import.meta.dir, "../../src/daemon/log.ts");

class Folder {
  readonly path = mkdtempSync(join(tmpdir(), "expjob-log-"));

  /** Runs `steps` with `log` open in the folder. */
  async run(steps: string, more: Partial<LogOptions> = {}) {
    const options: LogOptions = { level: "info", bytesMax: 1_048_576, filesMax: 2, compress: false, ...more };
    const program = `
      const fs = require("node:fs");
      const folder = ${JSON.stringify(this.path)};
      const options = ${JSON.stringify(options)};
      const { openDaemonLog } = await import(${JSON.stringify(MODULE)});
      const log = openDaemonLog(folder, options);
      /** Until what was logged is in the file. */
      const written = async (text) => {
        for (;;) {
          try { if (fs.readFileSync(folder + "/server.log", "utf8").includes(text)) return; } catch {}
          await new Promise((go) => setTimeout(go, 2));
        }
      };
      ${steps}
      await log.close();
      console.log("closed");`;
    const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe", stderr: "pipe" });
    const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { stdout, stderr, code };
  }

  get rotated(): string[] {
    return readdirSync(this.path)
      .filter((name) => name.startsWith("server.log."))
      .toSorted();
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

  test("rotated files are gzipped: every line is in one of them, of its owner's alone", async () => {
    using folder = new Folder();
    const count = 400;
    await folder.run(
      `for (let i = 0; i < ${count}; i++) { log.info("line " + i + "x".repeat(100)); if (i % 20 === 0) await new Promise((go) => setTimeout(go, 1)); }`,
      { bytesMax: 8_192, filesMax: 50, compress: true },
    );
    expect(folder.rotated.length).toBeGreaterThan(2);
    expect(folder.rotated.every((name) => /^server\.log\.\d+\.gz$/.test(name))).toBe(true);
    const texts = folder.rotated.map((name) => gunzipSync(readFileSync(join(folder.path, name))).toString());
    const lines = [...texts, folder.log].flatMap((text) => text.match(/line \d+(?=x)/g) ?? []);
    expect(new Set(lines).size).toBe(count);
    expect(lines).toHaveLength(count);
    for (const name of folder.rotated) expect(statSync(join(folder.path, name)).mode & 0o777).toBe(0o600);
  });

  test("whose folder is deleted, or whose file is moved away, goes on in a new one", async () => {
    using folder = new Folder();
    await folder.run(`
      log.info("one"); await written("one");
      fs.rmSync(folder, { recursive: true });
      log.info("two"); await written("two");
      fs.renameSync(folder + "/server.log", folder + "/moved");
      log.info("three"); await written("three");`);
    expect(readFileSync(join(folder.path, "moved"), "utf8")).toMatch(/^\S+ info: two\n$/);
    expect(folder.log).toMatch(/^\S+ info: three\n$/);
  });

  test("is told another level, size and count while it is written, and no line is lost", async () => {
    using folder = new Folder();
    const { stderr } = await folder.run(`
      log.debug("hidden"); log.info("one"); await written("one");
      log.configure({ ...options, level: "debug" });
      log.debug("two"); log.configure(options); log.debug("hidden too"); log.info("three");
      await written("three");`);
    expect(stderr.match(/(?<=: ).*$/gm)).toEqual(["one", "two", "three"]);
    expect(folder.log).toBe(stderr);
  });

  test("keeps no more than so many files, also those of when more were kept or they were not gzipped", async () => {
    using folder = new Folder();
    for (const name of ["1", "2", "3", "4.gz"]) {
      writeFileSync(join(folder.path, `server.log.${name}`), name);
      utimesSync(join(folder.path, `server.log.${name}`), 1_000, 1_000);
    }
    writeFileSync(join(folder.path, "server.log.old"), "a person's");
    await folder.run(`log.info("x".repeat(3_000)); log.info("y"); await written("y");`, { bytesMax: 2_048, filesMax: 2, compress: true });
    expect(folder.rotated).toHaveLength(3);
    expect(folder.rotated).toContain("server.log.1.gz");
    expect(folder.rotated).toContain("server.log.old");
  });

  test("whose gzipping was cut short is gzipped again, and has nothing twice and nothing torn", async () => {
    using folder = new Folder();
    const whole = `${"z".repeat(3_000)}\n`;
    writeFileSync(join(folder.path, "server.log"), whole);
    utimesSync(join(folder.path, "server.log"), 1_000, 1_000);
    writeFileSync(join(folder.path, "server.log.1.gz"), gzipSync(whole).subarray(0, 10));
    await folder.run(`log.info("after"); await written("after");`, { bytesMax: 2_048, filesMax: 5, compress: true });
    expect(folder.rotated).toEqual(["server.log.1.gz"]);
    expect(gunzipSync(readFileSync(join(folder.path, "server.log.1.gz"))).toString()).toBe(whole);
    expect(folder.log).toMatch(/^\S+ info: after\n$/);
  });
});
