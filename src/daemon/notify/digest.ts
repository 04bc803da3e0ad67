/**
 * What is still to be told, gathered. Counts are exact whatever comes; details are kept for a bounded number of events,
 * failures before the rest, and what was left out is counted.
 */
import type { JobNoticeKind, Notice, NoticeKind } from "./notice.ts";

/** Events whose details are kept. */
export const DETAILS_MAX = 500;
/** Matrices that are counted one by one; those beyond them are counted with the jobs of none. */
const MATRICES_MAX = 200;

export type KindCounts = Partial<Record<NoticeKind, number>>;

export class Digest {
  readonly #counts = new Map<NoticeKind, number>();
  readonly #byMatrix = new Map<number | null, Map<JobNoticeKind, number>>();
  readonly #grave: Notice[] = [];
  readonly #plain: Notice[] = [];
  #total = 0;
  #isSummary = false;

  get total(): number {
    return this.#total;
  }

  /** A part of it is the summary of an interval. */
  get isSummary(): boolean {
    return this.#isSummary;
  }

  get counts(): KindCounts {
    return Object.fromEntries(this.#counts);
  }

  /** How many of the events have no details here. */
  get omitted(): number {
    return this.#total - this.#grave.length - this.#plain.length;
  }

  /** Counts of the jobs' events by matrix; null: of none. */
  get byMatrix(): ReadonlyMap<number | null, KindCounts> {
    return new Map([...this.#byMatrix].map(([id, counts]) => [id, Object.fromEntries(counts)]));
  }

  /** In the order in which they happened. */
  get notices(): readonly Notice[] {
    return [...this.#grave, ...this.#plain].sort((a, b) => a.at - b.at);
  }

  add(notice: Notice): void {
    this.#total++;
    this.#counts.set(notice.kind, (this.#counts.get(notice.kind) ?? 0) + 1);
    if ("job" in notice) this.#countInMatrix(notice.job.matrix?.id ?? null, notice.kind, 1);
    this.#keep(notice);
  }

  /** What `other` holds came later. */
  addAll(other: Digest): void {
    this.#isSummary ||= other.#isSummary;
    this.#total += other.#total;
    for (const [kind, count] of other.#counts) this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + count);
    for (const [id, counts] of other.#byMatrix) for (const [kind, count] of counts) this.#countInMatrix(id, kind, count);
    for (const notice of [...other.#grave, ...other.#plain]) this.#keep(notice);
  }

  markSummary(): void {
    this.#isSummary = true;
  }

  #countInMatrix(id: number | null, kind: JobNoticeKind, count: number): void {
    const key = this.#byMatrix.has(id) || this.#byMatrix.size < MATRICES_MAX ? id : null;
    const counts = this.#byMatrix.get(key) ?? new Map<JobNoticeKind, number>();
    counts.set(kind, (counts.get(kind) ?? 0) + count);
    this.#byMatrix.set(key, counts);
  }

  #keep(notice: Notice): void {
    const hasRoom = this.#grave.length + this.#plain.length < DETAILS_MAX;
    if (!isGrave(notice)) {
      if (hasRoom) this.#plain.push(notice);
      return;
    }
    if (!hasRoom && this.#plain.pop() === undefined) return;
    this.#grave.push(notice);
  }
}

function isGrave({ kind }: Notice): boolean {
  return kind !== "job-running" && kind !== "job-done" && kind !== "job-copied";
}
