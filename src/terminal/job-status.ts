/** How the state of jobs is written: one word with a colour, counts in a line, counts in a cell. */
import type { JobStatus, WireCounts, WireJob } from "../protocol/methods/job.ts";
import type { Paint, Palette } from "./colour.ts";
import { formatDuration } from "./duration.ts";

const WORDS: Readonly<Record<JobStatus, string>> = {
  waiting: "Waiting",
  held: "Held",
  running: "Running",
  copying: "Copying",
  done: "Done",
  failed: "Failed",
  canceled: "Canceled",
  unknown: "Unknown",
};

/** `Running (12m)`, `Done (53m55s)`. */
export function statusCell(job: WireJob, palette: Palette): string {
  const time = job.duration === null ? "" : ` (${formatDuration(job.duration)})`;
  return statusPaint(job.status, palette)(WORDS[job.status] + time);
}

export function statusWord(status: JobStatus, palette: Palette): string {
  return statusPaint(status, palette)(WORDS[status]);
}

/** `274 jobs: 0 waiting, 0 held, 1 running, 257 done, 4 failed, 12 canceled`; shorter where that is too wide. */
export function summaryLine(counts: WireCounts, width: number): string {
  const total = sum(counts);
  const start = `${total} ${total === 1 ? "job" : "jobs"}`;
  const parts: [number, string][] = [
    [counts.waiting, "waiting"],
    [counts.held, "held"],
    [counts.running, "running"],
    [counts.copying, "copying"],
    [counts.done, "done"],
    [counts.failed, "failed"],
    [counts.canceled, "canceled"],
    [counts.unknown, "unknown"],
  ];
  const rare = new Set(["copying", "unknown"]);
  const full = parts.filter(([count, word]) => count > 0 || !rare.has(word)).map(([count, word]) => `${count} ${word}`);
  const present = parts.filter(([count]) => count > 0).map(([count, word]) => `${count} ${word}`);
  const lines = [`${start}: ${full.join(", ")}`, `${start}: ${present.join(", ")}`, `${start}: ${shortCounts(counts).join(" ")}`];
  return lines.find((line) => line.length <= width) ?? start;
}

/** `248D 4F 12C`: done, failed, canceled, running (and copying), waiting, held, unknown; what is 0 is left out. */
export function countsCell(counts: WireCounts, palette: Palette): string {
  const parts = countParts(counts).map(([count, letter, status]) => statusPaint(status, palette)(`${count}${letter}`));
  return parts.length === 0 ? "0 jobs" : parts.join(" ");
}

export function sum(counts: WireCounts): number {
  return counts.waiting + counts.held + counts.running + counts.copying + counts.done + counts.failed + counts.canceled + counts.unknown;
}

function shortCounts(counts: WireCounts): string[] {
  return countParts(counts).map(([count, letter]) => `${count}${letter}`);
}

function countParts(counts: WireCounts): [number, string, JobStatus][] {
  const parts: [number, string, JobStatus][] = [
    [counts.done, "D", "done"],
    [counts.failed, "F", "failed"],
    [counts.canceled, "C", "canceled"],
    [counts.running + counts.copying, "R", "running"],
    [counts.waiting, "W", "waiting"],
    [counts.held, "H", "held"],
    [counts.unknown, "U", "unknown"],
  ];
  return parts.filter(([count]) => count > 0);
}

function statusPaint(status: JobStatus, palette: Palette): Paint {
  switch (status) {
    case "waiting":
      return palette.blue;
    case "held":
      return palette.magenta;
    case "running":
      return palette.yellow;
    case "copying":
      return palette.cyan;
    case "done":
      return palette.green;
    case "failed":
      return (text) => palette.underline(palette.red(text));
    case "canceled":
      return palette.dim;
    case "unknown":
      return palette.red;
  }
}
