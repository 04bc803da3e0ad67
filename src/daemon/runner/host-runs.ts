/**
 * Runs on this host: what the local and the driver runner share. Starts the supervisor as the leader of
 * its own session with nothing of ours attached to the job, sees its end at once, takes up runs of an
 * earlier daemon, and stops a run's session. It holds no job state: the run directory tells everything,
 * and a daemon that dies here changes nothing for the job.
 */
import { statfsSync } from "node:fs";
import { join } from "node:path";
import { type Problem, problem } from "../../core/problem.ts";
import { runDirectoryName } from "../../store/run-directory-name.ts";
import { AttachedRuns } from "./attached-runs.ts";
import { hostBootId, type ProcessIdentity } from "./process-identity.ts";
import {
  createRunDirectory,
  errorCode,
  type RunDirectoryState,
  readExitCode,
  readRunDirectory,
  removeRunDirectory,
  withdrawRun,
} from "./run-directory.ts";
import { fileProblem, LogFolders, logProblem, syncLog } from "./run-log.ts";
import type { AttachOutcome, RunEnd, RunLog, RunName, RunRequest, StartOutcome, StopOutcome, StopSignal } from "./runner.ts";
import { isSessionEmpty, SessionSignals } from "./session.ts";
import { SpareRunDirectories } from "./spare-run-directories.ts";
import { type StandingStart, StandingSupervisors, type SupervisedEnd, type SupervisedRun } from "./standing-supervisors.ts";
import { supervisorArguments, supervisorEnvironment } from "./supervisor.ts";
import { findSupervisor, isSupervising } from "./supervisor-process.ts";

export interface HostRunsOptions {
  /** `<run root>/<server id>`, absolute. */
  readonly root: string;
  /** Where jobs run: the server's start directory, absolute. */
  readonly workDirectory: string;
  /** The server's start-up environment; jobs get it without what concerns only us. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Told of what is left for later: a run directory that cannot be removed. */
  readonly warn: (problem: Problem) => void;
}

/** After the death of a supervisor its processes may be dying too: how long to wait before saying they live. */
const SESSION_GRACE_MS = 1_000;
const SESSION_CHECK_MS = 50;
/** How often attach looks again at a directory that changes under it. */
const ATTACH_LOOKS_MAX = 80;
/** Command and environment of a run for a standing supervisor, bytes; the system refuses what is too large for it, and says so, of a supervisor for one run. */
const STANDING_BYTES_MAX = 65_536;

interface LiveRun {
  readonly startedAt: number;
  readonly end: Promise<RunEnd>;
}

export class HostRuns {
  readonly #options: HostRunsOptions;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #bootId = hostBootId();
  readonly #live = new Map<string, LiveRun>();
  readonly #attached = new AttachedRuns();
  readonly #signals = new SessionSignals();
  readonly #logFolders = new LogFolders();
  readonly #standing: StandingSupervisors;
  readonly #spares = new SpareRunDirectories();
  /** What was done with a run directory here: begun once, ended by the one supervisor that was ever told of it, or told to several. */
  readonly #used = new Map<string, "once" | "ended" | "twice">();

  constructor(options: HostRunsOptions) {
    this.#options = options;
    this.#environment = jobEnvironment(options.environment);
    this.#standing = new StandingSupervisors({ root: options.root, environment: this.#environment });
  }

