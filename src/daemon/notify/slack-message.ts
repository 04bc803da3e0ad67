/**
 * The body that a Slack-compatible webhook is sent: one text, short enough to be read, in the markup of Slack. Nothing of
 * a job or machine is markup: `& < >` are escaped, what it wrote stands in code spans, and no `@name` of it reaches anybody.
 */
import type { KindCounts } from "./digest.ts";
import type { NoticeKind } from "./notice.ts";
import type { Report, ReportEvent } from "./report.ts";

/** Failures, machines and matrices that are named one by one. */
const NAMED_MAX = 10;
const COMMAND_CHARACTERS_MAX = 120;
/** Slack cuts at 40,000, and folds from some 4,000 on. */
const TEXT_CHARACTERS_MAX = 12_000;

export interface SlackOptions {
  /** Who is mentioned; null: nobody. */
  readonly user: string | null;
  readonly duration: (seconds: number) => string;
}

type JobEvent = Extract<ReportEvent, { readonly job: unknown }>;

export function slackMessage(report: Report, options: SlackOptions): string {
  const lines = [headline(report, options.user), ...body(report, options)];
  const text = lines.join("\n");
  const cut = text.length > TEXT_CHARACTERS_MAX ? `${text.slice(0, text.lastIndexOf("\n", TEXT_CHARACTERS_MAX))}\n…` : text;
  const names = options.user !== null && mention(options.user).startsWith("@") ? { link_names: 1 } : {};
  return JSON.stringify({ text: cut, unfurl_links: false, unfurl_media: false, ...names });
}

function headline(report: Report, user: string | null): string {
  const who = user === null ? "" : `${mention(user)} `;
  const where = `*expjobserver on ${plain(report.server.name)}*`;
  if (report.kind === "test") return `${who}${where}: this is a test; notifications arrive here.`;
  const title = report.kind === "summary" ? "summary: " : "";
  return `${who}${where}: ${title}${tally(report.counts)}`;
}

function body(report: Report, options: SlackOptions): string[] {
  if (report.kind === "test") return [];
  const matrices = report.events.filter((event) => event.kind === "matrix-ended");
  const machines = report.events.filter((event) => "machine" in event);
  const jobs = report.events.filter((event) => "job" in event);
  const failures = jobs.filter(({ kind }) => kind === "job-failed" || kind === "job-unknown");
  const ended = new Set(jobs.flatMap(({ kind, job }) => (kind === "job-running" ? [] : [job.jid])));
  // That one started is no news beside its end.
  const others = jobs.filter((event) => !failures.includes(event) && !(event.kind === "job-running" && ended.has(event.job.jid)));
  const failed = (report.counts["job-failed"] ?? 0) + (report.counts["job-unknown"] ?? 0);
  const rest = countOf(report.counts, OTHERS);
  const lines = [
    ...named(matrices, matrixLine, report.counts["matrix-ended"] ?? 0),
    ...named(machines, machineLine, countOf(report.counts, MACHINES)),
    ...byMatrixLines(report.byMatrix),
    ...named(failures, (event) => jobLine(event, options), failed),
    // Of a mass of completions the counts say all.
    ...(rest <= NAMED_MAX ? others.map((event) => `• ${jobLine(event, options)}`) : []),
  ];
  if (report.unsent > 0) lines.push(`${counted(report.unsent, "earlier event")} could not be sent.`);
  if (report.kind === "summary") {
    const { waiting, held, running, copying } = report.jobs;
    lines.push(`Now: ${waiting} waiting, ${held} held, ${running} running, ${copying} copying.`);
  }
  return lines;
}

const OTHERS: readonly NoticeKind[] = ["job-running", "job-done", "job-copied", "job-canceled"];
const MACHINES: readonly NoticeKind[] = ["machine-quarantined", "machine-unreachable", "machine-recovered"];

const TALLY: readonly (readonly [kind: NoticeKind, noun: string, verb: string])[] = [
  ["matrix-ended", "matrix", "ended"],
  ["job-failed", "job", "failed"],
  ["job-unknown", "job", "lost from sight"],
  ["job-canceled", "job", "canceled"],
  ["job-done", "job", "done"],
  ["job-copied", "job", "with results copied"],
  ["job-running", "job", "started"],
  ["machine-quarantined", "machine", "quarantined"],
  ["machine-unreachable", "machine", "unreachable"],
  ["machine-recovered", "machine", "back"],
];

/** `3 jobs failed, 40 done`: the noun where it changes. */
function tally(counts: KindCounts): string {
  let last = "";
  const parts: string[] = [];
  for (const [kind, noun, verb] of TALLY) {
    const count = counts[kind] ?? 0;
    if (count === 0) continue;
    parts.push(noun === last ? `${count} ${verb}` : `${counted(count, noun)} ${verb}`);
    last = noun;
  }
  return parts.join(", ");
}

function named<Event>(events: readonly Event[], line: (event: Event) => string, total: number): string[] {
  const shown = events.slice(0, NAMED_MAX).map((event) => `• ${line(event)}`);
  return total > shown.length ? [...shown, `• … and ${total - shown.length} more`] : shown;
}

