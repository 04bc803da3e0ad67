/** `status`: that a server runs, since when, with what. */
import type { WireCounts } from "../protocol/methods/job.ts";
import { paletteOf } from "./colour.ts";
import { renderDetails } from "./details.ts";
import { formatInstant } from "./duration.ts";
import type { Screen } from "./job-listing.ts";
import { summaryLine } from "./job-status.ts";
import { type Notice, noticeWords } from "./notice.ts";
import { printable } from "./printable.ts";
import { formatBytes } from "./size.ts";

export interface ServerStatus {
  readonly version: string;
  readonly pid: number;
  readonly started: string;
  readonly address: string;
  readonly state_dir: string;
  readonly log_dir: string;
  readonly token_file: string;
  readonly config_file: string | null;
  readonly runner: string | null;
  readonly memory_bytes: number;
  readonly jobs: WireCounts;
  readonly machines: Readonly<Record<"free" | "busy" | "quarantined" | "unreachable", number>>;
  readonly conditions: readonly Notice[];
}

export function renderServerStatus(status: ServerStatus, screen: Screen): string {
  const palette = paletteOf(screen);
  const { free, busy, quarantined, unreachable } = status.machines;
  const machines = `${free} free, ${busy} busy, ${quarantined} quarantined, ${unreachable} unreachable`;
  const conditions = status.conditions.map((condition) => {
    const { message, hint } = noticeWords(condition);
    return palette.red(hint === "" ? message : `${message} ${hint}`);
  });
  return renderDetails(
    [
      ["Server", `expjobserver ${printable(status.version)}, process ${status.pid}, at ${printable(status.address)}`],
      ["Attention", conditions.length === 0 ? null : conditions.join("\n")],
      ["Since", printable(formatInstant(status.started))],
      ["Jobs", summaryLine(status.jobs, Number.POSITIVE_INFINITY)],
      ["Machines", machines],
      ["Runner", status.runner === null ? "none: commands are shell text" : printable(status.runner)],
      ["State", printable(status.state_dir)],
      ["Logs", printable(status.log_dir)],
      ["Token", printable(status.token_file)],
      ["Config", status.config_file === null ? "none" : printable(status.config_file)],
      ["Memory", formatBytes(status.memory_bytes)],
    ],
    screen.width,
    palette.dim,
  ).join("\n");
}
