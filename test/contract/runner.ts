/**
 * The battery that every Runner passes: local, driver and ssh with real processes, and the fake as far as
 * it goes. A harness says how its runner is opened and reopened; the tests never look behind the interface
 * except into the run directory, whose files supervisor.ts specifies.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Program, RunEnd, RunName, Runner, RunRequest, StartOutcome } from "../../src/daemon/runner/runner.ts";
import { runnerExecutionBattery } from "./runner-execution.ts";

export interface RunnerUnderTest {
  readonly runner: Runner;
  readonly machine: string;
  /** false for the fake: it executes nothing. */
  readonly executes: boolean;
  /** A program of this runner's kind that runs this shell text. */
  program(text: string): Program;
  /** A runner that knows only what is on disk, as after a restart of the daemon. */
  reopen(): Promise<Runner>;
  /** Where the run's directory is; the executing host is this one, or an sshd on it. */
  runDirectory(run: RunName): string;
  /** The folder in which jobs begin. */
  readonly workDirectory: string;
  /** The environment of jobs beside EXPJOB_*; null when a login gives it. */
  readonly environment: Readonly<Record<string, string>> | null;
  /**
   * Starts a program that reads a RunRequest as JSON from its standard input, starts it with a runner of its
   * own on the same run root, prints the outcome's kind and a newline, and stays until it is killed.
   */
  readonly starterCommand: readonly string[] | null;
  /** Only for the fake: ends a run that `endless` began. */
  readonly finish?: (run: RunName, exitCode: number) => void;
  close(): Promise<void>;
}

/** One run of a test: its request, and a way to end it from outside. */
export interface TestRun {
  readonly request: RunRequest;
  finish(exitCode: number): void;
}

/** What tests need of a harness: requests with fresh run ids, and their logs. */
export class RunnerTestBed {
  readonly folder = mkdtempSync(join(tmpdir(), "expjob-runner-"));
  readonly #requests: RunRequest[] = [];
  #count = 0;

  constructor(readonly under: RunnerUnderTest) {}

  get runner(): Runner {
    return this.under.runner;
  }

  request(text: string, more: Partial<RunRequest> = {}): RunRequest {
    this.#count += 1;
    const jid = this.#count;
    const request: RunRequest = {
      jid,
      command: 0,
      runId: `r${jid}${crypto.randomUUID().replaceAll("-", "").slice(0, 12)}`,
      machine: this.under.machine,
      program: this.under.program(text),
      environment: { EXPJOB_JID: String(jid) },
      log: { stdout: join(this.folder, `${jid}.out`), stderr: join(this.folder, `${jid}.err`) },
      caller: { umask: 0o022, openFilesSoft: null },
      ...more,
    };
    this.#requests.push(request);
    return request;
  }

  /** A run that goes on until `finish`, after it did what `text` says. */
  endless(text = ":"): TestRun {
    const file = join(this.folder, `${this.#count + 1}.finish`);
    const request = this.request(`${text}; while ! [ -f '${file}' ]; do sleep 0.02; done; exit "$(cat '${file}')"`);
    const finish = (exitCode: number) => {
      if (this.under.finish !== undefined) return this.under.finish(request, exitCode);
      writeFileSync(`${file}.new`, String(exitCode));
      renameSync(`${file}.new`, file);
    };
    return { request, finish };
  }

  async run(text: string, more: Partial<RunRequest> = {}): Promise<{ exitCode: number; stdout: string; stderr: string }> {
    const request = this.request(text, more);
    const end = await started(await this.runner.start(request)).end;
    return { exitCode: exitCodeOf(end), stdout: this.stdout(request), stderr: this.stderr(request) };
  }

  stdout(request: RunRequest): string {
    return readFileSync(request.log.stdout, "utf8");
  }

  stderr(request: RunRequest): string {
    return readFileSync(request.log.stderr, "utf8");
  }