/** Which matrices the jobs belong to, when that is more than one line says anyway. */
function byMatrixLines(byMatrix: Report["byMatrix"]): string[] {
  const of = [...byMatrix].filter(([id]) => id !== null);
  const jobs = of.reduce((sum, [, counts]) => sum + countOf(counts, [...OTHERS, "job-failed", "job-unknown"]), 0);
  if (jobs <= 1) return [];
  const lines = of.slice(0, NAMED_MAX).map(([id, counts]) => `• Of matrix ${id}: ${tally(counts)}`);
  if (of.length > NAMED_MAX) lines.push(`• … and ${of.length - NAMED_MAX} more matrices`);
  const none = byMatrix.get(null);
  return none === undefined ? lines : [...lines, `• Of no matrix: ${tally(none)}`];
}

function matrixLine({ matrix, retriedFailures }: Extract<ReportEvent, { readonly kind: "matrix-ended" }>): string {
  const { done, failed, canceled } = matrix.counts;
  const final = failed - (retriedFailures ?? 0);
  const outcomes = [`${done} done`, ...(final > 0 ? [`${final} failed`] : []), ...(canceled > 0 ? [`${canceled} canceled`] : [])];
  const retried = retriedFailures === null || retriedFailures === 0 ? "" : `; ${counted(retriedFailures, "failure")} retried`;
  return `*Matrix ${matrix.id} has ended*: ${outcomes.join(", ")}${retried}. ${code(matrix.cmd, COMMAND_CHARACTERS_MAX)}`;
}

function machineLine(event: Extract<ReportEvent, { readonly machine: unknown }>): string {
  const { machine, kind } = event;
  const className = machine.class === null ? "no class" : `class ${code(machine.class, COMMAND_CHARACTERS_MAX)}`;
  const name = `Machine ${code(machine.addr, COMMAND_CHARACTERS_MAX)} (${className})`;
  if (kind === "machine-recovered") return `${name} is back.`;
  const what = kind === "machine-quarantined" ? "is quarantined" : "has been unreachable for long";
  return `${name} ${what}${machine.reason === null ? "." : `: ${plain(machine.reason)}`}`;
}

const OUTCOMES: Readonly<Record<JobEvent["kind"], string>> = {
  "job-running": "started",
  "job-done": "is done",
  "job-copied": "has its results copied",
  "job-failed": "failed",
  "job-unknown": "is lost from sight",
  "job-canceled": "was canceled",
};

function jobLine({ kind, job, errorLine }: JobEvent, options: SlackOptions): string {
  const noun = job.kind === "setup" ? "Setup job" : "Job";
  const matrix = job.matrix === null ? "" : ` of matrix ${job.matrix}`;
  const machine = job.machine === null ? "" : ` on ${code(job.machine, COMMAND_CHARACTERS_MAX)}`;
  const lasted = kind === "job-running" || job.duration === null ? "" : ` after ${options.duration(job.duration)}`;
  const error = job.error === null ? "." : `: ${plain(job.error)}`;
  const results = job.results_path === null ? "" : ` Results: ${code(job.results_path, COMMAND_CHARACTERS_MAX)}.`;
  const again = job.retried_by === null ? "" : ` Tried again as job ${job.retried_by}.`;
  const command = ` ${code(job.command_line, COMMAND_CHARACTERS_MAX)}`;
  const said = errorLine === null ? "" : `\n    ${code(errorLine, Number.POSITIVE_INFINITY)}`;
  return `${noun} ${job.jid}${matrix} ${OUTCOMES[kind]}${machine}${lasted}${error}${results}${again}${command}${said}`;
}

/** Text of others, as a code span: no markup acts in it. */
function code(text: string, charactersMax: number): string {
  const cut = text.length > charactersMax ? `${text.slice(0, charactersMax - 1).toWellFormed()}…` : text;
  return `\`${unnamed(escaped(cut.replaceAll("`", "'")))}\``;
}

/** Text of others in a sentence. */
function plain(text: string): string {
  return unnamed(escaped(text.replaceAll("`", "'")));
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** `@channel` and the like, apart from their names by what nobody sees; `user@host` stays as it is. */
function unnamed(text: string): string {
  return text.replaceAll(/@(?=(?:channel|here|everyone|all|group)\b)|(?<![\p{L}\p{N}])@(?=[\p{L}\p{N}])/giu, "@\u200b");
}

/** A member id, a group or one of Slack's own words is linked by its id; a name by the receiver. */
function mention(user: string): string {
  const name = user.replace(/^@/, "");
  if (/^[UW][A-Z0-9]{6,}$/.test(name)) return `<@${name}>`;
  if (/^S[A-Z0-9]{6,}$/.test(name)) return `<!subteam^${name}>`;
  return /^(?:here|channel|everyone)$/.test(name) ? `<!${name}>` : `@${name}`;
}

function countOf(counts: KindCounts, kinds: readonly NoticeKind[]): number {
  return kinds.reduce((sum, kind) => sum + (counts[kind] ?? 0), 0);
}

function counted(count: number, noun: string): string {
  if (count === 1) return `1 ${noun}`;
  return noun === "matrix" ? `${count} matrices` : `${count} ${noun}s`;
}
