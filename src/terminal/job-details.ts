/** `job show`: everything about a job, one thing a line. */
import type { WireJob } from "../protocol/methods/job.ts";
import { type Palette, paletteOf } from "./colour.ts";
import { type Detail, renderDetails } from "./details.ts";
import { formatDuration, formatInstant } from "./duration.ts";
import { jobError } from "./job-json.ts";
import type { Screen } from "./job-listing.ts";
import { statusCell } from "./job-status.ts";
import { printable } from "./printable.ts";
import { problemWords } from "./problem.ts";
import { formatBytes } from "./size.ts";
import { forJob } from "./wording.ts";

const FILES_SHOWN_MAX = 32;

export function renderJobDetails(job: WireJob, screen: Screen): string {
  const palette = paletteOf(screen);
  return renderDetails(detailsOf(job, palette), screen.width, palette.dim).join("\n");
}

function detailsOf(job: WireJob, palette: Palette): Detail[] {
  const error = jobError(job);
  return [
    ["Job", palette.bold(String(job.jid)) + (job.kind === "setup" ? " (setup)" : "")],
    ["Status", statusCell(job, palette)],
    ["Error", error === null ? null : palette.red(error)],
    ["What to do", job.error === null ? null : emptyAsNull(forJob(problemWords(job.error).hint, job.jid))],
    ["Warning", job.warning === null ? null : palette.yellow(problemWords(job.warning).message)],
    ["Exit code", job.exit_code === null ? null : `${job.exit_code}${job.signal === null ? "" : ` (${printable(job.signal)})`}`],
    ["Class", job.class === "" ? null : printable(job.class)],
    ...(job.cmds === null ? [["Command", printable(job.cmd)] as const] : [["Commands", commands(job, job.cmds)] as const]),
    [
      "Command line",
      job.command_line === "" || [job.cmd, ...(job.cmds ?? [])].includes(job.command_line) ? null : printable(job.command_line),
    ],
    ["Variables", variables(job.variables)],
    ["Machine", printableOrNull(job.machine)],
    ["Matrix", numberOrNull(job.matrix)],
    ["Tag", numberOrNull(job.tag)],
    ["Attempt", attempt(job)],
    ["Timeout", job.timeout === null ? null : formatDuration(job.timeout)],
    ["Notify", job.notify ? "yes" : null],
    ["Created", printable(formatInstant(job.created))],
    ["Started", job.started === null ? null : printable(formatInstant(job.started))],
    ["Ended", job.ended === null ? null : printable(formatInstant(job.ended))],
    ...logs(job),
    ["Copy results to", printableOrNull(job.cp_results)],
    ["Results named", job.results.length === 0 ? null : job.results.map(printable).join("\n")],
    ["Results", printableOrNull(job.results_path)],
    ["Files", files(job.files)],
  ];
}

/** Numbered as problems name them, with what became of the last one that began. */
function commands(job: WireJob, cmds: readonly string[]): string {
  const begun = job.cmd_logs?.length ?? 0;
  const isLast = (index: number): boolean => index === begun - 1;
  const note = job.status === "running" || job.status === "failed" || job.status === "unknown" ? ` (${job.status})` : "";
  return cmds.map((cmd, index) => `${index + 1}. ${printable(cmd)}${isLast(index) ? note : ""}`).join("\n");
}

function logs(job: WireJob): Detail[] {
  const each = job.cmd_logs;
  if (each === undefined) {
    return [
      ["Log", printableOrNull(job.log)],
      ["Error log", printableOrNull(job.err_log)],
    ];
  }
  const lines = (paths: readonly string[]): string | null =>
    emptyAsNull(paths.map((path, index) => `${index + 1}. ${printable(path)}`).join("\n"));
  return [
    ["Logs", lines(each.map(({ log }) => log))],
    ["Error logs", lines(each.map(({ err_log: path }) => path))],
  ];
}

function attempt(job: WireJob): string | null {
  if (job.attempt === 1 && job.retried_by === null) return null;
  const before = job.retry_of === null ? "" : `, retry of ${job.retry_of}`;
  const after = job.retried_by === null ? "" : `, retried as ${job.retried_by}`;
  return `${job.attempt}${before}${after}`;
}

function variables(values: WireJob["variables"]): string | null {
  const lines = Object.entries(values).map(([name, value]) => `${printable(name)}=${printable(value)}`);
  return lines.length === 0 ? null : lines.join("\n");
}

function files(list: WireJob["files"]): string | null {
  if (list === null || list.length === 0) return null;
  const lines = list
    .slice(0, FILES_SHOWN_MAX)
    .map((file) => `${printable(file.path)} (${formatBytes(file.bytes)}, sha256 ${printable(file.sha256)})`);
  if (list.length > FILES_SHOWN_MAX) lines.push(`and ${list.length - FILES_SHOWN_MAX} more`);
  return lines.join("\n");
}

function numberOrNull(value: number | null): string | null {
  return value === null ? null : String(value);
}

function printableOrNull(value: string | null): string | null {
  return value === null ? null : printable(value);
}

function emptyAsNull(text: string): string | null {
  return text === "" ? null : text;
}
