/** A server that is killed while it moves results: whatever the record says is true at every moment, and a repetition ends it. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Job, logsOf, runOf } from "../../../src/core/job.ts";
import { FakeHosts } from "../../fakes/runner.ts";
import { Assembly } from "../assembly.ts";
import { sha256 } from "../copier/copy-fixture.ts";
import { contents, Scene } from "./scene.ts";

setDefaultTimeout(120_000);

/** Each is counted for itself. Every call of the first kinds, some of the last. */
const CHANGING_CALLS = [
  { calls: "unlink,unlinkat,rmdir", every: 1 },
  { calls: "rename,renameat,renameat2", every: 1 },
  { calls: "link,linkat", every: 1 },
  { calls: "fsync,fdatasync", every: 3 },
];
const CALLS_MAX = 200;
const RANDOM_KILLS = 6;
const FILES = { "out/a": "first", "out/sub/b": "second", "out/sub/c": "third" };

const canTrace =
  Bun.which("strace") !== null && Bun.spawnSync(["strace", "-qq", "-o", "/dev/null", "true"], { stderr: "ignore" }).exitCode === 0;
if (!canTrace) console.warn("SKIPPED: a crash at every system call of a move, because strace is not installed or not allowed");

for (const { calls, every } of CHANGING_CALLS) {
  test.skipIf(!canTrace)(`a kill at any ${calls} loses nothing, and moving again ends it`, async () => {
    using place = await Place.open();
    let kills = 0;
    for (let call = 1; call <= CALLS_MAX; call += every) {
      const isOver = await place.killedAt(calls, call);
      if (!isOver) kills += 1;
      await expectRepaired(place.folder, `killed at ${calls} number ${call}`);
      if (isOver) break;
    }
    // None would mean that the calls were not met at all.
    expect(kills).toBeGreaterThan(0);
  });
}

// Each thread counts its calls for itself, so that the kills above do not meet these.
for (const name of [".expjobserver", ".expjobserver/incoming"]) {
  test.skipIf(!canTrace)(`a kill before the removal of the folder ${name} loses nothing, and moving again ends it`, async () => {
    using place = await Place.open();
    const path = join(place.folder, "results", name);
    expect(await place.killedAt("unlinkat,rmdir", 1, path)).toBe(false);
    expect(existsSync(path)).toBe(true);
    await expectRepaired(place.folder, `killed before ${name} went`);
  });
}

test("a kill at any time loses nothing, and moving again ends it", async () => {
  using place = await Place.open();
  const seed = Date.now() % 1_000_000;
  for (let round = 0; round < RANDOM_KILLS; round += 1) {
    place.reset();
    const child = Bun.spawn(place.child, { stdout: "ignore", stderr: "ignore" });
    const delayMs = 100 + ((seed * (round + 7)) % 150);
    // tidy-allow sleep: the kill comes at a random time
    await Promise.race([child.exited, Bun.sleep(delayMs)]);
    child.kill("SIGKILL");
    await child.exited;
    await expectRepaired(place.folder, `seed ${seed}, round ${round}: killed after ${delayMs} ms`);
  }
});

async function expectRepaired(folder: string, when: string): Promise<void> {
  const daemon = await Assembly.in(folder, new FakeHosts());
  try {
    expectTrue(await daemon.book.one(0), when);
    const to = join(folder, "new");
    for (let times = 1; times <= 2; times += 1) {
      const taken = await daemon.transfer.take({ jid: 0, to, mode: "move", signal: new AbortController().signal });
      expect(taken.problems, when).toEqual([]);
      const job = await daemon.book.one(0);
      expectTrue(job, when);
      expectTrue(await daemon.book.one(1), when);
      expect(contents(to), when).toEqual({
        ...FILES,
        "out/a.~1~": "of job 1",
        "0-log": expect.stringContaining("of job 0"),
        "0-log.err": "errors of job 0\n",
      });
      expect(readdirSync(join(folder, "results")), when).toEqual([]);
      expect(readdirSync(join(to, ".expjobserver/incoming")), when).toEqual([]);
      expect(existsSync(join(folder, "0-log")), when).toBe(false);
    }
  } finally {
    await daemon.close();
  }
}

/** Everything that the record names is there, as it was. */
function expectTrue(job: Job, when: string): void {
  if (job.state.kind !== "done" || job.state.results === null) throw new Error(`${when}: ${JSON.stringify(job.state)}`);
  const { record, files } = job.state.results;
  expect(files, when).toHaveLength(3);
  for (const file of files ?? []) expect(sha256(readFileSync(join(record, "../..", file.path))), `${when}: ${file.path}`).toBe(file.sha256);
  const run = runOf(job.state);
  for (const log of run === null ? [] : logsOf(run)) expect(readFileSync(log, "utf8"), when).toContain(`of job ${job.jid}`);
}

/** One folder with one server's state, again and again as it was before the move. */
class Place implements Disposable {
  readonly #kept = mkdtempSync(join(tmpdir(), "expjob-move-"));

  private constructor(readonly folder: string) {
    cpSync(folder, join(this.#kept, "template"), { recursive: true, preserveTimestamps: true });
  }

  static async open(): Promise<Place> {
    const scene = await Scene.open();
    await scene.ended(FILES);
    // Job 1's file is in the way of job 0's.
    await scene.ended({ "out/a": "of job 1" }, { copyTo: scene.path("new") });
    await scene.daemon.close();
    return new Place(scene.daemon.folder);
  }

  get child(): string[] {
    return [process.execPath, join(import.meta.dir, "crash-child.ts"), this.folder];
  }

  /** Moves in another process, killed by a system call. @param path only those of this path count. @returns did it end before? */
  async killedAt(calls: string, when: number, path?: string): Promise<boolean> {
    this.reset();
    const where = path === undefined ? [] : ["-P", path];
    const trace = ["strace", "-f", "-qq", "-o", "/dev/null", ...where, "-e", `trace=${calls}`];
    const kill = ["-e", `inject=${calls}:signal=SIGKILL:when=${when}`];
    await Bun.spawn([...trace, ...kill, ...this.child], { stdout: "ignore", stderr: "ignore" }).exited;
    return existsSync(join(this.folder, "ended"));
  }

  reset(): void {
    rmSync(this.folder, { recursive: true, force: true });
    cpSync(join(this.#kept, "template"), this.folder, { recursive: true, preserveTimestamps: true });
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
    rmSync(this.#kept, { recursive: true, force: true });
  }
}
