/** What one daemon has in its hand of the simulated hosts: the Runner interface, over a network that delays, loses and cuts. */
import { type Problem, problem } from "../../../src/core/problem.ts";
import type {
  AttachOutcome,
  HostBoot,
  RunEnd,
  RunLog,
  RunName,
  Runner,
  RunRequest,
  StartOutcome,
  StopOutcome,
  StopSignal,
} from "../../../src/daemon/runner/runner.ts";
import { type Directory, type Execution, type Host, type Hosts, SERVER, unreachable } from "./hosts.ts";
import { stage } from "./stage.ts";

/** As the ssh runner: then it is not known whether it started. */
const BEGIN_TIMEOUT_MS = 30_000;

export class SimulatedRunner implements Runner {
  /** Runs that this daemon follows. */
  private readonly live = new Map<string, { readonly startedAt: number; readonly end: Promise<RunEnd> }>();
  readonly bootOf?: (machine: string) => Promise<HostBoot>;

  constructor(
    private readonly hosts: Hosts,
    private readonly kind: "driver" | "ssh",
  ) {
    if (kind === "ssh") this.bootOf = (machine) => this.knownBoot(machine);
  }

  async start(request: RunRequest): Promise<StartOutcome> {
    const { dice } = stage;
    const host = this.hostOf(request);
    await this.trip();
    if (!host.isReachable) return { kind: "not-started", problem: unreachable(request.machine) };
    if (request.hostBootId !== undefined && request.hostBootId !== host.bootId) {
      return {
        kind: "not-started",
        problem: this.hosts.settling ? problem("unreachable", { machine: request.machine }) : unreachable(request.machine),
      };
    }
    const fate = this.hosts.settling ? 99 : dice.below(100);
    if (fate < 4) return this.refused(host, request, dice.of([problem("no-space"), problem("start-failed"), problem("driver-missing")]));
    if (fate < 7) return this.refused(host, request, problem("start-failed", { machine: request.machine, reason: "x" }));
    return await this.sent(host, request, { isLost: fate < 10, isLate: fate < 17, isAnswerLost: fate < 22 });
  }

  async attach(run: RunName, _log: RunLog): Promise<AttachOutcome> {
    const live = this.live.get(run.runId);
    if (live !== undefined) return { kind: "running", ...live };
    const host = this.hostOf(run);
    await this.trip();
    if (!host.isReachable) return { kind: "unreachable", problem: unreachable(run.machine) };
    const directory = host.directories.get(run.runId);
    const outcome = directory === undefined ? this.withdraw(host, run) : this.judge(host, directory);
    await this.trip();
    // What was claimed there is claimed, also when nobody hears of it.
    if (!host.isReachable) return { kind: "unreachable", problem: unreachable(run.machine) };
    return outcome;
  }

  async stop(run: RunName, signal: StopSignal): Promise<StopOutcome> {
    const host = this.hostOf(run);
    await this.trip();
    if (!host.isReachable) return { kind: "unreachable", problem: unreachable(run.machine) };
    const directory = host.directories.get(run.runId);
    if (directory?.kind !== "begun" || directory.execution.bootId !== host.bootId) return { kind: "signaled", processes: 0 };
    const { execution } = directory;
    if (signal !== "0") this.hosts.signal(execution, signal === "KILL");
    return { kind: "signaled", processes: (execution.phase === "alive" ? 1 : 0) + execution.survivors };
  }

  async release(run: RunName): Promise<void> {
    const host = this.hostOf(run);
    await this.trip();
    const directory = host.directories.get(run.runId);
    if (!host.isReachable || directory === undefined) return;
    if (directory.kind === "begun" && directory.execution.phase === "alive") {
      this.hosts.violations.push(`the directory of run ${run.runId} of job ${run.jid} was removed while it ran`);
    }
    host.directories.delete(run.runId);
  }

  async probe(machine: string): Promise<Problem | null> {
    await this.trip();
    return this.kind === "driver" || this.hosts.at(machine).isReachable ? null : unreachable(machine);
  }

