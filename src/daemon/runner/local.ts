/** The local runner: a machine `local` or `local/NAME` is this host, and a command is shell text for `sh`. */
import type { Problem } from "../../core/problem.ts";
import { HostRuns, type HostRunsOptions } from "./host-runs.ts";
import type { AttachOutcome, RunLog, RunName, Runner, RunRequest, StartOutcome, StopOutcome, StopSignal } from "./runner.ts";

export class LocalRunner implements Runner {
  readonly #runs: HostRuns;

  constructor(options: HostRunsOptions) {
    this.#runs = new HostRuns(options);
  }

  start(request: RunRequest): Promise<StartOutcome> {
    return this.#runs.start(request);
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
    return this.#runs.probe();
  }
}
