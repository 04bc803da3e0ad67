/**
 * Power cuts: the state lies on an ext4 of its own, which is shut down under load without a flush, as when the power
 * goes. All processes die, the file system is mounted again (its journal is replayed), and the host has another boot
 * id. What was acknowledged is there; what had begun does not begin again. Guarantees D1, D2, S1, S3, R4.
 * Needs root, loop devices and mkfs.ext4: it says so where they are missing.
 */
import { dlopen, ptr } from "bun:ffi";
import { expect, test } from "bun:test";
import { closeSync, copyFileSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildTestBinary } from "../support/binary.ts";
import { markedProcesses, TestDaemon } from "../support/daemon.ts";
import { waitFor } from "../support/wait-for.ts";
import { chooseSeed, count, randomFrom, report, timeoutMs } from "./forms.ts";
import { Load } from "./load.ts";
import { type JudgedJob, Oracle, violationsIn } from "./oracle.ts";

const seed = chooseSeed();
const cuts = count("power-cut", { short: 20, long: 1_000 });
const CUTS_A_ROUND = 100;
const FS_IOC_SHUTDOWN = 0x8004587dn;
/** FSOP_GOING_FLAGS_NOLOGFLUSH: nothing that is in memory reaches the disk any more. */
const NO_FLUSH = 2;
const BOOT_ID = "/proc/sys/kernel/random/boot_id";
/** The server and its jobs see another boot id after each cut. */
const WITH_BOOT_ID = ["unshare", "-m", "--propagation", "private", "sh", "-c", `mount --bind "$BOOT_FILE" ${BOOT_ID} && exec "$@"`, "sh"];
const MACHINES = Array.from({ length: 6 }, (_, index) => `local/${index + 1}`);

const missing = whatIsMissing();
if (missing !== null) console.log(`\n!!! SKIPPED: power cuts are not tried here: ${missing}\n`);

test.skipIf(missing !== null)(
  `${cuts} power cuts lose nothing that was acknowledged, and repeat nothing that had begun (seed ${seed})`,
  async () => {
    const startedAt = performance.now();
    const chance = randomFrom(seed);
    let violations = 0;
    let done = 0;
    while (done < cuts) {
      const wanted = Math.min(CUTS_A_ROUND, cuts - done);
      violations += await round(wanted, chance);
      done += wanted;
    }
    report({ name: "power-cut", count: done, violations, seed, seconds: (performance.now() - startedAt) / 1_000 });
    expect(violations).toBe(0);
  },
  timeoutMs(120_000),
);

async function round(wanted: number, chance: () => number): Promise<number> {
  await using disk = new CutDisk();
  const bootFile = join(disk.folder, "boot_id");
  newBoot(bootFile);
  await using daemon = await TestDaemon.prepare({
    binary: await buildTestBinary(),
    stateDir: join(disk.mountPoint, "state"),
    prefix: WITH_BOOT_ID,
    environment: { BOOT_FILE: bootFile },
    config: "[limits]\nfailures_before_quarantine = 1000000\n",
  });
  await daemon.start();
  await daemon.ok("machine", "add", ...MACHINES, "cut");
  const oracle = new Oracle(daemon.folder);
  const load = new Load({ daemon, oracle, chance, class: "cut" });
  const submitting = Array.from({ length: 3 }, () => load.submit());
  for (let cut = 0; cut < wanted; cut++) {
    // tidy-allow sleep: the random moment is what is tested
    await Bun.sleep(50 + Math.floor(chance() * 450));
    disk.shutDown();
    await daemon.kill();
    await endAll(daemon.folder);
    await disk.remount();
    newBoot(bootFile);
    await daemon.start();
  }
  load.over = true;
  await Promise.all(submitting);
  await daemon.j("job", "unhold", "0-1000000");
  const listed = async (): Promise<JudgedJob[]> => await daemon.json<JudgedJob[]>("job", "ls", "0-1000000");
  await waitFor(async () => (await listed()).every(({ status }) => ["done", "failed", "canceled", "unknown"].includes(status)), {
    what: () => `the end of all jobs: ${daemon.stderr}`,
    timeoutMs: 60_000,
    everyMs: 200,
  });
  // What the cut killed wrote no end: which machine was free is judged by the storm.
  const { overCommitted: _, ...verdict } = oracle.judge(await listed());
  const violations = violationsIn({ ...verdict, overCommitted: [] });
  oracle.close();
  if (violations > 0) console.log(`after ${load.submitted} jobs: ${JSON.stringify(verdict)}\n${daemon.stderr}`);
  expect(load.submitted).toBeGreaterThan(0);
  await daemon.stop();
  return violations;
}

