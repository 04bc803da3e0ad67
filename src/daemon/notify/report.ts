/**
 * A digest made into what is told: views of jobs and machines, the last line of a failed job's error log, the counts of
 * ended matrices. Everything that leaves is masked, made printable and cut to length here; the formats only arrange it.
 */

import type { JobCounts } from "../../core/job.ts";
import { runOf } from "../../core/job.ts";
import type { State } from "../../core/state.ts";
import type { WireMatrix } from "../../protocol/methods/matrix.ts";
import type { JobBook } from "../job-book.ts";
import { jobView } from "../views/job.ts";
import { machineView } from "../views/machine.ts";
import { matrixView } from "../views/matrix.ts";
import type { Digest, KindCounts } from "./digest.ts";
import type { KnownSecrets } from "./known-secrets.ts";
import { lastLine } from "./last-line.ts";
import type { JobNoticeKind, MachineNoticeKind, Notice } from "./notice.ts";
import type { NoticeWords, WordedJob, WordedMachine } from "./words.ts";

export type ReportKind = "events" | "summary" | "test";

export type ReportEvent =
  | { readonly kind: JobNoticeKind; readonly at: number; readonly job: WordedJob; readonly errorLine: string | null }
  | { readonly kind: "matrix-ended"; readonly at: number; readonly matrix: WireMatrix; readonly retriedFailures: number | null }
  | { readonly kind: MachineNoticeKind; readonly at: number; readonly machine: WordedMachine };

export interface Report {
  readonly kind: ReportKind;
  readonly at: number;
  readonly server: { readonly name: string; readonly version: string };
  readonly events: readonly ReportEvent[];
  /** Of all events, also those that are not among `events`. */
  readonly counts: KindCounts;
  readonly byMatrix: ReadonlyMap<number | null, KindCounts>;
  /** Events without details here. */
  readonly omitted: number;
  /** Events of earlier messages that were given up. */
  readonly unsent: number;
  /** All jobs of the server, as they are now. */
  readonly jobs: JobCounts;
}

export interface ReporterOptions {
  readonly state: () => State;
  readonly book: Pick<JobBook, "get">;
  readonly secrets: KnownSecrets;
  readonly words: NoticeWords;
  readonly server: { readonly name: string; readonly version: string };
  readonly now: () => number;
}

/** Error logs that are looked into for one message. */
const ERROR_LINES_MAX = 50;
const ERROR_LINE_CHARACTERS_MAX = 300;
const ERROR_LINE_READ_MS_MAX = 2_000;
/** Of one value of a job, of which a command may have 64 KiB. */
const TEXT_CHARACTERS_MAX = 1_000;
/** Of one list of a job or matrix: a matrix may have thousands of values. */
const LIST_ITEMS_MAX = 100;
/** Of all details together; events beyond it count as left out. */
const DETAIL_CHARACTERS_MAX = 500_000;
/** A larger matrix is not looked through for its retries. */
const MATRIX_JOBS_MAX = 20_000;
const MATRIX_JOBS_STEP = 500;

export class Reporter {
  constructor(private readonly options: ReporterOptions) {}

  async report(digest: Digest, unsent: number): Promise<Report> {
    const events: ReportEvent[] = [];
    let characters = 0;
    let errorLines = 0;
    const { notices } = digest;
    for (const notice of notices) {
      if (characters > DETAIL_CHARACTERS_MAX) break;
      const event = await this.event(notice, isFailure(notice) && errorLines++ < ERROR_LINES_MAX);
      characters += JSON.stringify(event).length;
      events.push(event);
    }
    return {
      ...this.frame(digest.isSummary ? "summary" : "events", unsent),
      events,
      counts: digest.counts,
      byMatrix: digest.byMatrix,
      omitted: digest.omitted + notices.length - events.length,
    };
  }

  /** Tells of nothing but that it arrives. */
  test(): Report {
    return { ...this.frame("test", 0), events: [], counts: {}, byMatrix: new Map(), omitted: 0 };
  }

