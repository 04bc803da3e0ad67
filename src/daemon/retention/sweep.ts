/**
 * One look at all jobs of the past, from the youngest on, a page at a time with pauses in between. Every step is whole:
 * it can be given up at any moment, and the next look goes on from what it finds.
 */
import { rm, unlink } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import type { RetentionOptions } from "../../config/retention-options.ts";
import type { UserCommand } from "../../core/command.ts";
import { type EndedState, isEnded, type Job } from "../../core/job.ts";
import type { JobBook } from "../job-book.ts";
import { logPathsOf } from "../job-logs.ts";
import type { DaemonLog } from "../log.ts";
import { faultOf } from "../log-words.ts";
import { compressLog, partialOf } from "./compress-log.ts";
import { Forgetting } from "./forgetting.ts";
import { type FoundLog, LogFolders } from "./log-folders.ts";
import { HourlySizes, type SizedJob } from "./oldest-first.ts";
import { SweepTally } from "./sweep-tally.ts";

export interface SweepParts {
  /** Where logs are written now. */
  readonly logDir: string;
  readonly book: Pick<JobBook, "before" | "get" | "state">;
  readonly submit: (command: UserCommand) => Promise<unknown>;
  /** Something is still done for its run: its log may not be whole yet. */
  readonly isAttended: (job: Job) => boolean;
  readonly now: () => number;
  readonly log: DaemonLog;
}

/** Jobs looked at in one go. */
const PAGE_JOBS = 64;
/** Between pages, as a multiple of the time that one took: at most a tenth of the disk's and the processor's time. */
const PAUSE_SHARE = 9;
const PAUSE_MS_MAX = 1_000;
/** What is not larger takes one block of the disk, and would take one afterwards. */
const COMPRESS_BYTES_MIN = 4_097;

export class Sweep {
  private readonly folders: LogFolders;
  private readonly sizes = new HourlySizes();
  private readonly tally = new SweepTally();
  private readonly forgetting: Forgetting;
  private mayCompress = true;

  constructor(
    private readonly parts: SweepParts,
    private readonly settings: RetentionOptions,
    private readonly signal: AbortSignal,
  ) {
    this.folders = new LogFolders(parts.logDir);
    this.forgetting = new Forgetting(parts);
  }

  async run(): Promise<void> {
    const { log } = this.parts;
    try {
      await this.eachPage(async (jobs) => await this.look(jobs));
      await this.shrink();
    } catch (error) {
      if (!this.signal.aborted) log.warn(`retention: given up until the next time: ${faultOf(error)}`);
    } finally {
      const tally = this.tally.words();
      if (tally !== null) log.info(`retention: ${tally}`);
      if (this.tally.firstFailure !== null)
        log.warn(`retention: logs left as they are because of errors: ${this.tally.failures}, the first: ${this.tally.firstFailure}`);
    }
  }

  private async eachPage(look: (jobs: readonly Job[]) => Promise<void>): Promise<void> {
    const { book } = this.parts;
    for (let before: number = book.state.nextId; ; ) {
      const began = performance.now();
      const jobs = await book.before(before, PAGE_JOBS);
      const oldest = jobs.at(-1);
      if (oldest === undefined) return;
      await look(jobs);
      before = oldest.jid;
      await pauseAfter(performance.now() - began, this.signal);
    }
  }

  private async look(jobs: readonly Job[]): Promise<void> {
    const past: Job[] = [];
    for (const job of jobs) {
      this.signal.throwIfAborted();
      this.forgetting.see(job);
      const { state } = job;
      if (!isEnded(state) || !isSettled(state) || this.parts.isAttended(job)) continue;
      const filesLeft = await this.lookAtLogs(job, state);
      const isOld = this.isOlder(state.endedAt, this.settings.forgetJobsAfterSeconds);
      // Once it is forgotten nobody knows its logs: those that are to be deleted go first.
      if (isOld && (this.settings.deleteLogsAfterSeconds === null || filesLeft === 0)) past.push(job);
    }
    this.tally.forgotten(await this.forgetting.forget(past));
  }

