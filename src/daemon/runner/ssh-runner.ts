/**
 * The ssh runner: shell text, executed on the machine itself by the same supervisor as on this host. Agents (one a
 * machine) start runs and report their ends; logs come over by commands of their own. It holds no job state: the run
 * directory on the machine is the handle of a run, and a daemon, a connection or an agent that dies changes nothing.
 *
 * Run directories are `<run root>/<machine id>/<server id>/<jid>.<command>.<run id>/`. The run root is
 * `~/.local/state/expjobserver/runs` unless the class sets its own, which must be an absolute path of a local disk.
 * The machine id (/etc/machine-id, else the host name) is in the path because lab homes are often one NFS export for
 * all machines: a claim must be exclusive where it executes, and with one client to a folder it is so on NFS too.
 * Why an agent: docs/adr/0005-agent-on-the-machine.md.
 */
import { type Problem, problem } from "../../core/problem.ts";
import { runDirectoryName } from "../../store/run-directory-name.ts";
import { type MachineShell, MachineShellError } from "../machine-shell.ts";
import type { AgentBegun, AgentEnd, AgentIdentity, Inspection, LogBase } from "./agent-words.ts";
import { LogCopy } from "./log-copy.ts";
import type { AwaitedEnd } from "./machine-agent.ts";
import { MachineAgents, type OpenAgent } from "./machine-agents.ts";
import { errorCode, parseClaim, parseExit, RUN_FILE } from "./run-directory.ts";
import { fileProblem, syncLog } from "./run-log.ts";
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
} from "./runner.ts";
import { isDiskRefusal, machineDiskProblem, startRefusal, unsendable } from "./ssh-start-problem.ts";
import { supervisorEnvironment } from "./supervisor.ts";

export interface SshRunnerOptions {
  readonly shell: (machine: string) => MachineShell;
  readonly serverId: string;
  /** On the machine, beginning with `/` or, for the login home, `~/`; null: `~/.local/state/expjobserver/runs`. */
  readonly runRoot: string | null;
  readonly now: () => number;
  /** Told of what is left for later: a run directory that cannot be removed. */
  readonly warn?: (problem: Problem) => void;
}

/** A job that ends sooner needs no follower: its log comes with its end. */
const FOLLOW_AFTER_MS = 100;
/** For the supervisor to claim and say so; a machine that takes longer is as good as gone. */
const BEGIN_TIMEOUT_MS = 60_000;
/** How often attach looks again at a directory that changes under it. */
const ATTACH_LOOKS_MAX = 50;
const LOOK_AGAIN_MS = 100;
/** After the death of a supervisor its processes may be dying too: how long to wait before saying they live. */
const SESSION_GRACE_MS = 1_000;
const UNRELEASED_MAX = 1_000;

export class SshRunner implements Runner {
  readonly #options: SshRunnerOptions;
  readonly #agents: MachineAgents;
  /** By machine and run: what is followed is not followed twice. */
  readonly #live = new Map<string, { readonly startedAt: number; readonly end: Promise<RunEnd> }>();
  /** By machine: run directories that could not be removed while it was away. */
  readonly #unreleased = new Map<string, readonly RunName[]>();

  constructor(options: SshRunnerOptions) {
    this.#options = options;
    this.#agents = new MachineAgents(options.shell);
  }

