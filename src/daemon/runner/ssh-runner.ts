/**
 * The ssh runner: shell text, executed by the same supervisor on the machine itself. Its agents (one a machine)
 * start and watch; the logs come over by commands of their own. Run directories are on the machine's local disk,
 * keyed by machine id, because lab homes are shared by NFS and a claim must not be.
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { type Problem, problem } from "../../core/problem.ts";
import { type MachineShell, MachineShellError } from "../machine-shell.ts";
import { LogCopy } from "./log-copy.ts";
import { type AgentEnd, type AgentIdentity, MachineAgent } from "./machine-agent.ts";
import { errorCode, parsePidLine, parseStatus, runDirectoryName } from "./run-directory.ts";
import { fileProblem, syncLog } from "./run-log.ts";
import type { AttachOutcome, RunEnd, RunLog, RunName, Runner, RunRequest, StartOutcome, StopOutcome, StopSignal } from "./runner.ts";
import { supervisorEnvironment } from "./supervisor.ts";

export interface SshRunnerOptions {
  readonly shell: (machine: string) => MachineShell;
  readonly serverId: string;
  /** Absolute, on the machine; null: `~/.local/state/expjobserver/runs`. */
  readonly runRoot: string | null;
  readonly now: () => number;
}

interface OpenAgent {
  readonly agent: MachineAgent;
  readonly identity: AgentIdentity;
}

/** A job that ends sooner needs no follower: its log comes with its end. */
const FOLLOW_AFTER_MS = 150;
/** For the supervisor to claim and say so; a machine that takes longer is as good as gone. */
const BEGIN_TIMEOUT_MS = 60_000;
const ATTACH_LOOKS_MAX = 20;
const ATTACH_LOOK_MS = 100;

export class SshRunner implements Runner {
  private readonly agents = new Map<string, Promise<OpenAgent>>();

  constructor(private readonly options: SshRunnerOptions) {}

  async start(request: RunRequest): Promise<StartOutcome> {
    if (request.program.kind !== "shell")
      return { kind: "not-started", problem: problem("start-failed", { message: "a driver does not run over SSH" }) };
    let open: OpenAgent;
    let logs: LogCopy;
    let directory: string;
    try {
      open = await this.agent(request.machine);
      directory = this.directoryOf(request, open.identity);
      logs = this.openLogs(request, directory);
    } catch (error) {
      // Nothing was sent: nothing can start late.
      return { kind: "not-started", problem: this.problemOf(error, request.log.stdout) };
    }
    const environment = { ...request.environment, ...supervisorEnvironment(request.program, request.caller) };
    const { begun, end } = open.agent.start(directory, environment);
    const outcome = await this.begun(request.machine, open, begun);
    if (outcome === "started") {
      return { kind: "started", at: this.options.now(), end: this.follow({ run: request, log: request.log, directory, logs, end }) };
    }
    await logs.close();
    if (outcome.kind === "uncertain") return outcome;
    return (await this.withdrawn(open, directory)) ? outcome : { kind: "uncertain", problem: outcome.problem };
  }

  async attach(run: RunName, log: RunLog): Promise<AttachOutcome> {
    try {
      const open = await this.agent(run.machine);
      const directory = this.directoryOf(run, open.identity);
      for (let look = 0; look < ATTACH_LOOKS_MAX; look++) {
        const outcome = await this.judge({ run, log, directory, open });
        if (outcome !== null) return outcome;
        await Bun.sleep(ATTACH_LOOK_MS);
      }
      return { kind: "lost", problem: problem("supervisor-gone", { path: directory }), sessionEmpty: false };
    } catch (error) {
      return { kind: "unreachable", problem: this.problemOf(error, log.stdout) };
    }
  }

  async stop(run: RunName, signal: StopSignal): Promise<StopOutcome> {
    try {
      const { agent, identity } = await this.agent(run.machine);
      const answer = await agent.ask("signal", this.directoryOf(run, identity), signal);
      return { kind: "signaled", processes: Number(answer.words[0] ?? 0) };
    } catch (error) {
      return { kind: "unreachable", problem: this.problemOf(error, "") };
    }
  }

