/** How the state of jobs is written: one word with a colour, counts in a line, counts in a cell. */
import type { JobStatus, WireCounts, WireJob } from "../protocol/methods/job.ts";
import { type Paint, type Palette, paletteOf } from "./colour.ts";
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

/** `Running (12m)`, `Done (53m55s)`; with the server's time also `Waiting (3h)`, since it was queued. */
export function statusCell(job: WireJob, palette: Palette, now?: string): string {
  const seconds = job.duration ?? waitedSeconds(job, now);
  const time = seconds === null ? "" : ` (${formatDuration(seconds)})`;
  return statusPaint(job.status, palette)(WORDS[job.status] + time);
}

function waitedSeconds(job: WireJob, now: string | undefined): number | null {
  if (now === undefined || (job.status !== "waiting" && job.status !== "held")) return null;
  const milliseconds = Date.parse(now) - Date.parse(job.created);
  return Number.isNaN(milliseconds) ? null : milliseconds / 1_000;
}

export function statusWord(status: JobStatus, palette: Palette): string {
  return statusPaint(status, palette)(WORDS[status]);
}

/** `274 jobs: 0 waiting, 0 held, 1 running, 257 done, 4 failed, 12 canceled`; shorter where that is too wide. */
export function summaryLine(counts: WireCounts, width: number, palette: Palette = paletteOf({ colours: false })): string {
  const total = sum(counts);
  const start = `${total} ${total === 1 ? "job" : "jobs"}`;
  const words: readonly JobStatus[] = ["waiting", "held", "running", "copying", "done", "failed", "canceled", "unknown"];
  const full = words.filter((word) => counts[word] > 0 || (word !== "copying" && word !== "unknown"));
  const present = words.filter((word) => counts[word] > 0);
  const written = (word: JobStatus): string => {
    const text = `${counts[word]} ${word}`;
    return counts[word] > 0 ? statusPaint(word, palette)(text) : text;
  };
  const lines = [
    `${start}: ${full.map(written).join(", ")}`,
    `${start}: ${present.map(written).join(", ")}`,
    `${start}: ${countsCell(counts, palette)}`,
  ];
  return lines.find((line) => Bun.stringWidth(line) <= width) ?? start;
}

/** `248D 4F 12C`: done, failed, canceled, running (and copying), waiting, held, unknown; what is 0 is left out. */
export function countsCell(counts: WireCounts, palette: Palette): string {
  const parts = countParts(counts).map(([count, letter, status]) => statusPaint(status, palette)(`${count}${letter}`));
  return parts.length === 0 ? "0 jobs" : parts.join(" ");
}

export function sum(counts: WireCounts): number {
  return counts.waiting + counts.held + counts.running + counts.copying + counts.done + counts.failed + counts.canceled + counts.unknown;
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