  private async knownBoot(machine: string): Promise<HostBoot> {
    const host = this.hosts.at(machine);
    await this.trip();
    return host.isReachable ? { kind: "known", bootId: host.bootId } : { kind: "unreachable", problem: unreachable(machine) };
  }

  private hostOf(run: RunName): Host {
    return this.hosts.at(this.kind === "driver" ? SERVER : run.machine);
  }

  private refused(host: Host, request: RunRequest, cause: Problem): StartOutcome {
    if (host.directories.has(request.runId)) return { kind: "uncertain", problem: cause };
    host.directories.set(request.runId, { kind: "withdrawn" });
    return { kind: "not-started", problem: cause };
  }

  /** The request is on its way: what becomes of it does not depend on whether its sender lives. */
  private sent(host: Host, request: RunRequest, fate: { isLost: boolean; isLate: boolean; isAnswerLost: boolean }): Promise<StartOutcome> {
    const { time, dice } = stage;
    const { life } = host;
    const sender = time.life;
    return new Promise((resolve) => {
      time.after(BEGIN_TIMEOUT_MS, "daemon", () => resolve({ kind: "uncertain", problem: unreachable(request.machine) }));
      if (fate.isLost) return;
      time.after(fate.isLate ? dice.delayMs(20_000, 600_000) : this.tripMs(), "world", () => {
        if (host.life !== life) return;
        const answer = this.hosts.begin(host.name, request);
        if (fate.isAnswerLost || time.life !== sender) return;
        const execution = executionOf(host.directories.get(request.runId));
        time.after(this.tripMs(), "daemon", () => {
          if (answer === "claimed" || execution === null) {
            resolve({ kind: "uncertain", problem: problem("start-failed", { reason: "claimed" }) });
          } else if (!host.isReachable) {
            resolve({ kind: "uncertain", problem: unreachable(request.machine) });
          } else {
            resolve({ kind: "started", at: time.now, end: this.followed(execution) });
          }
        });
      });
    });
  }

  private withdraw(host: Host, run: RunName): AttachOutcome {
    if (run.hostBootId !== undefined && run.hostBootId !== host.bootId) {
      return { kind: "lost", problem: problem("rebooted"), sessionEmpty: true };
    }
    host.directories.set(run.runId, { kind: "withdrawn" });
    return { kind: "not-started" };
  }

  private judge(host: Host, directory: Directory): AttachOutcome {
    if (directory.kind === "withdrawn") return { kind: "not-started" };
    const { execution } = directory;
    const { startedAt, exitCode, phase, survivors, endedAt } = execution;
    switch (phase) {
      case "alive":
        return { kind: "running", startedAt, end: this.followed(execution) };
      case "exited":
        return { kind: "exited", startedAt, exitCode: exitCode ?? -1, at: endedAt ?? startedAt };
      case "vanished": {
        const cause = problem(execution.bootId === host.bootId ? "supervisor-gone" : "rebooted");
        return { kind: "lost", problem: cause, sessionEmpty: survivors === 0 };
      }
    }
  }

  private followed(execution: Execution): Promise<RunEnd> {
    const { runId } = execution.request;
    const end = new Promise<RunEnd>((resolve) => {
      switch (execution.phase) {
        case "alive":
          this.hosts.watch({ runId, tell: resolve });
          break;
        case "exited":
          resolve({ kind: "exited", exitCode: execution.exitCode ?? -1, at: execution.endedAt ?? 0 });
          break;
        case "vanished":
          resolve({ kind: "lost", problem: problem("supervisor-gone"), sessionEmpty: execution.survivors === 0 });
          break;
      }
    }).finally(() => this.live.delete(runId));
    this.live.set(runId, { startedAt: execution.startedAt, end });
    return end;
  }

  private trip(): Promise<void> {
    return new Promise((resolve) => stage.time.after(this.tripMs(), "daemon", resolve));
  }

  private tripMs(): number {
    return this.kind === "driver" ? stage.dice.delayMs(0.1, 30) : stage.dice.delayMs(0.5, 2_000);
  }
}

function executionOf(directory: Directory | undefined): Execution | null {
  return directory?.kind === "begun" ? directory.execution : null;
}