  /** Nothing of a failed test goes on. */
  async close(): Promise<void> {
    const runner = await this.under.reopen();
    for (const request of this.#requests) await runner.stop(request, "KILL");
    await this.under.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export function started(outcome: StartOutcome): Extract<StartOutcome, { kind: "started" }> {
  if (outcome.kind !== "started") throw new Error(`not started: ${JSON.stringify(outcome)}`);
  return outcome;
}

export function exitCodeOf(end: RunEnd): number {
  if (end.kind !== "exited") throw new Error(`not exited: ${JSON.stringify(end)}`);
  return end.exitCode;
}

export function runnerBattery(name: string, open: () => Promise<RunnerUnderTest>): void {
  describe(`runner contract: ${name}`, () => {
    let bed: RunnerTestBed;
    beforeAll(async () => {
      bed = new RunnerTestBed(await open());
    });
    afterAll(() => bed.close());

    test("a run that is started ends with the exit code of its program", async () => {
      const { request, finish } = bed.endless();
      const before = Date.now();
      const outcome = started(await bed.runner.start(request));
      finish(7);
      const end = await outcome.end;
      expect(end).toMatchObject({ kind: "exited", exitCode: 7 });
      expect(outcome.at).toBeGreaterThanOrEqual(before - 2_000);
      expect(end.kind === "exited" && end.at >= outcome.at).toBe(true);
    });

    test("of twenty starts of one run id at the same time one begins", async () => {
      const { request, finish } = bed.endless(`echo "$$" >>'${join(bed.folder, "ledger")}'`);
      const second = await bed.under.reopen();
      const runners = Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? bed.runner : second));
      const outcomes = await Promise.all(runners.map((runner) => runner.start(request)));
      const begun = outcomes.filter((outcome) => outcome.kind === "started");
      expect(begun).toHaveLength(1);
      expect(outcomes.filter((outcome) => outcome.kind === "not-started")).toEqual([]);
      finish(0);
      await Promise.all(begun.map((outcome) => started(outcome).end));
      if (bed.under.executes) expect(readFileSync(join(bed.folder, "ledger"), "utf8").trim().split("\n")).toHaveLength(1);
    });

    test("a second start after the end does not run it again", async () => {
      const request = bed.endless();
      const outcome = started(await bed.runner.start(request.request));
      request.finish(3);
      await outcome.end;
      expect((await bed.runner.start(request.request)).kind).toBe("uncertain");
      expect(await bed.runner.attach(request.request, request.request.log)).toMatchObject({ kind: "exited", exitCode: 3 });
    });

    test("a run is taken up while it runs, and its end is the true one", async () => {
      const { request, finish } = bed.endless();
      started(await bed.runner.start(request));
      const attached = await (await bed.under.reopen()).attach(request, request.log);
      if (attached.kind !== "running") throw new Error(JSON.stringify(attached));
      expect(Math.abs(attached.startedAt - Date.now())).toBeLessThan(60_000);
      finish(42);
      expect(await attached.end).toMatchObject({ kind: "exited", exitCode: 42 });
    });

    test("a run that ended while nobody looked has its exit code", async () => {
      const { request, finish } = bed.endless();
      const outcome = started(await bed.runner.start(request));
      finish(9);
      await outcome.end;
      expect(await (await bed.under.reopen()).attach(request, request.log)).toMatchObject({ kind: "exited", exitCode: 9 });
    });

    test("a run that nobody began is not started, and a late start does not begin it", async () => {
      const ledger = join(bed.folder, "late");
      const request = bed.request(`echo late >>'${ledger}'`);
      const runner = await bed.under.reopen();
      expect(await runner.attach(request, request.log)).toEqual({ kind: "not-started" });
      expect((await bed.runner.start(request)).kind).not.toBe("started");
      expect(await runner.attach(request, request.log)).toEqual({ kind: "not-started" });
      expect(await Bun.file(ledger).exists()).toBe(false);
    });

    test("stop ends a run by the signal", async () => {
      const { request } = bed.endless();
      const outcome = started(await bed.runner.start(request));
      const stopped = await bed.runner.stop(request, "TERM");
      expect(stopped.kind === "signaled" && stopped.processes > 0).toBe(true);
      expect(exitCodeOf(await outcome.end)).toBe(143);
    });

    test("stop of a run that is over or never was signals nothing", async () => {
      const { request, finish } = bed.endless();
      expect(await bed.runner.stop(request, "KILL")).toEqual({ kind: "signaled", processes: 0 });
      const outcome = started(await bed.runner.start(request));
      finish(0);
      await outcome.end;
      expect(await bed.runner.stop(request, "KILL")).toEqual({ kind: "signaled", processes: 0 });
    });

    test("release may come twice, and for a run that never was", async () => {
      const { request, finish } = bed.endless();
      const outcome = started(await bed.runner.start(request));
      finish(0);
      await outcome.end;
      await bed.runner.release(request);
      await bed.runner.release(request);
      if (bed.under.executes) expect(await Bun.file(join(bed.under.runDirectory(request), "status")).exists()).toBe(false);
    });

    test("a machine where runs can be started has no problem", async () => {
      expect(await bed.runner.probe(bed.under.machine)).toBeNull();
    });
  });
  runnerExecutionBattery(name, open);
}