  async start(request: RunRequest): Promise<StartOutcome> {
    const { program, machine, log, caller } = request;
    if (program.kind !== "shell")
      return { kind: "not-started", problem: problem("start-failed", { message: "a driver does not run over SSH" }) };
    // Core dumps are as the machine has them: the server turned off its own only.
    const there = caller === null ? null : { umask: caller.umask, openFilesSoft: caller.openFilesSoft };
    const environment = { ...request.environment, ...supervisorEnvironment(program, there) };
    const refusal = unsendable(environment);
    if (refusal !== null) return { kind: "not-started", problem: refusal };
    let place: Place;
    let logs: LogCopy;
    try {
      place = await this.#placeOf(request);
      if (request.hostBootId !== undefined && request.hostBootId !== place.identity.bootId)
        return { kind: "not-started", problem: problem("unreachable", { machine, message: "it was rebooted just now" }) };
      logs = this.#openLogs({ machine, directory: place.directory, log, base: null, umask: caller?.umask ?? null });
    } catch (error) {
      // Nothing was sent: nothing can start late.
      return { kind: "not-started", problem: problemOf(error, log.stdout) };
    }
    const { begun, end } = place.agent.start({ directory: place.directory, base: logs.base, environment });
    const outcome = await this.#begun(place, begun);
    if (outcome.kind === "begun") {
      const startedAt = this.#options.now();
      return {
        kind: "started",
        at: startedAt,
        end: this.#track({ run: request, startedAt, end: this.#follow({ place, run: request, log, logs, end }) }),
      };
    }
    await logs.close();
    return outcome;
  }

  async attach(run: RunName, log: RunLog): Promise<AttachOutcome> {
    const live = this.#live.get(keyOf(run));
    if (live !== undefined) return { kind: "running", ...live };
    try {
      const place = await this.#placeOf(run);
      for (let look = 0; look < ATTACH_LOOKS_MAX; look += 1) {
        const outcome = await this.#judge({ run, log, place });
        if (outcome !== null) return outcome;
        await Bun.sleep(LOOK_AGAIN_MS);
      }
      return { kind: "lost", problem: problem("supervisor-gone", { path: place.directory }), sessionEmpty: false };
    } catch (error) {
      return { kind: "unreachable", problem: problemOf(error, log.stdout) };
    }
  }

  async stop(run: RunName, signal: StopSignal): Promise<StopOutcome> {
    try {
      const { agent, directory } = await this.#placeOf(run);
      return { kind: "signaled", processes: await agent.signal(directory, signal) };
    } catch (error) {
      return { kind: "unreachable", problem: problemOf(error, "") };
    }
  }

  async release(run: RunName): Promise<void> {
    try {
      const { agent, directory, machine } = await this.#placeOf(run);
      if (await agent.release(directory)) return;
      this.#options.warn?.(problem("run-directory-failed", { machine, path: directory, message: "it cannot be removed" }));
    } catch (error) {
      this.#options.warn?.(problemOf(error, ""));
      // Out of reach now: when it is back. After a restart of the server they stay there, and cost space only.
      const left = this.#unreleased.get(run.machine) ?? [];
      this.#unreleased.set(run.machine, [...left, run].slice(-UNRELEASED_MAX));
    }
  }