  private frame(kind: ReportKind, unsent: number): Pick<Report, "kind" | "at" | "server" | "unsent" | "jobs"> {
    const { now, server, state } = this.options;
    return { kind, at: now(), server, unsent, jobs: state().counts };
  }

  private async event(notice: Notice, withErrorLine: boolean): Promise<ReportEvent> {
    const { words, secrets, state, now } = this.options;
    const { kind, at } = notice;
    if (kind === "matrix-ended") {
      const { matrix } = notice;
      const view = this.cleaned(matrixView(matrix), (text) => secrets.mask(text));
      return { kind, at, matrix: view, retriedFailures: await this.retriedFailures(notice.matrix) };
    }
    if ("machine" in notice) {
      return { kind: notice.kind, at, machine: this.cleaned(words.machine(machineView(notice.machine)), (text) => secrets.mask(text)) };
    }
    const { job } = notice;
    const view = words.job(jobView(state(), job, now()));
    const printed = (text: string): string => secrets.maskPrinted(text, job.spec.secrets);
    const { results, results_path, files, error, warning, ...rest } = view;
    const errLog = withErrorLine ? (runOf(job.state)?.errLog ?? null) : null;
    const line = errLog === null ? null : await withinBound(lastLine(errLog, secrets.longest * 4));
    return {
      kind: notice.kind,
      at,
      job: {
        ...this.cleaned(rest, (text) => secrets.mask(text)),
        ...this.cleaned({ results, results_path, files, error, warning }, printed),
      },
      errorLine: line === null ? null : this.cleanText(line, printed, ERROR_LINE_CHARACTERS_MAX),
    };
  }

  /** Failures that another attempt stands for; null: too many jobs to look. */
  private async retriedFailures(matrix: Extract<Notice, { kind: "matrix-ended" }>["matrix"]): Promise<number | null> {
    const { book } = this.options;
    if (matrix.counts.failed === 0) return 0;
    if (Object.values(matrix.counts).reduce((sum, count) => sum + count, 0) > MATRIX_JOBS_MAX) return null;
    let retried = 0;
    for (const { first, last } of matrix.jids) {
      for (let start = first; start <= last; start += MATRIX_JOBS_STEP) {
        const count = Math.min(MATRIX_JOBS_STEP, last - start + 1);
        const jobs = await book.get(Array.from({ length: count }, (_, index) => start + index));
        for (const job of jobs.values()) if (job.retriedBy !== null && job.matrix?.id === matrix.id) retried++;
      }
    }
    return retried;
  }

  private cleaned<T>(value: T, mask: (text: string) => string): T {
    return mapTexts(value, (text) => this.cleanText(text, mask, TEXT_CHARACTERS_MAX)) as T;
  }

  /** Masked as it was written and as it is shown: what is invisible may stand inside a value. */
  private cleanText(text: string, mask: (text: string) => string, charactersMax: number): string {
    const shown = this.options.words.printable(Bun.stripANSI(mask(text).toWellFormed()).replaceAll(INVISIBLE, ""));
    const masked = mask(shown);
    return masked.length > charactersMax ? `${masked.slice(0, charactersMax - 1).toWellFormed()}…` : masked;
  }
}

/** Formats of no meaning on one line: zero-width and direction marks, and what a terminal acts on. Tabs and line ends are shown. */
const INVISIBLE = /[\p{Cf}]|(?![\t\n\r])\p{Cc}/gu;

/** A log on a file system that does not answer must not keep the news of the failure back. */
async function withinBound(line: Promise<string | null>): Promise<string | null> {
  const late = Promise.withResolvers<null>();
  const timer = setTimeout(() => late.resolve(null), ERROR_LINE_READ_MS_MAX);
  try {
    return await Promise.race([line, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function isFailure({ kind }: Notice): boolean {
  return kind === "job-failed" || kind === "job-unknown";
}

function mapTexts(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.slice(0, LIST_ITEMS_MAX).map((item) => mapTexts(item, change));
  if (typeof value !== "object" || value === null) return value;
  // A variable's name is a word; its value is anybody's text.
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapTexts(item, change)]));
}
