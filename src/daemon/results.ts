/**
 * Fetches the results of jobs that have exited: hands each to the copier, and its outcome to the engine. A copy
 * that fails because its machine is away is no failure of the job: it stays `copying` and is taken up again when
 * the machine answers (docs/adr/0004).
 */
import { isLocalAddress } from "../core/address.ts";
import type { Fact } from "../core/command.ts";
import { type CopiedFile, type CopiedResults, type CopyingState, FILES_INLINE_MAX, type Job } from "../core/job.ts";
import { substitute } from "../core/placeholders.ts";
import { type Problem, problem } from "../core/problem.ts";
import type { State } from "../core/state.ts";
import { jobVariables, maskedValues, SECRET_MASK } from "../core/variables.ts";
import type { CopyDone, CopyOptions, CopyOutcome, Displaced } from "./copier/copy-results.ts";
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

  /** @returns false when the copy waits for its machine */
  private async copied(job: Job, copying: CopyingState, copy: { target: string; signal: AbortSignal }): Promise<boolean> {
    const { observe, log } = this.options;
    const { jid } = job;
    const { runId, machine } = copying.run;
    const outcome = await this.fetch(job, copying, copy);
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
    for (const move of outcome.displaced) await this.noteDisplaced(move, outcome.record);
    await observe({ kind: "results-copied", jid, runId, results: copiedResults(outcome), warning: outcome.warnings[0] ?? null });
    return true;
  }

  /** Why the machine cannot be asked at all now; null: it can, so the copy has a fault of its own. */
  private async awayProblem(machine: string, cause: Problem): Promise<Problem | null> {
    if (cause.code.startsWith("host-key-")) return cause;
    return OF_THE_WAY.includes(cause.code) ? await this.options.fleet.problemOf(machine) : null;
  }

  private async fetch(job: Job, copying: CopyingState, copy: { target: string; signal: AbortSignal }): Promise<CopyOutcome> {
    const { fleet, queue, state } = this.options;
    const { machine, runId } = copying.run;
    const now = state();
    const masks = Object.fromEntries(job.spec.secrets.map((name) => [name, SECRET_MASK]));
    try {
      return await queue.copy({
        shell: fleet.shellFor(machine),
        jid: job.jid,
        runId,
        prefixes: copying.prefixes,
        startDirectory: this.startDirectory(job, copying),
        target: substitute(copy.target, maskedValues(now, job, machine)),
        provenance: {
          command: commandLine(now, job, machine),
          variables: { ...jobVariables(now, job), ...masks },
          machine,
          facts: await fleet.factsOf(machine),
          startedAt: copying.startedAt,
          endedAt: copying.exitedAt,
          exitCode: 0,
        },
        signal: copy.signal,
      });
    } catch (error) {
      this.options.log.error(`copying the results of job ${job.jid}: ${faultOf(error)}`);
      return { kind: "failed", problem: problem("results-unreadable", { machine, path: "", message: String(error) }), retryable: true };
    }
  }

  /** Relative prefixes start at the job's directory; with a driver, whose directory is here, at the login home. */
  private startDirectory(job: Job, { run }: CopyingState): string {
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
    const folder = record.slice(0, record.lastIndexOf("/.expjobserver/"));
    if (owner?.state.kind !== "done" || owner.state.results === null) return;
    const { results } = owner.state;
    if (!results.record.startsWith(`${folder}/`)) return;
    const files = results.files?.map((file) => ({ ...file, path: movedPath(file.path, move) })) ?? null;
    const inFolder = results.path.startsWith(`${folder}/`);
    const path = inFolder ? `${folder}/${movedPath(results.path.slice(folder.length + 1), move)}` : results.path;
    await this.options.observe({ kind: "results-changed", job: owner, results: { ...results, path, files } });
  }
}

/** A folder that had to make way took all that is in it along. */
export function movedPath(path: string, { from, to }: Pick<Displaced, "from" | "to">): string {
  if (path === from) return to;
  return path.startsWith(`${from}/`) ? to + path.slice(from.length) : path;
}

function copiedResults(outcome: CopyDone): CopiedResults {
  const files: readonly CopiedFile[] = outcome.files.map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 }));
  return {
    path: outcome.resultsPath,
    fileCount: files.length,
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
    files: files.length <= FILES_INLINE_MAX ? files : null,
    record: outcome.record,
  };
}
