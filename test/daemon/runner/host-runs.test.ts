import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { problem } from "../../../src/core/problem.ts";
import { DriverRunner } from "../../../src/daemon/runner/driver.ts";
import type { HostRunsOptions } from "../../../src/daemon/runner/host-runs.ts";
import { LocalRunner } from "../../../src/daemon/runner/local.ts";
import { readProcessStat } from "../../../src/daemon/runner/process-identity.ts";
import type { RunRequest } from "../../../src/daemon/runner/runner.ts";
import { exitCodeOf, RunnerTestBed, started } from "../../contract/runner-test-bed.ts";
import { runFileOf, runLines, supervisorPidIn } from "../../support/run-file.ts";
import { waitFor } from "../../support/wait-for.ts";
import { openHostRunner } from "./host-runner-harness.ts";
import { mountSmall } from "./small-file-system.ts";

describe("runs on this host", () => {
  let bed: RunnerTestBed;
  beforeEach(async () => {
    bed = new RunnerTestBed(await openHostRunner("local"));
  });
  afterEach(() => bed.close());
  const options = (more: Partial<HostRunsOptions> = {}): HostRunsOptions => ({
    root: join(bed.folder, "runs"),
    workDirectory: bed.folder,
    environment: { PATH: process.env.PATH },
    warn: (cause) => {
      throw new Error(JSON.stringify(cause));
    },
    ...more,
  });

  const ranTo = async (request: RunRequest): Promise<void> => void (await started(await bed.runner.start(request)).end);

  test("a work directory that is gone is not started, with the reason, and stays so", async () => {
    const runner = new LocalRunner(options({ workDirectory: join(bed.folder, "gone") }));
    const request = bed.request("echo ran");
    expect(await runner.start(request)).toEqual({
      kind: "not-started",
      problem: problem("start-failed", { reason: "work-directory", path: join(bed.folder, "gone") }),
    });
    expect(await runner.attach(request, request.log)).toEqual({ kind: "not-started" });
  });

  test("the folder of the logs is made, and one that cannot be made is said", async () => {
    const deep = join(bed.folder, "a", "b");
    const request = bed.request("echo ran", { log: { stdout: join(deep, "o"), stderr: join(deep, "e") } });
    await started(await bed.runner.start(request)).end;
    expect(bed.stdout(request)).toBe("ran\n");
    writeFileSync(join(bed.folder, "file"), "");
    const log = { stdout: join(bed.folder, "file", "o"), stderr: join(bed.folder, "e") };
    const outcome = await bed.runner.start(bed.request("echo ran", { log }));
    expect(outcome).toMatchObject({ kind: "not-started", problem: { code: "log-unwritable" } });
  });

  test("a folder of logs that went away is said, and made again for the next run", async () => {
    const folder = join(bed.folder, "logs");
    const log = (name: string) => ({ stdout: join(folder, `${name}.o`), stderr: join(folder, `${name}.e`) });
    await started(await bed.runner.start(bed.request(":", { log: log("1") }))).end;
    rmSync(folder, { recursive: true });
    const refused = bed.request("echo ran", { log: log("2") });
    expect(await bed.runner.start(refused)).toMatchObject({ kind: "not-started", problem: { code: "log-unwritable" } });
    expect(await bed.runner.attach(refused, refused.log)).toEqual({ kind: "not-started" });
    const request = bed.request("echo ran", { log: log("3") });
    await started(await bed.runner.start(request)).end;
    expect(bed.stdout(request)).toBe("ran\n");
  });

  test("a command that the system does not take is not started", async () => {
    const request = bed.request(`: ${"x".repeat(200_000)}`);
    expect(await bed.runner.start(request)).toMatchObject({ kind: "not-started", problem: { code: "command-too-long" } });
    expect(await bed.runner.attach(request, request.log)).toEqual({ kind: "not-started" });
  });

  test("a run root that cannot be made is said by start and by probe", async () => {
    writeFileSync(join(bed.folder, "file"), "");
    const runner = new LocalRunner(options({ root: join(bed.folder, "file", "runs") }));
    expect(await runner.start(bed.request(":"))).toMatchObject({ kind: "not-started", problem: { code: "run-directory-failed" } });
    expect(await runner.probe("local")).toMatchObject({ code: "run-directory-failed" });
  });

  const small = mountSmall("size=64k,nr_inodes=12");
  test.skipIf(small === null)("a full disk is not started, named, and gone when there is space (SKIPPED without root)", async () => {
    if (small === null) return;
    const runner = new LocalRunner(options({ root: join(small.folder, "runs") }));
    expect(await runner.probe("local")).toBeNull();
    const ballast = Array.from({ length: 20 }, (_, index) => join(small.folder, `b${index}`));
    for (const file of ballast) await Bun.write(file, "").catch((error: unknown) => error);
    const request = bed.request("echo ran");
    expect(await runner.start(request)).toMatchObject({ kind: "not-started", problem: { code: "no-space" } });
    expect(await runner.probe("local")).toMatchObject({ code: "no-space" });
    for (const file of ballast) rmSync(file, { force: true });
    expect(await runner.probe("local")).toBeNull();
    expect(await runner.attach(request, request.log)).toEqual({ kind: "not-started" });
    const again = bed.request("echo ran");
    expect(exitCodeOf(await started(await runner.start(again)).end)).toBe(0);
  });
  afterAll(() => small?.close());

  test("a driver that is missing, or not executable, or no file is not started", async () => {
    const script = join(bed.folder, "driver");
    const driver = new DriverRunner({ ...options(), driver: script });
    const request = () => bed.request("", { program: { kind: "words", words: [script, "a b"] } });
    expect(await driver.start(request())).toEqual({ kind: "not-started", problem: problem("driver-missing", { path: script }) });
    expect(await driver.probe("m")).toEqual(problem("driver-missing", { path: script }));
    writeFileSync(script, '#!/bin/sh\necho "$1"\n', { mode: 0o644 });
    expect(await driver.start(request())).toMatchObject({ kind: "not-started", problem: { code: "driver-not-executable" } });
    chmodSync(script, 0o755);
    expect(await driver.probe("m")).toBeNull();
    const run = request();
    expect(exitCodeOf(await started(await driver.start(run)).end)).toBe(0);
    expect(bed.stdout(run)).toBe("a b\n");
    const folder = bed.request("", { program: { kind: "words", words: [bed.folder] } });
    expect(await driver.start(folder)).toMatchObject({ kind: "not-started", problem: { code: "driver-not-executable" } });
    expect(await driver.attach(folder, folder.log)).toEqual({ kind: "not-started" });
  });

  test("KILL right after the start ends a job that had not begun", async () => {
    for (let round = 0; round < 20; round += 1) {
      const request = bed.request("sleep 600");
      const outcome = started(await bed.runner.start(request));
      await bed.runner.stop(request, round % 2 === 0 ? "KILL" : "TERM");
      expect(exitCodeOf(await outcome.end)).toBe(round % 2 === 0 ? 137 : 143);
    }
  });

  test("a run directory that was deleted under a run is lost with that reason", async () => {
    const { request, finish } = bed.endless();
    const outcome = started(await bed.runner.start(request));
    const pid = supervisorPidIn(bed.under.runDirectory(request));
    rmSync(bed.under.runDirectory(request), { recursive: true });
    const gone = { kind: "lost", problem: { code: "run-directory-gone" } };
    expect(await (await bed.under.reopen()).attach(request, request.log)).toMatchObject({ ...gone, sessionEmpty: false });
    finish(0);
    expect(await outcome.end).toMatchObject({ ...gone, sessionEmpty: true });
    await waitFor(() => readProcessStat(pid) === null);
  });

  test("after a reboot a run directory that nobody has taken is lost and not free to run again", async () => {
    const request = { ...bed.request("echo ran"), hostBootId: "00000000-0000-0000-0000-000000000000" };
    const lost = { kind: "lost", problem: { code: "rebooted" }, sessionEmpty: true };
    expect(await bed.runner.attach(request, request.log)).toMatchObject(lost);
    mkdirSync(bed.under.runDirectory(request), { recursive: true });
    writeFileSync(runFileOf(bed.under.runDirectory(request)), "\0".repeat(100));
    expect(await bed.runner.attach(request, request.log)).toMatchObject(lost);
  });

  test("a run whose supervisor died before its line was whole is not started", async () => {
    for (const text of ["", "\n", "\nbegin 12 34 14900664-06c4-428a"]) {
      const request = bed.request("echo ran");
      mkdirSync(bed.under.runDirectory(request), { recursive: true });
      writeFileSync(runFileOf(bed.under.runDirectory(request)), text);
      expect(await bed.runner.attach(request, request.log)).toEqual({ kind: "not-started" });
      expect((await bed.runner.start(request)).kind).not.toBe("started");
      expect(existsSync(request.log.stdout) && bed.stdout(request) !== "").toBe(false);
    }
  });

  test("directories of runs that have ended serve others, which know nothing of them", async () => {
    const inodes = new Set<number>();
    for (let round = 0; round < 5; round += 1) {
      const request = bed.request(`exit ${round}`);
      const outcome = started(await bed.runner.start(request));
      const directory = bed.under.runDirectory(request);
      inodes.add(statSync(runFileOf(directory)).ino);
      expect(exitCodeOf(await outcome.end)).toBe(round);
      expect(runLines(directory)).toEqual([expect.stringMatching(/^begin \d+ /), `exit ${round}`]);
      expect(await (await bed.under.reopen()).attach(request, request.log)).toMatchObject({
        kind: "exited",
        exitCode: round,
        startedAt: expect.closeTo(outcome.at, -5),
      });
      await bed.runner.release(request);
      expect(existsSync(directory)).toBe(false);
    }
    expect(inodes.size).toBe(1);
  });

  test.each([
    ["was withdrawn", async (request: RunRequest) => void (await bed.runner.attach(request, request.log))],
    [
      "was refused",
      async (request: RunRequest) => {
        const folder = { stdout: bed.folder, stderr: request.log.stderr };
        expect((await bed.runner.start({ ...request, log: folder })).kind).toBe("not-started");
      },
    ],
    [
      "was given to two",
      async (request: RunRequest) => {
        await ranTo(request);
        expect((await bed.runner.start(request)).kind).toBe("uncertain");
      },
    ],
    [
      "is open to others",
      async (request: RunRequest) => {
        await ranTo(request);
        chmodSync(bed.under.runDirectory(request), 0o777);
      },
    ],
    ["was lost", (request: RunRequest) => ranTo({ ...request, program: { kind: "shell", text: "kill -9 $PPID" } })],
    [
      "has a file of its job",
      (request: RunRequest) => ranTo({ ...request, program: { kind: "shell", text: `touch '${bed.under.runDirectory(request)}/x'` } }),
    ],
  ])("the directory of a run that %s serves no other", async (_what, become) => {
    const request = bed.request("true");
    await become(request);
    const root = dirname(bed.under.runDirectory(request));
    const spares = () => readdirSync(root).filter((name) => name.startsWith("spare."));
    const before = spares();
    await bed.runner.release(request);
    expect([existsSync(bed.under.runDirectory(request)), spares()]).toEqual([false, before]);
  });

  test("a directory whose file somebody has replaced serves no other run, which begins all the same", async () => {
    for (const spoil of [
      "rm run; ln -s /etc/passwd run",
      "rm run; mkfifo run",
      "ln run ../other",
      "chmod 666 run",
      "rm run",
      "rm run; mkdir run",
    ]) {
      const first = bed.request("true");
      await ranTo(first);
      await bed.runner.release(first);
      const root = dirname(bed.under.runDirectory(first));
      for (const name of readdirSync(root).filter((one) => one.startsWith("spare.")))
        Bun.spawnSync(["sh", "-c", spoil], { cwd: join(root, name) });
      expect(exitCodeOf(await started(await bed.runner.start(bed.request("exit 3"))).end)).toBe(3);
    }
    expect(readFileSync("/etc/passwd", "latin1")).not.toBe("");
  });

  test("a run of a server of before, which had other files, is lost and not begun again", async () => {
    const request = bed.request("echo ran");
    mkdirSync(bed.under.runDirectory(request), { recursive: true });
    writeFileSync(join(bed.under.runDirectory(request), "claim"), "");
    expect(await bed.runner.attach(request, request.log)).toMatchObject({ kind: "lost", problem: { code: "supervisor-gone" } });
    expect(existsSync(request.log.stdout)).toBe(false);
  });

  test("a run directory that cannot be read is a problem and not an exception", async () => {
    const request = bed.request(":");
    mkdirSync(dirname(bed.under.runDirectory(request)), { recursive: true });
    writeFileSync(bed.under.runDirectory(request), "");
    expect(await bed.runner.attach(request, request.log)).toMatchObject({ kind: "unreachable", problem: { code: "run-directory-failed" } });
    expect(await bed.runner.stop(request, "KILL")).toMatchObject({ kind: "unreachable" });
  });
});