  async release(run: RunName): Promise<void> {
    try {
      const { agent, identity } = await this.agent(run.machine);
      await agent.ask("release", this.directoryOf(run, identity));
    } catch (error) {
      // The machine is away: its directory is removed when someone cleans up there.
      if (!(error instanceof MachineShellError)) throw error;
    }
  }

  async probe(machine: string): Promise<Problem | null> {
    try {
      const { agent, identity } = await this.agent(machine);
      const root = this.rootOf(identity);
      const answer = await agent.ask("probe", root);
      return answer.words[0] === "ok" ? null : problem("run-directory-failed", { machine, path: root, message: "it cannot be written" });
    } catch (error) {
      return this.problemOf(error, "");
    }
  }

  /** Ends the agents; runs go on. */
  close(): void {
    for (const agent of this.agents.values()) void agent.then((open) => open.agent.close()).catch(() => undefined);
    this.agents.clear();
  }

  private async agent(machine: string): Promise<OpenAgent> {
    const known = this.agents.get(machine);
    if (known !== undefined) {
      const open = await known.catch(() => null);
      if (open !== null && open.agent.dead === null) return open;
      if (this.agents.get(machine) === known) this.agents.delete(machine);
      return await this.agent(machine);
    }
    const opening = MachineAgent.open(this.options.shell(machine));
    this.agents.set(machine, opening);
    try {
      return await opening;
    } catch (error) {
      if (this.agents.get(machine) === opening) this.agents.delete(machine);
      throw error;
    }
  }

  /** What the run directory says to a daemon that did not start the run. null: it is changing, look again. */
  private async judge({ run, log, directory, open }: Judged): Promise<AttachOutcome | null> {
    const seen = await this.inspect(open.agent, directory);
    if (seen.exit !== null || seen.alive) {
      const logs = this.openLogs({ ...run, log }, directory);
      const followed = { run, log, directory, logs, end: open.agent.watch(directory) };
      if (seen.exit !== null) return await this.takeExit(followed, seen);
      return { kind: "running", startedAt: seen.startedAt ?? this.options.now(), end: this.follow(followed) };
    }
    if (seen.hasPid) return this.lost(seen, directory);
    if (seen.withdrawn) return { kind: "not-started" };
    const [answer] = (await open.agent.ask("withdraw", directory)).words;
    if (answer === "yes") return { kind: "not-started" };
    // Someone was faster: a supervisor, whose pid line is there or comes.
    if (answer === "no") return null;
    return { kind: "unreachable", problem: problem("run-directory-failed", { machine: run.machine, path: directory, message: "it cannot be written" }) };
  }

  private rootOf(identity: AgentIdentity): string {
    const root = this.options.runRoot ?? `${identity.home}/.local/state/expjobserver/runs`;
    return `${root}/${identity.machineId}/${this.options.serverId}`;
  }

  private directoryOf(run: RunName, identity: AgentIdentity): string {
    return `${this.rootOf(identity)}/${runDirectoryName(run)}`;
  }

  private openLogs(request: RunName & { readonly log: RunLog }, directory: string): LogCopy {
    mkdirSync(dirname(request.log.stdout), { recursive: true });
    mkdirSync(dirname(request.log.stderr), { recursive: true });
    return new LogCopy(this.options.shell(request.machine), directory, request.log);
  }

