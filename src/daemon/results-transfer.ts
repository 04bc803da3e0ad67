/**
 * `job cpresults` and `job mvresults`, one job at a time: what was never copied is fetched from its machine, what is on
 * this host is taken to the new place, and what the records say follows before anything is removed. One job is
 * taken by one request at a time, and all take turns with the copies of jobs that have just ended.
 */
import { dirname, isAbsolute } from "node:path";
import type { Fact } from "../core/command.ts";
import { type DoneState, type FailedState, isEnded, type Job, type Run } from "../core/job.ts";
import { placeholderNames, substitute } from "../core/placeholders.ts";
import { type Problem, problem } from "../core/problem.ts";
import type { State } from "../core/state.ts";
import { jobVariables, maskedValues } from "../core/variables.ts";
import { RequestError } from "../protocol/error.ts";
import { clearSources, notedMove, noteMove } from "./copier/clear-sources.ts";
import { CopyProblem, canceled } from "./copier/copy-problem.ts";
import type { CopyQueue, CopyShared } from "./copier/copy-queue.ts";
import { discardIncoming } from "./copier/incoming.ts";
import { type Provenance, readRecord } from "./copier/record.ts";
import { type SourceFile, type Taken, type TakeOptions, takeResults } from "./copier/take-results.ts";
import type { FetchedFile } from "./copier/transfer.ts";
import type { JobBook } from "./job-book.ts";
import { COMPRESSED_SUFFIX, logPathsOf, presentLog } from "./job-logs.ts";
import type { DaemonLog } from "./log.ts";
import { describe, faultOf } from "./log-words.ts";
import { copiedResults, provenanceOf, type Results } from "./results.ts";
import type { TransferRequest, Transferred } from "./transferred.ts";

export interface ResultsTransferOptions {
  readonly state: () => State;
  readonly observe: (fact: Fact) => Promise<void>;
  readonly book: Pick<JobBook, "get" | "one">;
  readonly results: Pick<Results, "fetchLater" | "noteCopied" | "noteAllDisplaced" | "startDirectory">;
  readonly queue: Pick<CopyQueue, "run">;
  readonly now: () => number;
  readonly log: DaemonLog;
}

const NOTHING: Transferred = { resultsPath: null, log: null, errLog: null, fileCount: 0, bytes: 0, problems: [], warnings: [] };

/** What stands for the completeness of results was not printed, or is lost: fetching cannot mend it. */
const BEYOND_FETCHING: readonly string[] = ["results-line-invalid", "log-unwritable", "no-space"];

interface Fetched {
  readonly isNew: boolean;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

export class ResultsTransfer {
  /** The last request for each job that has not ended. */
  private readonly underWay = new Map<number, Promise<unknown>>();

  constructor(private readonly options: ResultsTransferOptions) {}

  /** Never rejects, but for a job that is not there. @throws {RequestError} no-such-job */
  async take(request: TransferRequest): Promise<Transferred> {
    const before = this.underWay.get(request.jid) ?? Promise.resolve();
    const taking = before.then(() => this.takeJob(request));
    const settled = taking.catch(() => null);
    this.underWay.set(request.jid, settled);
    try {
      return await taking;
    } finally {
      if (this.underWay.get(request.jid) === settled) this.underWay.delete(request.jid);
    }
  }

  private async takeJob(request: TransferRequest): Promise<Transferred> {
    const job = await this.options.book.one(request.jid);
    try {
      return await this.takeEnded(job, request);
    } catch (error) {
      if (error instanceof CopyProblem) return { ...NOTHING, problems: [error.problem] };
      // Forgotten meanwhile: what was copied is in its new place, and nothing was removed.
      if (error instanceof RequestError) throw error;
      this.options.log.error(`taking the results of job ${job.jid}: ${faultOf(error)}`);
      return { ...NOTHING, problems: [problem("target-unwritable", { path: request.to, message: "the server failed inside" })] };
    }
  }

  private async takeEnded(job: Job, request: TransferRequest): Promise<Transferred> {
    const target = targetOf(this.options.state(), job, request.to);
    if (!isAbsolute(target)) {
      return { ...NOTHING, problems: [problem("target-unwritable", { path: target, message: "it does not begin with a slash" })] };
    }
    const { mode, signal } = request;
    const fetched = await this.fetched(job, { target, signal });
    const here = await this.here(fetched.isNew ? await this.options.book.one(job.jid) : job, {
      target,
      mode,
      signal,
      isProved: fetched.isNew,
      problems: fetched.problems,
    });
    if (here.problems.length > 0) {
      this.options.log.warn(`results of job ${job.jid} not all taken to ${target}: ${here.problems.map(describe).join("; ")}`);
    }
    return { ...here, warnings: [...fetched.warnings, ...here.warnings] };
  }

