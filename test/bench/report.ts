/** Figures as a table for people. The JSON of `--json` is the rows as they are. */
import { cpus, loadavg, release } from "node:os";
import type { Row, Sample, Target, Unit } from "./measure.ts";

export interface Surroundings {
  readonly date: string;
  readonly cpu: string;
  readonly cores: number;
  readonly kernel: string;
  readonly bun: string;
  /** At the end, over 1, 5 and 15 minutes: what else the machine did. */
  readonly load: string;
}

export function surroundings(): Surroundings {
  const processors = cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: processors[0]?.model ?? "unknown",
    cores: processors.length,
    kernel: release(),
    bun: Bun.version,
    load: loadavg()
      .map((value) => value.toFixed(1))
      .join(" "),
  };
}

/** A Markdown table, padded so that it reads as well on a terminal. */
export function renderTable(rows: readonly Row[]): string {
  const header = ["bench", "what", "ours", "peer", "ours by peer", "to reach"];
  const cells = rows.map((row) => [
    row.bench,
    row.what,
    row.ours === null ? "-" : shownSample(row.ours, row.unit),
    shownPeer(row),
    row.ratio === null ? "-" : `${shownNumber(row.ratio.median)}x (${shownNumber(row.ratio.low)}-${shownNumber(row.ratio.high)})`,
    row.target === null ? "-" : `${shownTarget(row.target, row.unit)}${isReached(row) === false ? " **not reached**" : ""}`,
  ]);
  const widths = header.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  return [line(header), line(widths.map((width) => "-".repeat(width))), ...cells.map(line)].join("\n");
}

/** How the peers were driven, and why some are not there: one line each, under the table. */
export function renderNotes(rows: readonly Row[]): string {
  const lines = rows.flatMap(({ peer }) => {
    if (peer === null) return [];
    if ("absent" in peer) return [`- ${peer.name}: not here, ${peer.absent}`];
    return peer.how === null ? [] : [`- ${peer.name}: ${peer.how}`];
  });
  return [...new Set(lines)].join("\n");
}

function shownPeer({ peer, unit }: Row): string {
  if (peer === null) return "-";
  return "absent" in peer ? `${peer.name}: not here` : `${peer.name}: ${shownSample(peer.sample, unit)}`;
}

/** null: nothing was asked of it, or it was not measured. */
function isReached({ target, ours, ratio }: Row): boolean | null {
  if (target === null || ours === null) return null;
  if (target.kind === "at-most") return ours.median <= target.value;
  if (ratio === null) return null;
  return target.kind === "ratio-at-most" ? ratio.median <= target.value : ratio.median >= target.value;
}

/** Median, with the quartiles where there are any. */
function shownSample(sample: Sample, unit: Unit): string {
  const spread = sample.count < 3 ? "" : ` (${shownNumber(sample.low)}-${shownNumber(sample.high)})`;
  return `${shownNumber(sample.median)}${spread}${unit === "per second" ? "/s" : ` ${unit}`}`;
}

function shownTarget({ kind, value }: Target, unit: Unit): string {
  switch (kind) {
    case "ratio-at-most":
      return `at most ${value}x`;
    case "ratio-at-least":
      return `at least ${value}x`;
    case "at-most":
      return `at most ${value} ${unit}`;
  }
}

function shownNumber(value: number): string {
  if (value >= 100) return value.toFixed(0);
  if (value !== 0 && value < 0.1) return value.toPrecision(2);
  return value.toFixed(value >= 10 ? 1 : 2);
}