  async #releaseLeft(machine: string): Promise<void> {
    const left = this.#unreleased.get(machine) ?? [];
    this.#unreleased.delete(machine);
    for (const run of left) await this.release(run);
  }

  async probe(machine: string): Promise<Problem | null> {
    try {
      const { agent, identity } = await this.#agents.agent(machine);
      const root = this.#rootOf(identity);
      const message = await agent.probe(root);
      await this.#releaseLeft(machine);
      return message === null ? null : machineDiskProblem({ machine, path: root, message });
    } catch (error) {
      return problemOf(error, "");
    }
  }

  async bootOf(machine: string): Promise<HostBoot> {
    try {
      return { kind: "known", bootId: (await this.#agents.agent(machine)).identity.bootId };
    } catch (error) {
      return { kind: "unreachable", problem: problemOf(error, "") };
    }
  }

  /** Ends the agents, and with them all following; runs go on. */
  close(): void {
    this.#agents.close();
  }

  async #placeOf(run: RunName): Promise<Place> {
    const open = await this.#agents.agent(run.machine);
    return { ...open, machine: run.machine, directory: `${this.#rootOf(open.identity)}/${runDirectoryName(run)}` };
  }

  #rootOf({ home, machineId }: AgentIdentity): string {
    const root = (this.#options.runRoot ?? "~/.local/state/expjobserver/runs").replace(/^~(?=\/)/, () => home);
    return `${root}/${machineId}/${this.#options.serverId}`;
  }

  #openLogs(options: { machine: string; directory: string; log: RunLog; base: LogBase | null; umask: number | null }): LogCopy {
    const { machine, ...rest } = options;
    return new LogCopy({ ...rest, shell: this.#agents.shell(machine), places: this.#agents.followerPlaces(machine) });
  }

  #track({ run, startedAt, end }: { run: RunName; startedAt: number; end: Promise<RunEnd> }): Promise<RunEnd> {
    const key = keyOf(run);
    const tracked = end.finally(() => this.#live.delete(key));
    this.#live.set(key, { startedAt, end: tracked });
    return tracked;
  }

  async #begun(place: Place, begun: Promise<AgentBegun>): Promise<Exclude<StartOutcome, { kind: "started" }> | { readonly kind: "begun" }> {
    const { machine } = place;
    // The run may begin yet: whoever waits for this agent must learn that it is of no use.
    const timer = setTimeout(
      () => place.agent.close(problem("unreachable", { machine, message: `no answer within ${BEGIN_TIMEOUT_MS / 1_000} s` })),
      BEGIN_TIMEOUT_MS,
    );
    try {
      const answer = await begun;
      if (answer.line.startsWith("started ")) return { kind: "begun" };
      if (answer.line === "claimed") return { kind: "uncertain", problem: problem("start-failed", { reason: "claimed" }) };
      const message =
        answer.message !== "" || !isDiskRefusal(answer) ? answer.message : ((await place.agent.probe(this.#rootOf(place.identity))) ?? "");
      const cause = startRefusal({ ...answer, message }, { machine, path: place.directory });
      const { word } = await place.agent.withdraw(place.directory);
      // `failed`: what keeps us from withdrawing it is what kept the run from starting.
      const isCertain = word === "yes" || (word === "failed" && answer.line !== "");
      return { kind: isCertain ? "not-started" : "uncertain", problem: cause };
    } catch (error) {
      return { kind: "uncertain", problem: problemOf(error, "") };
    } finally {
      clearTimeout(timer);
    }
  }

  /** What the run directory says to a daemon that did not start the run. null: it is changing, look again. */
  async #judge({ run, log, place }: Judged): Promise<AttachOutcome | null> {
    const { agent, directory, machine } = place;
    const seen = await agent.inspect(directory);
    const name = runDirectoryName(run);
    const claim = parseClaim(seen.firstLine, name);
    const hasEnded = parseExit(seen.exitLine, name) !== null;
    if (hasEnded || claim?.kind === "begun") {
      const logs = this.#openLogs({ machine, directory, log, base: seen.base, umask: null });
      const end = this.#follow({ place, run, log, logs, end: agent.watch(directory) });
      const startedAt = this.#here(seen, seen.begunAt);
      if (!hasEnded && seen.alive) {
        return { kind: "running", ...this.#tracked(run, startedAt ?? this.#options.now(), end) };
      }
      const rebooted = claim?.kind === "begun" && claim.identity.bootId !== seen.bootId;
      return attachedEnd(await end, { startedAt, endedAt: this.#here(seen, seen.changedAt), rebooted });
    }
    if (claim?.kind === "refused") return { kind: "not-started" };
    if (claim?.kind === "withdrawn") return await this.#withdraw(place);
    if (run.hostBootId !== undefined && run.hostBootId !== seen.bootId)
      return { kind: "lost", problem: problem("rebooted"), sessionEmpty: true };
    return await this.#withdraw(place);
  }

  #tracked(run: RunName, startedAt: number, end: Promise<RunEnd>) {
    return { startedAt, end: this.#track({ run, startedAt, end }) };
  }

  async #withdraw({ agent, directory, machine }: Place): Promise<AttachOutcome | null> {
    const { word, message } = await agent.withdraw(directory);
    switch (word) {
      case "yes":
        return { kind: "not-started" };
      case "no":
        return null;
      case "damaged":
        return {
          kind: "lost",
          problem: problem("supervisor-gone", { path: directory, damaged: `${directory}/${RUN_FILE}` }),
          sessionEmpty: false,
        };
      case "gone":
        return { kind: "lost", problem: problem("run-directory-gone", { path: directory }), sessionEmpty: false };
      // tidy-allow switch-default: an open set, from the machine
      default:
        return { kind: "unreachable", problem: machineDiskProblem({ machine, path: directory, message }) };
    }
  }

  /** Shows the log while the job runs, and has it whole when the end is reported. Never rejects. */
  async #follow({ place, run, log, logs, end }: Followed): Promise<RunEnd> {
    const timer = setTimeout(() => logs.follow(), FOLLOW_AFTER_MS);
    try {
      const reached = await end;
      clearTimeout(timer);
      if ("code" in reached) return { kind: "disconnected", problem: reached };
      return await this.#conclude({ place, run, log, logs, end: reached });
    } catch (error) {
      return { kind: "disconnected", problem: problemOf(error, log.stdout) };
    } finally {
      clearTimeout(timer);
      await logs.close();
    }
  }

  async #conclude({ place, run, log, logs, end }: Concluded): Promise<RunEnd> {
    const exitCode = parseExit(end.exitLine, runDirectoryName(run));
    const copyProblem = await logs.complete(end);
    if (exitCode === null) return await this.#lose(place, run);
    const at = this.#options.now();
    const logProblem = copyProblem ?? (await syncLog(log));
    return { kind: "exited", exitCode, at, ...(logProblem === null ? {} : { logProblem }) };
  }

  /** Its supervisor is gone and left no exit code. */
  async #lose({ agent, directory }: Place, run: RunName): Promise<RunEnd> {
    let seen = await agent.inspect(directory);
    const claim = parseClaim(seen.firstLine, runDirectoryName(run));
    if (claim?.kind !== "begun") return { kind: "lost", problem: problem("run-directory-gone", { path: directory }), sessionEmpty: false };
    if (claim.identity.bootId !== seen.bootId) return { kind: "lost", problem: problem("rebooted"), sessionEmpty: true };
    for (let waitedMs = 0; seen.sessionProcesses > 0 && waitedMs < SESSION_GRACE_MS; waitedMs += LOOK_AGAIN_MS) {
      await Bun.sleep(LOOK_AGAIN_MS);
      seen = await agent.inspect(directory);
    }
    return { kind: "lost", problem: problem("supervisor-gone", { path: directory }), sessionEmpty: seen.sessionProcesses === 0 };
  }

  /** A time of the machine's clock on ours: only differences of its own times are believed. */
  #here(seen: Inspection, seconds: number | null): number | null {
    return seconds === null ? null : this.#options.now() - (seen.now - seconds) * 1_000;
  }
}