/** A small ext4 in a file, mounted over a loop device. */
class CutDisk implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "expjob-cut-"));
  readonly mountPoint = join(this.folder, "disk");
  #image = join(this.folder, "image");
  #copies = 0;

  constructor() {
    mkdirSync(this.mountPoint);
    output("truncate", "-s", "64M", this.#image);
    output("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", this.#image);
    this.#mount();
  }

  /** From now on every write fails, and what was not synced is gone. */
  shutDown(): void {
    const libc = dlopen("libc.so.6", { ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" } });
    const descriptor = openSync(this.mountPoint, "r");
    try {
      const flag = new Uint32Array([NO_FLUSH]);
      if (libc.symbols.ioctl(descriptor, FS_IOC_SHUTDOWN, ptr(flag)) !== 0) throw new Error("the file system cannot be shut down");
    } finally {
      closeSync(descriptor);
      libc.close();
    }
  }

  /**
   * The namespaces of those who were just killed have the old mount until they are gone too: mounted earlier, it would be shut down
   * still. One that somebody made beside us, another test, may have it for long: then a copy of the disk takes its place.
   */
  async remount(): Promise<void> {
    output("umount", this.mountPoint);
    const isFree = (): boolean => output("losetup", "--associated", this.#image) === "";
    const isHeld = await waitFor(isFree, { timeoutMs: 3_000, everyMs: 2 }).then(
      () => false,
      () => true,
    );
    if (isHeld) {
      const held = this.#image;
      this.#image = join(this.folder, `image-${this.#copies++}`);
      copyFileSync(held, this.#image);
    }
    this.#mount();
  }

  #mount(): void {
    output("mount", "-o", "loop", this.#image, this.mountPoint);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await waitFor(() => Bun.spawnSync(["umount", this.mountPoint]).exitCode === 0, { what: () => "umount", everyMs: 50 });
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Nothing survives a power cut. */
async function endAll(folder: string): Promise<void> {
  await waitFor(
    () => {
      const left = markedProcesses(folder);
      for (const pid of left) {
        try {
          process.kill(pid, "SIGKILL");
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
        }
      }
      return left.length === 0;
    },
    { what: () => "the end of all processes", everyMs: 5 },
  );
}

function newBoot(file: string): void {
  writeFileSync(file, `${crypto.randomUUID()}\n`);
}

function output(...command: readonly string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...command], {
    env: { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` },
  });
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr.toString()}`);
  return stdout.toString();
}

function whatIsMissing(): string | null {
  if (process.getuid?.() !== 0) return "it needs root";
  const path = `${process.env["PATH"]}:/usr/sbin:/sbin`;
  for (const tool of ["mkfs.ext4", "mount", "umount", "losetup", "unshare"])
    if (Bun.which(tool, { PATH: path }) === null) return `it needs ${tool}`;
  const probe = Bun.spawnSync(["sh", "-c", "losetup -f >/dev/null && unshare -m --propagation private true"], { env: { PATH: path } });
  return probe.exitCode === 0 ? null : `no loop devices or mount namespaces: ${probe.stderr.toString().trim()}`;
}
