/** What one look at the past came to, for the log: everything that is deleted is said, with its count. */
import { faultOf } from "../log-words.ts";

export class SweepTally {
  failures = 0;
  firstFailure: string | null = null;
  private compressedLogs = 0;
  private bytesBefore = 0;
  private bytesAfter = 0;
  private deletedLogs = 0;
  private deletedBytes = 0;
  private lowestJid = Number.POSITIVE_INFINITY;
  private highestJid = -1;
  private forgottenJobs = 0;

  compressed(before: number, after: number): void {
    this.compressedLogs++;
    this.bytesBefore += before;
    this.bytesAfter += after;
  }

  deleted(jid: number, bytes: number): void {
    this.deletedLogs++;
    this.deletedBytes += bytes;
    this.lowestJid = Math.min(this.lowestJid, jid);
    this.highestJid = Math.max(this.highestJid, jid);
  }

  forgotten(jobs: number): void {
    this.forgottenJobs += jobs;
  }

  failed(error: unknown): void {
    this.failures++;
    this.firstFailure ??= error instanceof Error && "code" in error ? error.message : faultOf(error);
  }

  /** null: nothing was done. */
  words(): string | null {
    const parts = [
      ...(this.compressedLogs === 0
        ? []
        : [`compressed ${counted(this.compressedLogs, "log")}, ${this.bytesBefore} bytes to ${this.bytesAfter}`]),
      ...(this.deletedLogs === 0
        ? []
        : [`deleted ${counted(this.deletedLogs, "log")}, ${this.deletedBytes} bytes, of jobs ${this.lowestJid} to ${this.highestJid}`]),
      ...(this.forgottenJobs === 0 ? [] : [`forgot ${counted(this.forgottenJobs, "job")}`]),
    ];
    return parts.length === 0 ? null : parts.join("; ");
  }
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