/** A run's directory, and the agent of the machine it is on. */
interface Place extends OpenAgent {
  readonly machine: string;
  readonly directory: string;
}

interface Judged {
  readonly run: RunName;
  readonly log: RunLog;
  readonly place: Place;
}

interface Followed {
  readonly place: Place;
  readonly run: RunName;
  readonly log: RunLog;
  readonly logs: LogCopy;
  readonly end: AwaitedEnd;
}

interface Concluded {
  readonly place: Place;
  readonly run: RunName;
  readonly log: RunLog;
  readonly logs: LogCopy;
  readonly end: AgentEnd;
}

function keyOf(run: RunName): string {
  return `${run.machine} ${runDirectoryName(run)}`;
}

interface SeenEnd {
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  readonly rebooted: boolean;
}

function attachedEnd(end: RunEnd, { startedAt, endedAt, rebooted }: SeenEnd): AttachOutcome {
  switch (end.kind) {
    case "exited":
      return { ...end, startedAt, at: endedAt ?? end.at, ...(rebooted ? { rebootedSince: true } : {}) };
    case "lost":
      return end;
    case "disconnected":
      return { kind: "unreachable", problem: end.problem };
  }
}

function problemOf(error: unknown, path: string): Problem {
  if (error instanceof MachineShellError) return error.problem;
  if (errorCode(error) !== "") return fileProblem("log-unwritable", path, error);
  return problem("start-failed", { message: String(error) });
}
