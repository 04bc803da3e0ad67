/**
 * Fetches the results of jobs that have exited: hands each to the copier, and its outcome to the engine. A copy
 * that fails because its machine is away is no failure of the job: it stays `copying` and is taken up again when
 * the machine answers (docs/adr/0004).
 */
import { isLocalAddress } from "../core/address.ts";
import type { Fact } from "../core/command.ts";
import {
  allLogsOf,
  type CopiedFile,
  type CopiedResults,
  type CopyingState,
  type DoneState,
  type FailedState,
  FILES_INLINE_MAX,
  isEnded,
  type Job,
  type Run,
} from "../core/job.ts";
import { substitute } from "../core/placeholders.ts";
import { type Problem, problem } from "../core/problem.ts";
import type { State } from "../core/state.ts";
import { jobVariables, maskedValues, SECRET_MASK } from "../core/variables.ts";
import type { CopyDone, CopyOptions, CopyOutcome, Displaced } from "./copier/copy-results.ts";
import type { Provenance } from "./copier/record.ts";
import type { Fleet } from "./fleet.ts";
import type { JobBook } from "./job-book.ts";
import type { DaemonLog } from "./log.ts";
import { describe, faultOf } from "./log-words.ts";
import { commandLine } from "./run-program.ts";

export interface ResultsOptions {
  readonly state: () => State;
  readonly observe: (fact: Fact) => Promise<void>;
  readonly book: Pick<JobBook, "get">;
  readonly fleet: Pick<Fleet, "shellFor" | "factsOf" | "usesDriver" | "problemOf" | "probeLater">;
  readonly queue: { copy(options: Omit<CopyOptions, "targets">): Promise<CopyOutcome> };
  /** Where jobs on this host run. */
  readonly workDirectory: string;
  readonly log: DaemonLog;
}

/** An ended job whose results lie on its machine. */
export type FetchableState = Pick<DoneState | FailedState, "run" | "startedAt" | "endedAt" | "prefixes">;

type Exited = Pick<CopyingState, "run" | "startedAt" | "exitedAt" | "prefixes">;

/** The connection gave way: either the machine is away, or it answers and something else is wrong. */
const OF_THE_WAY: readonly string[] = [
  "unreachable",
  "authentication-refused",
  "agent-unreachable",
  "ssh-config-invalid",
  "shell-unusable",
  "transfer-cut",
  "transfer-stalled",
];

export class Results {
  private readonly copies = new Map<number, AbortController>();
  private stopped = false;

  constructor(private readonly options: ResultsOptions) {}

  isCopying(jid: number): boolean {
    return this.copies.has(jid);
  }

  /** Copies what the job named. Harmless to repeat: what is here already is not fetched again. Never rejects. */
  async copy(jid: number): Promise<void> {
    const job = this.options.state().jobs.get(jid);
    if (this.stopped || job?.state.kind !== "copying" || job.spec.copyTo === null || this.copies.has(jid)) return;
    const abort = new AbortController();
    this.copies.set(jid, abort);
    let over: boolean;
    try {
      over = await this.copied(job, job.state, { target: job.spec.copyTo, signal: abort.signal });
    } finally {
      this.copies.delete(jid);
    }
    if (!over) this.options.fleet.probeLater(job.state.run.machine);
  }

  abort(jid: number): void {
    this.copies.get(jid)?.abort();
  }

  /** Ends all copies; the next start of the server takes them up. */
  stop(): void {
    this.stopped = true;
    for (const abort of this.copies.values()) abort.abort();
  }

  /**
   * Fetches what was never copied of an ended job: of one whose copy failed, or that was to be recorded only.
   * @param copy.target absolute, placeholders put in
   */
  async fetchLater(job: Job, state: FetchableState, copy: { target: string; signal: AbortSignal }): Promise<CopyOutcome> {
    return await this.fetch(job, { ...state, exitedAt: state.endedAt }, copy);
  }

  /** Observes that an ended job has results, and tells the jobs whose files had to make way. */
  async noteCopied(job: Job, outcome: CopyDone): Promise<void> {
    await this.noteAllDisplaced(outcome);
    const recordBefore = job.state.kind === "done" ? (job.state.results?.record ?? null) : null;
    const [warning] = outcome.warnings;
    const results = copiedResults(outcome);
    await this.options.observe({ kind: "results-changed", job, results, recordBefore, ...(warning === undefined ? {} : { warning }) });
  }

  async noteAllDisplaced({ displaced, record }: Pick<CopyDone, "displaced" | "record">): Promise<void> {
    for (const move of displaced) await this.noteDisplaced(move, record);
  }