  private async begun(
    machine: string,
    open: OpenAgent,
    begun: Promise<string>,
  ): Promise<"started" | Extract<StartOutcome, { problem: Problem }>> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      late.reject(new MachineShellError(problem("unreachable", { machine, message: `no answer within ${BEGIN_TIMEOUT_MS / 1_000} s` })));
      open.agent.close();
    }, BEGIN_TIMEOUT_MS);
    try {
      const line = await Promise.race([begun, late.promise]);
      if (line.startsWith("started ")) return "started";
      if (line === "claimed") return { kind: "uncertain", problem: problem("start-failed", { reason: "claimed" }) };
      const code = line === "refused directory" || line === "refused pid" ? "run-directory-failed" : "start-failed";
      return {
        kind: "not-started",
        problem: problem(code, { machine, reason: line, path: this.rootOf(open.identity), message: "it cannot be written" }),
      };
    } catch (error) {
      return { kind: "uncertain", problem: this.problemOf(error, "") };
    } finally {
      clearTimeout(timer);
      begun.catch(() => undefined);
    }
  }

  private async withdrawn(open: OpenAgent, directory: string): Promise<boolean> {
    try {
      return (await open.agent.ask("withdraw", directory)).words[0] === "yes";
    } catch (error) {
      if (error instanceof MachineShellError) return false;
      throw error;
    }
  }

  /** Shows the log while the job runs, and has it whole when the end is reported. Never rejects. */
  private async follow(followed: Followed): Promise<RunEnd> {
    const timer = setTimeout(() => followed.logs.follow(), FOLLOW_AFTER_MS);
    try {
      const end = await followed.end;
      clearTimeout(timer);
      if ("code" in end) return { kind: "disconnected", problem: end };
      return await this.concluded(followed, end);
    } catch (error) {
      const reason = this.problemOf(error, followed.log.stdout);
      return { kind: "disconnected", problem: reason };
    } finally {
      clearTimeout(timer);
      await followed.logs.close();
    }
  }

  private async concluded({ run, log, directory, logs }: Followed, end: AgentEnd): Promise<RunEnd> {
    const status = parseStatus(`${end.statusLine}\n`);
    if (status?.kind !== "exited") {
      const { agent } = await this.agent(run.machine);
      const outcome = this.lost(await this.inspect(agent, directory), directory);
      return outcome;
    }
    // A log that is gone on the machine cannot be completed: what is here is what there is.
    await logs.complete({ outBytes: end.outBytes ?? 0, errBytes: end.errBytes ?? 0, inline: end.inline });
    const logProblem = await syncLog(log);
    return { kind: "exited", exitCode: status.exitCode, at: this.options.now(), ...(logProblem === null ? {} : { logProblem }) };
  }

  private async takeExit(followed: Followed, seen: Inspected): Promise<AttachOutcome> {
    const end = await this.follow(followed);
    if (end.kind === "disconnected") return { kind: "unreachable", problem: end.problem };
    if (end.kind === "lost") return end;
    return { ...end, startedAt: seen.startedAt, at: seen.endedAt ?? end.at };
  }

  private lost(seen: Inspected, directory: string): Extract<RunEnd, { kind: "lost" }> {
    if (seen.rebooted) return { kind: "lost", problem: problem("rebooted"), sessionEmpty: true };
    return { kind: "lost", problem: problem("supervisor-gone", { path: directory }), sessionEmpty: seen.members === 0 };
  }

  private async inspect(agent: MachineAgent, directory: string): Promise<Inspected> {
    const { words, lines } = await agent.ask("inspect", directory);
    const [now = "", boot = "", alive = "", members = "", begun = "", ended = "", claim = ""] = words;
    const [statusLine = "", pidLine = ""] = lines;
    const status = parseStatus(`${statusLine}\n`);
    const identity = parsePidLine(`${pidLine}\n`);
    // The machine's clock against ours: only differences of its own times are used.
    const ago = (mtime: string): number | null => (mtime === "-" ? null : this.options.now() - (Number(now) - Number(mtime)) * 1_000);
    return {
      exit: status?.kind === "exited" ? status.exitCode : null,
      alive: alive === "1",
      members: Number(members),
      hasPid: identity !== null,
      rebooted: identity !== null && identity.bootId !== boot,
      withdrawn: claim === "withdrawn",
      startedAt: ago(begun),
      endedAt: ago(ended),
    };
  }

  private problemOf(error: unknown, path: string): Problem {
    if (error instanceof MachineShellError) return error.problem;
    if (errorCode(error) !== "") return fileProblem("log-unwritable", path, error);
    return problem("start-failed", { message: String(error) });
  }
}

interface Judged {
  readonly run: RunName;
  readonly log: RunLog;
  readonly directory: string;
  readonly open: OpenAgent;
}

interface Followed {
  readonly run: RunName;
  readonly log: RunLog;
  readonly directory: string;
  readonly logs: LogCopy;
  readonly end: Promise<AgentEnd | Problem>;
}

interface Inspected {
  readonly exit: number | null;
  readonly alive: boolean;
  readonly members: number;
  readonly hasPid: boolean;
  readonly rebooted: boolean;
  readonly withdrawn: boolean;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
}
