/** Fetches the results of jobs that have exited: hands each to the copier, and its outcome to the engine. */
import { isLocalAddress } from "../core/address.ts";
import type { Fact } from "../core/command.ts";
import { type CopiedFile, type CopiedResults, type CopyingState, FILES_INLINE_MAX, type Job } from "../core/job.ts";
import { substitute } from "../core/placeholders.ts";
import type { State } from "../core/state.ts";
import { jobVariables, maskedValues, SECRET_MASK } from "../core/variables.ts";
import type { CopyQueue } from "./copier/copy-queue.ts";
import type { CopyDone, Displaced } from "./copier/copy-results.ts";
import type { Fleet } from "./fleet.ts";
import type { JobBook } from "./job-book.ts";
import type { DaemonLog } from "./log.ts";
import { commandLine } from "./run-program.ts";
import { describe } from "./runs.ts";

export interface ResultsOptions {
  readonly state: () => State;
  readonly observe: (fact: Fact) => Promise<void>;
  readonly book: JobBook;
  readonly fleet: Pick<Fleet, "shellFor" | "factsOf" | "usesDriver">;
  readonly queue: CopyQueue;
  /** Where jobs on this host run. */
  readonly workDirectory: string;
  readonly log: DaemonLog;
}

export class Results {
  private readonly copies = new Map<number, AbortController>();

  constructor(private readonly options: ResultsOptions) {}

  /** Copies what the job named. Harmless to repeat: what is here already is not fetched again. */
  async copy(jid: number): Promise<void> {
    const { state, observe, log } = this.options;
    const job = state().jobs.get(jid);
    if (job?.state.kind !== "copying" || job.spec.copyTo === null || this.copies.has(jid)) return;
    const copying = job.state;
    const { runId } = copying.run;
    const abort = new AbortController();
    this.copies.set(jid, abort);
    try {
      const outcome = await this.fetch(job, copying, { target: job.spec.copyTo, signal: abort.signal });
      if (abort.signal.aborted) return;
      if (outcome.kind === "failed") {
        log.warn(`results of job ${jid} not copied: ${describe(outcome.problem)}`);
        await observe({ kind: "results-failed", jid, runId, problem: outcome.problem });
        return;
      }
      for (const move of outcome.displaced) await this.noteDisplaced(move, outcome.record);
      await observe({ kind: "results-copied", jid, runId, results: copiedResults(outcome), warning: outcome.warnings[0] ?? null });
    } finally {
      this.copies.delete(jid);
    }
  }

  abort(jid: number): void {
    this.copies.get(jid)?.abort();
  }

  /** Ends all copies; the next start of the server takes them up. */
  stop(): void {
    for (const abort of this.copies.values()) abort.abort();
  }

  private async fetch(job: Job, copying: CopyingState, copy: { target: string; signal: AbortSignal }) {
    const { fleet, queue, state } = this.options;
    const { machine, runId } = copying.run;
    const now = state();
    const masks = Object.fromEntries(job.spec.secrets.map((name) => [name, SECRET_MASK]));
    return await queue.copy({
      shell: fleet.shellFor(machine),
      jid: job.jid,
      runId,
      prefixes: copying.prefixes,
      startDirectory: this.startDirectory(job, machine),
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
  }

  /** Relative prefixes start at the job's directory; with a driver, whose directory is here, at the login home. */
  private startDirectory(job: Job, machine: string): string {
    return isLocalAddress(machine) && !this.options.fleet.usesDriver(job.spec.class) ? this.options.workDirectory : "";
  }

  /** A file of another job got another name: its record in the state follows. */
  private async noteDisplaced(move: Displaced, record: string): Promise<void> {
    const owner = move.jid === null ? undefined : (await this.options.book.get([move.jid])).get(move.jid);
    const folder = record.slice(0, record.lastIndexOf("/.expjobserver/"));
    if (owner?.state.kind !== "done" || owner.state.results === null) return;
    const { results } = owner.state;
    if (!results.record.startsWith(`${folder}/`)) return;
    const renamed = (path: string): string => (path === move.from ? move.to : path);
    const files = results.files?.map((file) => ({ ...file, path: renamed(file.path) })) ?? null;
    const path = results.path === `${folder}/${move.from}` ? `${folder}/${move.to}` : results.path;
    await this.options.observe({ kind: "results-changed", job: owner, results: { ...results, path, files } });
  }
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
