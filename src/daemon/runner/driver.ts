/**
 * The driver runner: the lab's own program runs on this host and does with the machine what it likes;
 * no machine is contacted here. A driver that is missing or not executable is said before anything starts.
 */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { isAbsolute } from "node:path";
import { type Problem, problem } from "../../core/problem.ts";
import { HostRuns, type HostRunsOptions } from "./host-runs.ts";
import { errorCode } from "./run-directory.ts";
import type { AttachOutcome, RunLog, RunName, Runner, RunRequest, StartOutcome, StopOutcome, StopSignal } from "./runner.ts";

export interface DriverRunnerOptions extends HostRunsOptions {
  /** The driver, absolute: what probe looks at. A request names its own in word 0. */
  readonly driver: string;
}

export class DriverRunner implements Runner {
  readonly #runs: HostRuns;
  readonly #driver: string;

  constructor(options: DriverRunnerOptions) {
    this.#runs = new HostRuns(options);
    this.#driver = options.driver;
  }

  async start(request: RunRequest): Promise<StartOutcome> {
    const cause = await driverProblem(request.program.kind === "words" ? request.program.words[0] : this.#driver);
    return cause === null ? await this.#runs.start(request) : this.#runs.refuse(request, cause);
  }

  attach(run: RunName, log: RunLog): Promise<AttachOutcome> {
    return this.#runs.attach(run, log);
  }

  stop(run: RunName, signal: StopSignal): Promise<StopOutcome> {
    return this.#runs.stop(run, signal);
  }

  release(run: RunName): Promise<void> {
    return this.#runs.release(run);
  }

  async probe(_machine: string): Promise<Problem | null> {
    return (await driverProblem(this.#driver)) ?? this.#runs.probe();
  }
}

/** Why this file cannot be executed; null: it can. */
export async function driverProblem(path: string | undefined): Promise<Problem | null> {
  if (path === undefined || !isAbsolute(path)) return problem("driver-missing", { path: path ?? "" });
  try {
    if (!(await stat(path)).isFile()) return problem("driver-not-executable", { path });
    await access(path, constants.X_OK);
    return null;
  } catch (error) {
    const missing = errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR";
    return problem(missing ? "driver-missing" : "driver-not-executable", { path });
  }
}
