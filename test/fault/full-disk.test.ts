/**
 * A disk that fills up under a server at work, and one that fails: the state on a small tmpfs, then the logs, then the
 * run directories. What is refused is refused by name, jobs that run go on and their ends are kept, and all goes on by
 * itself when there is space again; when syncing fails the server ends with exit code 8. Never is anything acknowledged
 * that is not there. Guarantee D3. Needs root for the tmpfs and strace for the error: it says so where they are missing.
 */
import { describe, expect, test } from "bun:test";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { TestDaemon } from "../support/daemon.ts";
import { waitFor } from "../support/wait-for.ts";
import { count, report, timeoutMs } from "./forms.ts";
import { type JudgedJob, Oracle, violationsIn } from "./oracle.ts";

const rounds = count("full-disk", { short: 2, long: 100 });
const errors = count("sync-error", { short: 6, long: 200 });
const ENDED = ["done", "failed", "canceled", "unknown"];

const strace = Bun.which("strace");
const canMount = process.getuid?.() === 0 && Bun.spawnSync(["unshare", "-m", "true"]).success;
if (!canMount) console.log("\n!!! SKIPPED: no full disk is tried here: only root may mount a tmpfs\n");
if (strace === null) console.log("\n!!! SKIPPED: no failing sync is tried here: strace is missing\n");

describe.skipIf(!canMount)("a disk that fills up", () => {
  test(
    `under the state, ${rounds} times: refused by name, ends are kept, and it goes on by itself`,
    async () => {
      const startedAt = performance.now();
      await using disk = new SmallDisk("2m");
      await using daemon = await TestDaemon.start({ stateDir: join(disk.mountPoint, "state") });
      await daemon.ok("machine", "add", "local/1", "local/2", "full");
      const lab = new Lab(daemon);
      let refused = 0;
      for (let round = 0; round < rounds; round++) {
        const released = join(daemon.folder, `released.${round}`);
        const waiting = `while [ ! -e '${released}' ]; do sleep 0.02; done; exit 7`;
        const running = [await lab.added(waiting, 7), await lab.added(waiting, 7)];
        for (const jid of running) await daemon.untilStatus(jid, "running");
        disk.fill();
        const refusal = await lab.untilRefused();
        const { error } = JSON.parse(refusal.stderr) as { error: { code: string; message: string } };
        expect([refusal.code, error.code]).toEqual([1, "no-space"]);
        expect(error.message).toContain(disk.mountPoint);
        refused++;
        expect((await daemon.j("ping")).code).toBe(0);
        expect(await daemon.ok("status")).toMatch(/full|space/);
        // They end while nothing can be written down.
        writeFileSync(released, "");
        await waitFor(() => running.every((jid) => lab.hasEnded(jid)), { what: () => "the end in the ledger" });
        disk.empty();
        for (const jid of running) {
          const job = await daemon.ended(jid);
          expect([job.status, job.exit_code]).toEqual(["failed", 7]);
        }
        await lab.untilAccepted();
      }
      await lab.allEnded();
      const alive = await lab.violations();
      await daemon.kill();
      await daemon.start();
      const violations = alive + (await lab.violations());
      report({
        name: "full-disk",
        count: rounds,
        violations,
        seed: null,
        seconds: (performance.now() - startedAt) / 1_000,
        note: `${refused} refused`,
      });
      expect(violations).toBe(0);
    },
    timeoutMs(90_000),
  );

  test("under the logs: the server stays, a job says the truth about its end, and the next has its log", async () => {
    await using logs = new SmallDisk("1m");
    await using daemon = await TestDaemon.prepare();
    symlinkSync(logs.mountPoint, daemon.logDir);
    await daemon.start();
    await daemon.ok("machine", "add", "local/1", "full");
    const lab = new Lab(daemon);
    const released = join(daemon.folder, "released");
    const running = await lab.added(`while [ ! -e '${released}' ]; do sleep 0.02; done; echo words; exit 7`, 7);
    await daemon.untilStatus(running, "running");
    logs.fill();
    const next = await lab.added("exit 5", 5);
    writeFileSync(released, "");
    for (const [jid, exitCode] of [
      [running, 7],
      [next, 5],
    ] as const) {
      const job = await daemon.ended(jid);
      expect([job.status, job.exit_code]).toEqual(["failed", exitCode]);
    }
    logs.empty();
    const last = await daemon.ended(await lab.added("echo words", 0));
    expect(daemon.output(last)).toBe("words\n");
    expect(await lab.violations()).toBe(0);
  }, 120_000);

  test("under the run directories: an end is kept until there is space, no job is lost, and they start by themselves", async () => {
    await using runs = new SmallDisk("1m", join("state", "runs"));
    await using daemon = await TestDaemon.start({ stateDir: dirname(runs.mountPoint) });
    await daemon.ok("machine", "add", "local/1", "full");
    const lab = new Lab(daemon);
    const released = join(daemon.folder, "released");
    const running = await lab.added(`while [ ! -e '${released}' ]; do sleep 0.02; done; exit 7`, 7);
    await daemon.untilStatus(running, "running");
    runs.fill();
    const waiting = [await lab.added("exit 0", 0), await lab.added("exit 5", 5)];
    await daemon.ok("machine", "add", "local/2", "full");
    await waitFor(async () => (await daemon.ok("job", "why", String(waiting[0]))).includes("No space is left"), { everyMs: 50 });
    writeFileSync(released, "");
    await waitFor(() => lab.hasEnded(running), { what: () => "the end in the ledger" });
    // Whoever looks in the meantime must not take it for lost.
    await daemon.kill();
    await daemon.start();
    runs.empty();
    const ended = await daemon.ended(running);
    expect([ended.status, ended.exit_code]).toEqual(["failed", 7]);
    await lab.allEnded();
    expect(await lab.violations()).toBe(0);
  }, 120_000);
});