  /** Fetches what is on the machine only. */
  private async fetched(job: Job, copy: { readonly target: string; readonly signal: AbortSignal }): Promise<Fetched> {
    const { results, log } = this.options;
    const state = uncopied(job);
    if (state === null) return { isNew: false, problems: [], warnings: [] };
    if (state.kind === "failed" && (BEYOND_FETCHING.includes(state.problem.code) || state.prefixes.length === 0)) {
      return { isNew: false, problems: [state.problem], warnings: [] };
    }
    const outcome = await results.fetchLater(job, state, copy);
    if (outcome.kind === "failed") return { isNew: false, problems: [outcome.problem], warnings: [] };
    await results.noteCopied(job, outcome);
    log.info(`results of job ${job.jid} fetched later, to ${copy.target}`);
    return { isNew: true, problems: [], warnings: outcome.warnings };
  }

  /** Takes what is on this host. */
  private async here(
    job: Job,
    request: Pick<TransferRequest, "mode" | "signal"> & { target: string; isProved: boolean; problems: readonly Problem[] },
  ): Promise<Transferred> {
    const { queue, results } = this.options;
    const { target, mode, signal } = request;
    if (!isEnded(job.state) || job.state.run === null) return { ...NOTHING, problems: request.problems };
    const { run } = job.state;
    const recorded = await this.recorded(job);
    const problems = [...request.problems, ...(recorded.problem === null ? [] : [recorded.problem])];
    const options: Omit<TakeOptions, keyof CopyShared> = {
      jid: job.jid,
      runId: run.runId,
      results: recorded.files === null ? null : { folder: recorded.folder, files: recorded.files, isProved: request.isProved },
      logs: await logSources(job),
      target,
      provenance: recorded.provenance,
      prefixes: job.state.kind === "canceled" ? [] : job.state.prefixes,
      startDirectory: results.startDirectory(job, { run }),
      isMove: mode === "move",
      signal,
      now: this.options.now,
    };
    const outcome = await queue.run(signal, async (shared) => {
      const taken = await takeResults({ ...options, ...shared });
      await results.noteAllDisplaced(taken);
      const left = mode === "move" ? await this.moved(job, { run, taken, shared }) : [];
      if (left.length === 0) await discardIncoming(taken.incoming);
      return transferred(run, taken, [...problems, ...taken.problems, ...left]);
    });
    if (outcome === null) throw canceled();
    return outcome;
  }

  /** Records where all is now, and only then removes it where it was. @returns what is there twice */
  private async moved(job: Job, { run, taken, shared }: { run: Run; taken: Taken; shared: CopyShared }): Promise<readonly Problem[]> {
    const { observe, book } = this.options;
    const { incoming } = taken;
    const sources = withNoted(taken.sources, notedMove(incoming));
    if (sources.length > 0) await noteMove(incoming, sources);
    const before = job.state.kind === "done" ? job.state.results : null;
    const hasResults = taken.resultsPath !== null && !taken.isSameFolder && (taken.files.length > 0 || before?.fileCount === 0);
    if (before !== null && hasResults && taken.resultsPath !== null) {
      const results = copiedResults({ files: taken.files, resultsPath: taken.resultsPath, record: taken.record });
      await observe({ kind: "results-changed", job, results, recordBefore: before.record });
    }
    await observe({ kind: "logs-moved", job: await book.one(job.jid), moves: taken.logs });
    // A server that stops takes no facts any more: what is not recorded must stay where the record says it is.
    const now = await book.one(job.jid);
    const record = now.state.kind === "done" ? now.state.results?.record : undefined;
    const logs = new Set(logPathsOf(now));
    const isElsewhere = ({ kind, folder, path }: SourceFile): boolean =>
      kind === "result" ? record === taken.record : !logs.has(`${folder}/${path}`) && taken.logs.every(({ to }) => logs.has(to));
    return await clearSources({
      jid: job.jid,
      runId: run.runId,
      root: incoming.root,
      sources: sources.filter(isElsewhere),
      targets: shared.targets,
    });
  }