  directoryOf(run: RunName): string {
    return join(this.#options.root, runDirectoryName(run));
  }

  async start(request: RunRequest): Promise<StartOutcome> {
    const directory = this.directoryOf(request);
    this.#used.set(directory, this.#used.has(directory) ? "twice" : "once");
    const unprepared = this.#prepare(directory, request.log);
    if (unprepared !== null) return this.refuse(request, unprepared);
    let run: SupervisedRun;
    try {
      run = this.#supervise(directory, request);
    } catch (error) {
      return this.refuse(request, spawnProblem(error));
    }
    const line = await run.said;
    if (line.startsWith("started ")) {
      const startedAt = Date.now();
      const end = run.ended.then((told) => this.#conclude(directory, request, told));
      return { kind: "started", at: startedAt, end: this.#track(directory, { startedAt, end }) };
    }
    if (line === "claimed") return { kind: "uncertain", problem: problem("start-failed", { reason: "claimed" }) };
    this.#logFolders.forget();
    return this.refuse(request, this.#refusal(line, directory, request.log));
  }

  /** Not started, for this reason; claimed, so that a late start cannot begin it and a later attach sees it. */
  refuse(run: RunName, cause: Problem): StartOutcome {
    const directory = this.directoryOf(run);
    try {
      if (!withdrawRun(directory)) return { kind: "uncertain", problem: cause };
    } catch {
      // What keeps us from withdrawing it is what kept the run from starting, and is in `cause`.
    }
    return { kind: "not-started", problem: cause };
  }

  async attach(run: RunName, log: RunLog): Promise<AttachOutcome> {
    const directory = this.directoryOf(run);
    const live = this.#live.get(directory);
    if (live !== undefined) return { kind: "running", ...live };
    try {
      for (let look = 0; look < ATTACH_LOOKS_MAX; look += 1) {
        const outcome = await this.#judge({ run, log, directory, state: readRunDirectory(directory) });
        if (outcome !== null) return outcome;
        await Bun.sleep(SESSION_CHECK_MS);
      }
      return { kind: "lost", problem: problem("supervisor-gone", { path: directory }), sessionEmpty: false };
    } catch (error) {
      return { kind: "unreachable", problem: fileProblem("run-directory-failed", directory, error) };
    }
  }

  async stop(run: RunName, signal: StopSignal): Promise<StopOutcome> {
    const directory = this.directoryOf(run);
    try {
      const state = readRunDirectory(directory);
      if ((state.kind !== "begun" && state.kind !== "exited") || state.identity === null) return { kind: "signaled", processes: 0 };
      const processes = await this.#signals.send({ supervisor: state.identity, jid: run.jid, directory }, signal);
      return { kind: "signaled", processes };
    } catch (error) {
      return { kind: "unreachable", problem: fileProblem("run-directory-failed", directory, error) };
    }
  }

  async release(run: RunName): Promise<void> {
    const directory = this.directoryOf(run);
    try {
      await (this.#used.get(directory) === "ended" ? this.#spares.keep(directory) : removeRunDirectory(directory));
    } catch (error) {
      this.#options.warn(fileProblem("run-directory-failed", directory, error));
    } finally {
      this.#used.delete(directory);
    }
  }

  /** Can a run directory be made? */
  probe(): Problem | null {
    try {
      createRunDirectory(this.#options.root);
      const { bavail, files, ffree } = statfsSync(this.#options.root);
      const full = bavail === 0 || (files > 0 && ffree === 0);
      return full ? problem("no-space", { path: this.#options.root, message: "no space left" }) : null;
    } catch (error) {
      return fileProblem("run-directory-failed", this.#options.root, error);
    }
  }

  #prepare(directory: string, log: RunLog): Problem | null {
    try {
      this.#logFolders.make(log);
    } catch (error) {
      return fileProblem("log-unwritable", log.stdout, error);
    }
    try {
      if (!this.#spares.take(directory)) createRunDirectory(directory);
      return null;
    } catch (error) {
      return fileProblem("run-directory-failed", directory, error);
    }
  }

  #supervise(directory: string, request: RunRequest): SupervisedRun {
    const { log, program, caller, environment } = request;
    const { workDirectory } = this.#options;
    const start = { runDirectory: directory, workDirectory, stdout: log.stdout, stderr: log.stderr, program, caller, environment };
    return bytesOf(start) <= STANDING_BYTES_MAX ? this.#standing.start(start) : this.#superviseAlone(start);
  }

  /** Its standard output is closed before the job begins: the pipe carries the supervisor's one line, never the job's. */
  #superviseAlone(start: StandingStart): SupervisedRun {
    const { program, caller, environment } = start;
    const child = Bun.spawn(["/bin/sh", ...supervisorArguments(start)], {
      detached: true,
      cwd: start.runDirectory,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
      env: { ...this.#environment, ...environment, ...supervisorEnvironment(program, caller) },
    });
    child.unref();
    return { said: new Response(child.stdout).text().then((text) => text.trim()), ended: child.exited.then(() => null) };
  }

  #refusal(line: string, directory: string, log: RunLog): Problem {
    switch (line) {
      case "refused log":
        return logProblem(log) ?? problem("log-unwritable", { path: log.stdout, message: "it could not be opened" });
      case "refused workdir":
        return problem("start-failed", { reason: "work-directory", path: this.#options.workDirectory });
      case "refused directory":
        return this.probe() ?? problem("run-directory-failed", { path: directory, message: "it cannot be written" });
      default: // tidy-allow switch-default: words of the supervisor, an open set
        return problem("start-failed", { reason: line === "" ? "supervisor-died" : line, path: directory });
    }
  }

  #track(directory: string, live: LiveRun): Promise<RunEnd> {
    const end = live.end.finally(() => this.#live.delete(directory));
    this.#live.set(directory, { startedAt: live.startedAt, end });
    return end;
  }

  /** The supervisor has ended the run, or so it seems. @param told what it said itself. Never rejects. */
  async #conclude(directory: string, { jid, log }: Concluded, told: SupervisedEnd | null): Promise<RunEnd> {
    try {
      const exitCode = told?.exitCode ?? readExitCode(directory);
      if (exitCode === null) return await this.#lose(directory, jid);
      const at = Date.now();
      if (told !== null && this.#used.get(directory) === "once") this.#used.set(directory, "ended");
      return { kind: "exited", exitCode, at, ...(told?.hasOutput === false ? {} : await syncedLog(log)) };
    } catch (error) {
      return { kind: "lost", problem: fileProblem("run-directory-failed", directory, error), sessionEmpty: false };
    }
  }

  async #lose(directory: string, jid: number): Promise<Extract<RunEnd, { kind: "lost" }>> {
    const state = readRunDirectory(directory);
    if (state.kind !== "begun") {
      const sessionEmpty = findSupervisor(directory) === null;
      const cause =
        state.kind === "damaged"
          ? problem("supervisor-gone", { path: directory, damaged: state.damage })
          : problem("run-directory-gone", { path: directory });
      return { kind: "lost", problem: cause, sessionEmpty };
    }
    const { identity, damage } = state;
    if (identity.bootId !== this.#bootId) return { kind: "lost", problem: problem("rebooted"), sessionEmpty: true };
    const session = { supervisor: identity, jid, directory };
    let sessionEmpty = isSessionEmpty(session);
    for (let waitedMs = 0; !sessionEmpty && waitedMs < SESSION_GRACE_MS; waitedMs += SESSION_CHECK_MS) {
      await Bun.sleep(SESSION_CHECK_MS);
      sessionEmpty = isSessionEmpty(session);
    }
    const data = damage === null ? { path: directory } : { path: directory, damaged: damage };
    return { kind: "lost", problem: problem("supervisor-gone", data), sessionEmpty };
  }

  /** What a run directory says to a daemon that did not start the run. null: it is changing, look again. */
  async #judge(seen: Seen): Promise<AttachOutcome | null> {
    const { state, log, directory } = seen;
    switch (state.kind) {
      case "exited": {
        const { exitCode, startedAt, at, identity } = state;
        // The supervisor writes its line last of all: while it has the run, the line is the job's own doing.
        if (identity !== null && isSupervising(identity, directory, this.#bootId)) return await this.#resume(seen, identity, startedAt);
        return { kind: "exited", exitCode, startedAt, at, ...this.#rebootSince(identity), ...(await syncedLog(log)) };
      }
      case "begun":
        return await this.#resume(seen, state.identity, state.startedAt);
      case "refused":
        return { kind: "not-started" };
      case "withdrawn":
        return this.#notStarted(directory);
      case "damaged":
        return await this.#lose(directory, seen.run.jid);
      case "missing":
      case "unclaimed":
        return this.#withdraw(seen);
    }
  }

  async #resume(seen: Seen, identity: ProcessIdentity, startedAt: number): Promise<AttachOutcome> {
    const { run, directory, log } = seen;
    if (isSupervising(identity, directory, this.#bootId)) {
      const end = this.#attached.over(directory, identity).then(() => this.#conclude(directory, { jid: run.jid, log }, null));
      return { kind: "running", startedAt, end: this.#track(directory, { startedAt, end }) };
    }
    // It may have written the exit code between our two looks.
    const state = readRunDirectory(directory);
    if (state.kind !== "exited") return await this.#lose(directory, run.jid);
    return { kind: "exited", exitCode: state.exitCode, startedAt, at: state.at, ...this.#rebootSince(identity), ...(await syncedLog(log)) };
  }

  #rebootSince(identity: ProcessIdentity | null): { readonly rebootedSince?: true } {
    return identity !== null && identity.bootId !== this.#bootId ? { rebootedSince: true } : {};
  }

  #withdraw(seen: Seen): AttachOutcome | null {
    const { run, directory, state } = seen;
    if (run.hostBootId !== undefined && run.hostBootId !== this.#bootId) {
      return { kind: "lost", problem: problem("rebooted"), sessionEmpty: true };
    }
    if (state.kind === "missing" && findSupervisor(directory) !== null) {
      return { kind: "lost", problem: problem("run-directory-gone", { path: directory }), sessionEmpty: false };
    }
    return withdrawRun(directory) ? this.#notStarted(directory) : null;
  }

  /** Withdrawn. A supervisor that is in it will see that it came too late, unless its job has removed what it wrote: look again. */
  #notStarted(directory: string): AttachOutcome | null {
    return findSupervisor(directory) === null ? { kind: "not-started" } : null;
  }
}

type Concluded = Pick<RunRequest, "jid" | "log">;

interface Seen {
  readonly run: RunName;
  readonly log: RunLog;
  readonly directory: string;
  readonly state: RunDirectoryState;
}

/** The server's own environment, without what steers Bun and without what another server gave it as a job. */
function jobEnvironment(own: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const [name, value] of Object.entries(own)) {
    if (value !== undefined && !name.startsWith("BUN_") && !name.startsWith("EXPJOB_")) environment[name] = value;
  }
  return environment;
}

/** Of the parts that can be long. */
function bytesOf({ program, environment }: StandingStart): number {
  const texts = program.kind === "shell" ? [program.text] : program.words;
  return [...texts, ...Object.values(environment)].reduce((sum, text) => sum + Buffer.byteLength(text), 0);
}

async function syncedLog(log: RunLog): Promise<{ logProblem?: Problem }> {
  const logProblem = await syncLog(log);
  return logProblem === null ? {} : { logProblem };
}

function spawnProblem(error: unknown): Problem {
  const message = error instanceof Error ? error.message : String(error);
  return problem(errorCode(error) === "E2BIG" ? "command-too-long" : "start-failed", { message });
}