  /** @returns how many files are left of them */
  private async lookAtLogs(job: Job, { endedAt }: EndedState): Promise<number> {
    const { deleteLogsAfterSeconds, compressLogsAfterSeconds } = this.settings;
    let at = endedAt;
    let bytes = 0;
    let filesLeft = 0;
    for (const path of logPathsOf(job)) {
      for (const found of await this.folders.find(job.jid, path)) {
        // A log that somebody still writes to is not old, whatever its job is.
        const since = Math.max(endedAt, found.writtenAt);
        if (this.isOlder(since, deleteLogsAfterSeconds) && (await this.delete(job.jid, path, found))) continue;
        filesLeft++;
        at = Math.max(at, since);
        bytes += this.isOlder(since, compressLogsAfterSeconds) ? await this.compress(found) : found.bytes;
      }
    }
    this.sizes.add({ at, bytes });
    return filesLeft;
  }

  /** @returns whether it is gone */
  private async delete(jid: number, path: string, found: FoundLog): Promise<boolean> {
    try {
      await unlink(found.path);
      this.tally.deleted(jid, found.bytes);
      this.parts.log.debug(`retention: deleted ${found.path}`);
      await rm(partialOf(path), { force: true });
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return true;
      this.tally.failed(error);
      return false;
    }
  }

  /** @returns the bytes that it has afterwards */
  private async compress(found: FoundLog): Promise<number> {
    if (!this.mayCompress || found.isCompressed || found.bytes < COMPRESS_BYTES_MIN) return found.bytes;
    try {
      const outcome = await compressLog(found.path, this.signal);
      if (outcome.kind !== "compressed") return found.bytes;
      this.tally.compressed(found.bytes, outcome.bytes);
      this.parts.log.debug(`retention: compressed ${found.path}`);
      return outcome.bytes;
    } catch (error) {
      this.signal.throwIfAborted();
      this.tally.failed(error);
      // A full disk is not asked again for each of a thousand logs.
      if (isFull(error)) this.mayCompress = false;
      return found.bytes;
    }
  }

  private async shrink(): Promise<void> {
    const { deleteLogsAboveBytes } = this.settings;
    const surplus = deleteLogsAboveBytes === null ? null : this.sizes.surplusOver(deleteLogsAboveBytes);
    if (surplus === null) return;
    await this.eachPage(async (jobs) => {
      for (const job of jobs) {
        this.signal.throwIfAborted();
        const sized = await this.sizeOf(job);
        if (sized !== null && surplus.includes(sized)) await this.deleteAll(job);
      }
    });
    for (const jid of surplus.rest()) {
      this.signal.throwIfAborted();
      const job = (await this.parts.book.get([jid])).get(jid);
      if (job !== undefined) await this.deleteAll(job);
    }
  }

  /** null: its logs may not go. */
  private async sizeOf(job: Job): Promise<SizedJob | null> {
    const { state } = job;
    if (!isEnded(state) || !isSettled(state) || this.parts.isAttended(job)) return null;
    let at = state.endedAt;
    let bytes = 0;
    for (const path of logPathsOf(job)) {
      for (const found of await this.folders.find(job.jid, path)) {
        at = Math.max(at, found.writtenAt);
        bytes += found.bytes;
      }
    }
    return { jid: job.jid, at, bytes };
  }

  private async deleteAll(job: Job): Promise<void> {
    for (const path of logPathsOf(job)) for (const found of await this.folders.find(job.jid, path)) await this.delete(job.jid, path, found);
  }

  private isOlder(at: number, ageSeconds: number | null): boolean {
    return ageSeconds !== null && this.parts.now() - at >= ageSeconds * 1_000;
  }
}

/** Nothing more is fetched for it: results that were not copied may still be, with what the log says of them. */
function isSettled(state: EndedState): boolean {
  return state.kind !== "failed" || !state.resultsNotCopied;
}

async function pauseAfter(workedMs: number, signal: AbortSignal): Promise<void> {
  await pause(Math.min(PAUSE_MS_MAX, 1 + workedMs * PAUSE_SHARE), undefined, { signal });
}

function isFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOSPC" || code === "EDQUOT";
}