describe.skipIf(strace === null)("a disk that fails", () => {
  test(
    `at one of ${errors} syncs ends the server with exit code 8, and nothing that was acknowledged is lost`,
    async () => {
      const startedAt = performance.now();
      let violations = 0;
      for (let index = 0; index < errors; index++) {
        // The same thread makes each third or so of them.
        violations += await withSyncError(1 + (index % 12));
      }
      report({ name: "sync-error", count: errors, violations, seed: null, seconds: (performance.now() - startedAt) / 1_000 });
      expect(violations).toBe(0);
    },
    timeoutMs(90_000),
  );
});

async function withSyncError(when: number): Promise<number> {
  const injected = [
    "-f",
    "-qq",
    "--detach-on=execve",
    "-o",
    "/dev/null",
    "-e",
    "trace=fdatasync",
    "-e",
    `inject=fdatasync:error=EIO:when=${when}`,
  ];
  const stateDir = mkdtempSync(join(tmpdir(), "expjob-failing-"));
  try {
    await using failing = await TestDaemon.prepare({ stateDir, prefix: [strace ?? "", ...injected] });
    await using after = await TestDaemon.prepare({ stateDir });
    const lab = new Lab(failing);
    const child = failing.launch();
    await waitFor(async () => child.exitCode !== null || (await failing.j("ping")).code === 0, { timeoutMs: 20_000 });
    for (let job = 0; job < 100 && child.exitCode === null; job++) await lab.tries("true", 0);
    const code = await child.exited;
    if (code !== 8) console.log(`sync ${when}: exit ${code}: ${failing.stderr}`);
    lab.asksOf(after);
    await after.start();
    await after.ok("machine", "add", "local/1", "local/2", "full");
    await lab.allEnded();
    return (await lab.violations()) + (code === 8 ? 0 : 1);
  } finally {
    rmSync(stateDir, { recursive: true, force: true });
  }
}

/** What is asked of a server, and the judge of it. */
class Lab {
  readonly #oracle: Oracle;

  constructor(private daemon: TestDaemon) {
    this.#oracle = new Oracle(daemon.folder);
  }

  /** The server that has its state now. */
  asksOf(daemon: TestDaemon): void {
    this.daemon = daemon;
  }

  /** Accepted or not. */
  async tries(command: string, exitCode: number): Promise<void> {
    await this.#add(command, exitCode);
  }

  async added(command: string, exitCode: number): Promise<number> {
    const { jid, answer } = await this.#add(command, exitCode);
    if (jid === null) throw new Error(`refused: ${answer.stderr}`);
    return jid;
  }

  /** Submits until the disk is full. */
  async untilRefused(): Promise<{ readonly code: number; readonly stderr: string }> {
    for (let tried = 0; tried < 1_000; tried++) {
      const { jid, answer } = await this.#add(`: ${"x".repeat(4_000)}`, 0);
      if (jid === null) return answer;
    }
    throw new Error("the disk is never full");
  }

  async untilAccepted(): Promise<void> {
    await waitFor(async () => (await this.#add("true", 0)).jid !== null, { what: () => "a submission that is accepted" });
  }

  hasEnded(jid: number): boolean {
    const file = join(this.#oracle.folder, "oracle.ledger");
    return existsSync(file) && new RegExp(`^end ${jid} `, "m").test(readFileSync(file, "utf8"));
  }

  async allEnded(): Promise<void> {
    await waitFor(async () => (await this.#listed()).every(({ status }) => ENDED.includes(status)), {
      what: () => `the end of all jobs: ${this.daemon.stderr}`,
      timeoutMs: 30_000,
      everyMs: 100,
    });
  }

  async violations(): Promise<number> {
    const verdict = this.#oracle.judge(await this.#listed());
    if (violationsIn(verdict) > 0) console.log(JSON.stringify(verdict));
    return violationsIn(verdict);
  }

  async #listed(): Promise<JudgedJob[]> {
    return await this.daemon.json<JudgedJob[]>("job", "ls", "0-1000000");
  }

  async #add(command: string, exitCode: number) {
    const request = this.#oracle.asks({ count: 1, exitCode, maxFailures: 1 });
    const answer = await this.daemon.j("job", "add", "full", this.#oracle.command(command), "--json");
    if (answer.code !== 0) return { jid: null, answer };
    const { jids } = JSON.parse(answer.stdout) as { jids: number[] };
    this.#oracle.acknowledged(request, jids);
    return { jid: jids[0] ?? null, answer };
  }
}

const FILLING = Buffer.alloc(4_096);

/** A tmpfs with a file in it that takes all the space there is. */
class SmallDisk implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "expjob-full-"));
  readonly mountPoint: string;

  constructor(size: string, place = "disk") {
    this.mountPoint = join(this.#folder, place);
    mkdirSync(this.mountPoint, { recursive: true, mode: 0o700 });
    const { exitCode, stderr } = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", `size=${size},mode=700`, "tmpfs", this.mountPoint]);
    if (exitCode !== 0) throw new Error(`mount: ${stderr}`);
  }

  fill(): void {
    const filler = openSync(join(this.mountPoint, "filler"), "a");
    try {
      for (;;) writeSync(filler, FILLING);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    } finally {
      closeSync(filler);
    }
  }

  empty(): void {
    rmSync(join(this.mountPoint, "filler"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await waitFor(() => Bun.spawnSync(["umount", this.mountPoint]).exitCode === 0, { what: () => "umount", everyMs: 50 });
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
