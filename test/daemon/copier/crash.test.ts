import { expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyResults } from "../../../src/daemon/copier/copy-results.ts";
import { readRecord } from "../../../src/daemon/copier/record.ts";
import { LocalMachineShell } from "../../../src/daemon/local-shell.ts";
import { mustBeCopied } from "./copy-fixture.ts";
import { AFTER, crashOptions, NEW, OLD, SET_ASIDE, writeAll } from "./crash-scenario.ts";

// A machine that is busy with other tests.
setDefaultTimeout(120_000);

/** Each is counted for itself, and in each thread: the copy writes from several. */
const CHANGING_CALLS = ["rename,renameat,renameat2", "link,linkat", "mkdir,mkdirat", "unlink,unlinkat,rmdir", "fsync,fdatasync"];
const CALLS_MAX = 400;
const RANDOM_KILLS = 12;
const shell = new LocalMachineShell("local");

const canTrace =
  Bun.which("strace") !== null && Bun.spawnSync(["strace", "-qq", "-o", "/dev/null", "true"], { stderr: "ignore" }).exitCode === 0;
if (!canTrace) console.warn("SKIPPED: a crash at every system call of a copy, because strace is not installed or not allowed");

for (const calls of CHANGING_CALLS) {
  test.skipIf(!canTrace)(
    `a crash at any ${calls} leaves old or new, and a repetition puts all right`,
    async () => {
      using scene = await CrashScene.open();
      let crashes = 0;
      for (let call = 1; call <= CALLS_MAX; call += 1) {
        const folder = scene.fresh();
        const trace = [
          "strace",
          "-f",
          "-qq",
          "-o",
          "/dev/null",
          "-e",
          `trace=${calls}`,
          "-e",
          `inject=${calls}:signal=SIGKILL:when=${call}`,
        ];
        await Bun.spawn([...trace, process.execPath, join(import.meta.dir, "crash-child.ts"), folder], {
          stdout: "ignore",
          stderr: "ignore",
        }).exited;
        const ended = existsSync(join(folder, "ended"));
        if (!ended) crashes += 1;
        await expectRepaired(folder, `killed at ${calls} number ${call}`);
        if (ended) break;
      }
      // None would mean that the calls were not met at all.
      expect(crashes).toBeGreaterThan(0);
    },
    120_000,
  );
}

test("a crash at any time leaves old or new, and a repetition puts all right", async () => {
  using scene = await CrashScene.open();
  const seed = Date.now() % 1_000_000;
  for (let round = 0; round < RANDOM_KILLS; round += 1) {
    const folder = scene.fresh();
    const child = Bun.spawn([process.execPath, join(import.meta.dir, "crash-child.ts"), folder], { stdout: "ignore", stderr: "ignore" });
    const delayMs = 40 + ((seed * (round + 7)) % 160);
    // tidy-allow sleep: the kill comes at a random time
    await Promise.race([child.exited, Bun.sleep(delayMs)]);
    child.kill("SIGKILL");
    await child.exited;
    await expectRepaired(folder, `seed ${seed}, round ${round}: killed after ${delayMs} ms`);
  }
}, 120_000);

async function expectRepaired(folder: string, when: string): Promise<void> {
  const results = join(folder, "results");
  const now = contents(results);
  for (const [path, content] of Object.entries(now)) {
    expect([OLD[path], NEW[path], AFTER[path]], `${when}: ${path} is neither old nor new`).toContain(content);
  }
  const kept = Object.values(now);
  for (const content of Object.values(OLD)) expect(kept, `${when}: something old is lost`).toContain(content);

  const outcome = mustBeCopied(await copyResults({ ...crashOptions(folder), shell }));
  expect(contents(results), when).toEqual({ ...AFTER });
  expect(
    [...outcome.displaced].sort((left, right) => (left.from < right.from ? -1 : 1)),
    when,
  ).toEqual(SET_ASIDE);
  const first = await readRecord(join(results, ".expjobserver/1.toml"));
  const expected = ["exp7-file.~1~", "exp7-folder.~1~/inside", "exp7/changed-too.~1~", "exp7/changed.~1~", "exp7/same"];
  expect(first?.files.map((file) => file.path).sort(), when).toEqual(expected);
  expect(readdirSync(join(results, ".expjobserver/incoming")), when).toEqual([]);
  // Once more, as after a crash of which the server knows nothing: nothing moves, and it is told the same.
  const again = mustBeCopied(await copyResults({ ...crashOptions(folder), shell }));
  expect(contents(results), when).toEqual({ ...AFTER });
  expect(again.displaced, when).toEqual(outcome.displaced);
}

class CrashScene implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "expjob-crash-"));
  #count = 0;

  /** Job 1's results in place, job 2's on the machine. */
  static async open(): Promise<CrashScene> {
    const scene = new CrashScene();
    const template = join(scene.#folder, "template");
    writeAll(join(template, "machine"), OLD);
    mustBeCopied(await copyResults({ ...crashOptions(template), shell, jid: 1, runId: "run1" }));
    rmSync(join(template, "machine"), { recursive: true });
    writeAll(join(template, "machine"), NEW);
    return scene;
  }

  fresh(): string {
    this.#count += 1;
    const folder = join(this.#folder, `scene${this.#count}`);
    cpSync(join(this.#folder, "template"), folder, { recursive: true });
    return folder;
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Path and content of every file in CP_PATH but ours. */
function contents(folder: string, prefix = ""): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of readdirSync(join(folder, prefix), { withFileTypes: true })) {
    const path = join(prefix, entry.name);
    if (path === ".expjobserver") continue;
    if (entry.isDirectory()) Object.assign(found, contents(folder, path));
    else found[path] = readFileSync(join(folder, path), "utf8");
  }
  return found;
}
