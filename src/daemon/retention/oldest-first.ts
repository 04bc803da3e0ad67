/**
 * Which logs go when all together are too large: the oldest. Of a million jobs only sums by the hour are kept in
 * memory, and in the end the jobs of one hour.
 */

const HOUR_MS = 3_600_000;

export interface SizedJob {
  readonly jid: number;
  /** When the last of its logs was written or the job ended, milliseconds since the epoch. */
  readonly at: number;
  readonly bytes: number;
}

export class HourlySizes {
  private readonly bytesOfHour = new Map<number, number>();
  private totalBytes = 0;

  add({ at, bytes }: Pick<SizedJob, "at" | "bytes">): void {
    if (bytes === 0) return;
    this.bytesOfHour.set(hourOf(at), (this.bytesOfHour.get(hourOf(at)) ?? 0) + bytes);
    this.totalBytes += bytes;
  }

  /** null: all of it may stay. */
  surplusOver(bytesMax: number): Surplus | null {
    if (this.totalBytes <= bytesMax) return null;
    let excess = this.totalBytes - bytesMax;
    for (const [hour, bytes] of [...this.bytesOfHour].sort(([a], [b]) => a - b)) {
      if (bytes >= excess) return new Surplus(hour, excess);
      excess -= bytes;
    }
    return null;
  }
}

/** All before an hour, and of that hour the oldest, until enough is freed. */
export class Surplus {
  private readonly ofLastHour: SizedJob[] = [];

  constructor(
    private readonly lastHour: number,
    private readonly bytesOfLastHour: number,
  ) {}

  /** true: it goes. One of the last hour is remembered for `rest`. */
  includes(job: SizedJob): boolean {
    const hour = hourOf(job.at);
    if (hour === this.lastHour && job.bytes > 0) this.ofLastHour.push(job);
    return hour < this.lastHour && job.bytes > 0;
  }

  /** Those of the last hour that go, after all jobs were seen. */
  rest(): readonly number[] {
    const jids: number[] = [];
    let freed = 0;
    for (const { jid, bytes } of this.ofLastHour.sort((a, b) => a.at - b.at || a.jid - b.jid)) {
      if (freed >= this.bytesOfLastHour) break;
      jids.push(jid);
      freed += bytes;
    }
    return jids;
  }
}

function hourOf(at: number): number {
  return Math.floor(at / HOUR_MS);
}
