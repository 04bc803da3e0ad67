/**
 * The one interface behind which a command is executed: `driver` (the lab's program on this host),
 * `local` (sh on this host) and `ssh` (sh on the machine). Every implementation, and the fake, passes
 * test/contract/runner.ts. A runner holds no job state: the run directory is the handle of a run.
 */
import type { Problem } from "../../core/problem.ts";

/** Names one attempt, and with it its run directory `<run root>/<server id>/<jid>.<command>.<runId>/`. */
export interface RunName {
  readonly jid: number;
  /** Index of the command in the job: 0, except in setup jobs. */
  readonly command: number;
  /** Random, from [0-9a-z], never used twice. */
  readonly runId: string;
  /** The address as added to the pool. */
  readonly machine: string;
  /**
   * Boot id of the executing host when the start was recorded. With it, a run directory that a reboot left
   * without a claim (it was never synced) is `lost`; without it, it counts as not started. A run is started in no other boot.
   */
  readonly hostBootId?: string;
}

export interface RunRequest extends RunName {
  readonly program: Program;
  /** EXPJOB_* only; the rest of the environment is the host's. */
  readonly environment: Readonly<Record<string, string>>;
  readonly log: RunLog;
  readonly caller: CallerLimits | null;
}

/** Shell text for `sh`, or words that are executed as they are (word 0 is the driver). */
export type Program = { readonly kind: "shell"; readonly text: string } | { readonly kind: "words"; readonly words: readonly string[] };

/** Absolute paths on this host. They are created (O_APPEND, mode by umask) and only ever grow. */
export interface RunLog {
  readonly stdout: string;
  readonly stderr: string;
}

/** What the server's caller had, given back to its jobs; Bun raises the soft file limit of its own process. */
export interface CallerLimits {
  readonly umask: number;
  /** Soft limit of open files; null: leave as is. */
  readonly openFilesSoft: number | null;
  /** Soft limit of core dumps as `ulimit -Sc` takes it, for jobs on this host: the server turned its own off. Absent: leave as is. */
  readonly coreDumpsSoft?: string;
}

export type StartOutcome =
  /** Claimed on the executing host. `end` never rejects. */
  | { readonly kind: "started"; readonly at: number; readonly end: Promise<RunEnd> }
  /** Proven not started and claimed against a late start: the job may be given a new run id. */
  | { readonly kind: "not-started"; readonly problem: Problem }
  /** The connection died in between: only `attach` can tell. */
  | { readonly kind: "uncertain"; readonly problem: Problem };

export type RunEnd =
  /** The supervisor's own record; both logs on this host are complete and synced, unless `logProblem` says why not. `at` is ms since the epoch. */
  | { readonly kind: "exited"; readonly exitCode: number; readonly at: number; readonly logProblem?: Problem }
  /** Neither alive nor with an exit code: never success, never plain failure. */
  | { readonly kind: "lost"; readonly problem: Problem; readonly sessionEmpty: boolean }
  /** The machine went away; the run may go on. `attach` again when it is back. */
  | { readonly kind: "disconnected"; readonly problem: Problem };

export type AttachOutcome =
  | { readonly kind: "running"; readonly startedAt: number; readonly end: Promise<RunEnd> }
  | {
      readonly kind: "exited";
      readonly startedAt: number | null;
      readonly exitCode: number;
      readonly at: number;
      readonly logProblem?: Problem;
      /** Its host was rebooted since: the end of its output may not have been on the disk. */
      readonly rebootedSince?: true;
    }
  /** Nobody had claimed it; attach has, so a late start cannot run it. */
  | { readonly kind: "not-started" }
  | { readonly kind: "lost"; readonly problem: Problem; readonly sessionEmpty: boolean }
  | { readonly kind: "unreachable"; readonly problem: Problem };

/** `0` is sent to nobody: it asks how many there are. */
export type StopSignal = "TERM" | "KILL" | "0";

export type StopOutcome =
  | { readonly kind: "signaled"; readonly processes: number }
  | { readonly kind: "unreachable"; readonly problem: Problem };

/** `unreachable`: nothing was sent, nothing can start there. */
export type HostBoot = { readonly kind: "known"; readonly bootId: string } | { readonly kind: "unreachable"; readonly problem: Problem };

export interface Runner {
  /** At most once a run id, enforced by the claim in the run directory. Never rejects. */
  start(request: RunRequest): Promise<StartOutcome>;
  /** Takes up a run of an earlier daemon or a cut connection; logs continue where they stopped. Never rejects. */
  attach(run: RunName, log: RunLog): Promise<AttachOutcome>;
  /**
   * Signals every process of the run's session but not the supervisor, which writes the exit code; also those that live
   * on when the job's main process has ended. Identity (boot id, pid, start time) is checked first.
   */
  stop(run: RunName, signal: StopSignal): Promise<StopOutcome>;
  /** Removes the run directory: only once end, output and results are safe. Failures are left for later. */
  release(run: RunName): Promise<void>;
  /** Can a run be started there now? null: yes. */
  probe(machine: string): Promise<Problem | null>;
  /** The boot id of the machine that would execute a run now. Absent: runs are on this host. */
  bootOf?(machine: string): Promise<HostBoot>;
}