  /** @returns false when the copy waits for its machine */
  private async copied(job: Job, copying: CopyingState, copy: { target: string; signal: AbortSignal }): Promise<boolean> {
    const { observe, log } = this.options;
    const { jid } = job;
    const { runId, machine } = copying.run;
    const masked = maskedValues(this.options.state(), job, machine);
    const outcome = await this.fetch(job, copying, { ...copy, target: substitute(copy.target, masked) });
    if (copy.signal.aborted) return true;
    if (outcome.kind === "failed") {
      const away = await this.awayProblem(machine, outcome.problem);
      if (copy.signal.aborted) return true;
      if (away !== null) {
        log.warn(`results of job ${jid} wait for ${machine}: ${describe(away)}`);
        await observe({ kind: "machine-unreachable", addr: machine, problem: away });
        return false;
      }
      log.warn(`results of job ${jid} not copied: ${describe(outcome.problem)}`);
      await observe({ kind: "results-failed", jid, runId, problem: outcome.problem });
      return true;
    }
    await this.noteAllDisplaced(outcome);
    await observe({ kind: "results-copied", jid, runId, results: copiedResults(outcome), warning: outcome.warnings[0] ?? null });
    return true;
  }

  /** Why the machine cannot be asked at all now; null: it can, so the copy has a fault of its own. */
  private async awayProblem(machine: string, cause: Problem): Promise<Problem | null> {
    if (cause.code.startsWith("host-key-")) return cause;
    return OF_THE_WAY.includes(cause.code) ? await this.options.fleet.problemOf(machine) : null;
  }

  private async fetch(job: Job, copying: Exited, copy: { target: string; signal: AbortSignal }): Promise<CopyOutcome> {
    const { fleet, queue, state } = this.options;
    const { machine, runId } = copying.run;
    const now = state();
    try {
      return await queue.copy({
        shell: fleet.shellFor(machine),
        jid: job.jid,
        runId,
        prefixes: copying.prefixes,
        startDirectory: this.startDirectory(job, copying),
        target: copy.target,
        provenance: { ...provenanceOf(now, job, copying), facts: await fleet.factsOf(machine), endedAt: copying.exitedAt, exitCode: 0 },
        signal: copy.signal,
      });
    } catch (error) {
      this.options.log.error(`copying the results of job ${job.jid}: ${faultOf(error)}`);
      return { kind: "failed", problem: problem("results-unreadable", { machine, path: "", message: String(error) }), retryable: true };
    }
  }

  /** Relative prefixes start at the job's directory; with a driver, whose directory is here, at the login home. */
  startDirectory(job: Job, { run }: Pick<CopyingState, "run">): string {
    const viaDriver = run.runner === undefined ? this.options.fleet.usesDriver(job.spec.class) : run.runner === "driver";
    return isLocalAddress(run.machine) && !viaDriver ? this.options.workDirectory : "";
  }

  /** A file of another job got another name: its record in the state follows. The copy itself does not depend on it. */
  private async noteDisplaced(move: Displaced, record: string): Promise<void> {
    try {
      await this.moveInRecord(move, record);
    } catch (error) {
      this.options.log.error(
        `job ${move.jid ?? "?"}, whose ${JSON.stringify(move.from)} is now ${JSON.stringify(move.to)}: ${faultOf(error)}`,
      );
    }
  }

  private async moveInRecord(move: Displaced, record: string): Promise<void> {
    const owner = move.jid === null ? undefined : (await this.options.book.get([move.jid])).get(move.jid);
    if (owner === undefined || !isEnded(owner.state)) return;
    const folder = record.slice(0, record.lastIndexOf("/.expjobserver/"));
    const moved = (path: string): string =>
      path.startsWith(`${folder}/`) ? `${folder}/${movedPath(path.slice(folder.length + 1), move)}` : path;
    const moves = allLogsOf(owner.state).map((log) => ({ from: log, to: moved(log) }));
    // A file of a log's name need not be that log: it may be a copy, and the log elsewhere.
    await this.options.observe({ kind: "logs-moved", job: owner, moves: moves.filter(({ from, to }) => from !== to) });
    if (owner.state.kind !== "done" || owner.state.results === null) return;
    const { results } = owner.state;
    if (!results.record.startsWith(`${folder}/`)) return;
    const files = results.files?.map((file) => ({ ...file, path: movedPath(file.path, move) })) ?? null;
    const changed = { ...results, path: moved(results.path), files };
    await this.options.observe({ kind: "results-changed", job: owner, results: changed, recordBefore: results.record });
  }
}

/** A folder that had to make way took all that is in it along. */
export function movedPath(path: string, { from, to }: Pick<Displaced, "from" | "to">): string {
  if (path === from) return to;
  return path.startsWith(`${from}/`) ? to + path.slice(from.length) : path;
}

/** How the results of a job came to be, as far as its record tells: no value of a secret is in it. */
export function provenanceOf(
  state: State,
  job: Job,
  { run, startedAt }: { readonly run: Run; readonly startedAt: number | null },
): Pick<Provenance, "command" | "variables" | "machine" | "startedAt"> {
  const masks = Object.fromEntries(job.spec.secrets.map((name) => [name, SECRET_MASK]));
  const { machine } = run;
  return { command: commandLine(state, job, machine), variables: { ...jobVariables(state, job), ...masks }, machine, startedAt };
}

/** What of a copy the job itself keeps. */
export function copiedResults(outcome: Pick<CopyDone, "files" | "resultsPath" | "record">): CopiedResults {
  const files: readonly CopiedFile[] = outcome.files.map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 }));
  return {
    path: outcome.resultsPath,
    fileCount: files.length,
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
    files: files.length <= FILES_INLINE_MAX ? files : null,
    record: outcome.record,
  };
}
