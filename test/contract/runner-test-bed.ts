/**
 * What the runner battery stands on: how a harness describes its runner (RunnerUnderTest), requests with
 * fresh run ids and their logs, and that nothing a test started goes on after it.
 */
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Program, RunEnd, RunName, Runner, RunRequest, StartOutcome } from "../../src/daemon/runner/runner.ts";

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
  readonly #descriptors: number[] = [];
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

  /**
   * A run that goes on until `finish`, after it did what `text` says. It waits in `read`, so that a hundred of them
   * cost nothing, and the kernel ends it when this process is gone.
   */
  endless(text = ":"): TestRun {
    const pipe = join(this.folder, `${this.#count + 1}.finish`);
    const request = this.request(`${text}; read -r code <'${pipe}'; exit "$code"`);
    if (this.under.finish !== undefined) {
      const { finish } = this.under;
      return { request, finish: (exitCode) => finish(request, exitCode) };
    }
    const made = Bun.spawnSync(["mkfifo", pipe]);
    if (!made.success) throw new Error(`mkfifo: ${made.stderr}`);
    // Opened for both, an end of the pipe never waits for the other.
    const descriptor = openSync(pipe, constants.O_RDWR);
    this.#descriptors.push(descriptor);
    return { request, finish: (exitCode) => void writeSync(descriptor, `${exitCode}\n`) };
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
    for (const descriptor of this.#descriptors) closeSync(descriptor);
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