  /** The files of the results on this host, and how they came to be. */
  private async recorded(job: Job): Promise<{
    readonly folder: string;
    readonly files: readonly FetchedFile[] | null;
    readonly provenance: Provenance;
    readonly problem: Problem | null;
  }> {
    const results = job.state.kind === "done" ? job.state.results : null;
    const provenance = this.provenance(job);
    if (results === null) return { folder: "", files: null, provenance, problem: null };
    const folder = dirname(dirname(results.record));
    let message = "";
    const record = await readRecord(results.record).catch((error: unknown) => {
      message = error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error);
      return null;
    });
    const files = results.files ?? record?.files ?? null;
    const lost = files === null ? problem("record-unreadable", { path: results.record, ...(message === "" ? {} : { message }) }) : null;
    return { folder, files, provenance: record === null ? provenance : { ...provenance, ...facts(record) }, problem: lost };
  }

  private provenance(job: Job): Provenance {
    const { state } = job;
    if (!isEnded(state) || state.run === null) throw new TypeError(`job ${job.jid} has no run`);
    const exitCode = state.kind === "done" ? 0 : state.exitCode;
    const common = provenanceOf(this.options.state(), job, { run: state.run, startedAt: state.startedAt });
    return { ...common, facts: null, endedAt: state.endedAt, exitCode };
  }
}

/** The secret variable that TO names, directly or through the job. A folder's name is seen by everyone who lists it. */
export function secretNamed(state: State, job: Job, to: string): string | null {
  const plain = jobVariables(state, job);
  const isSecret = (name: string): boolean =>
    !Object.hasOwn(plain, name) && (job.spec.secrets.includes(name) || state.variables.get(name)?.kind === "secret");
  return placeholderNames(to).find(isSecret) ?? null;
}

/** Names in TO that nothing defines for this job: they are left as typed. */
export function undefinedNames(state: State, job: Job, to: string): readonly string[] {
  const values = valuesFor(state, job);
  return placeholderNames(to).filter((name) => values(name) === undefined);
}

function targetOf(state: State, job: Job, to: string): string {
  return substitute(to, valuesFor(state, job));
}

/** As the job was given them; a variable that it does not remember, as it is set now. */
function valuesFor(state: State, job: Job): (name: string) => string | undefined {
  const run = isEnded(job.state) ? job.state.run : null;
  const own = maskedValues(state, job, run?.machine ?? null);
  return (name) => {
    const set = state.variables.get(name);
    return own(name) ?? (set?.kind === "plain" ? set.value : undefined);
  };
}

/** The state of a job whose results lie on its machine and nowhere else; null: there is nothing to fetch. */
function uncopied({ state }: Job): DoneState | FailedState | null {
  if (state.kind === "failed") return state.resultsNotCopied ? state : null;
  return state.kind === "done" && state.results === null && state.prefixes.length > 0 ? state : null;
}

async function logSources(job: Job): Promise<TakeOptions["logs"]> {
  return await Promise.all(
    logPathsOf(job).map(async (log) => ({
      log,
      suffix: (await presentLog(log)) === `${log}${COMPRESSED_SUFFIX}` ? COMPRESSED_SUFFIX : "",
    })),
  );
}

/** What the record beside the results knows and the job does not. */
function facts({ facts: machineFacts, variables, command }: Provenance): Pick<Provenance, "facts" | "variables" | "command"> {
  return { facts: machineFacts, variables, command };
}

/** What this server has read itself goes before what an earlier one noted. */
function withNoted(sources: readonly SourceFile[], noted: readonly SourceFile[]): SourceFile[] {
  const known = new Set(sources.map(({ folder, path }) => `${folder}/${path}`));
  return [...sources, ...noted.filter(({ folder, path }) => !known.has(`${folder}/${path}`))];
}

function transferred(run: Run, taken: Taken, problems: readonly Problem[]): Transferred {
  const placeOf = (log: string): string | null => taken.logs.find(({ from }) => from === log)?.to ?? null;
  const hasResults = taken.resultsPath !== null && (taken.files.length > 0 || problems.length === 0);
  return {
    resultsPath: hasResults ? taken.resultsPath : null,
    log: placeOf(run.log),
    errLog: placeOf(run.errLog),
    fileCount: taken.files.length,
    bytes: taken.files.reduce((sum, file) => sum + file.bytes, 0),
    problems,
    warnings: taken.warnings,
  };
}
