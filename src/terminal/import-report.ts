/** What came in, or would: of the old system, or of an exported state; and what an export leaves out. */
import { printable } from "./printable.ts";
import type { Words } from "./wording.ts";

interface Range {
  readonly first: number;
  readonly last: number;
}
interface Names {
  readonly added: number;
  readonly kept: readonly string[];
  readonly refused: readonly string[];
  readonly left: number;
}
interface ImportReport {
  readonly dryRun: boolean;
  readonly file: string;
  readonly jobs: Readonly<Record<string, number>>;
  readonly forgotten: number;
  readonly matrices: number;
  readonly tags: number;
  readonly machines: Names;
  readonly variables: Names;
  readonly ids: (Range & { readonly shift: number }) | null;
  readonly nextId: number;
  readonly held: readonly Range[];
  readonly cutShort: number;
}

const NAMES_TOLD_MAX = 10;
const RANGES_TOLD_MAX = 10;

export function importLines(report: ImportReport): readonly string[] {
  const { machines, variables, ids, held, cutShort, forgotten } = report;
  const lines = [
    `${report.dryRun ? "Would come in" : "Came in"}: ${all({ ...report, machines: machines.added, variables: variables.added })}.`,
  ];
  if (ids !== null && ids.shift === 0) lines.push(`Ids are kept: ${ids.first} to ${ids.last}. The next one is ${report.nextId}.`);
  if (ids !== null && ids.shift > 0) {
    lines.push(
      `Ids were taken here already, so each is ${ids.shift} more: ${ids.first} to ${ids.last} there are ${ids.first + ids.shift} to ${ids.last + ids.shift} here.`,
    );
  }
  if (held.length > 0) lines.push(`Jobs that waited there are held: \`j job unhold ${ranges(held)}\` lets them go.`);
  if (cutShort > 0)
    lines.push(
      `${plural(cutShort, "job was", "jobs were")} under way there: canceled here, with that reason; \`j job clone\` queues them again.`,
    );
  if (forgotten > 0) lines.push(`Left out, because about to be forgotten there: ${plural(forgotten, "job", "jobs")}.`);
  lines.push(...nameLines("machine", machines), ...nameLines("variable", variables));
  if (machines.left > 0) lines.push(`Left out, as asked: ${plural(machines.left, "machine", "machines")}.`);
  if (variables.added > 0) lines.push("The old system had no secrets: set again with `j var set NAME - --secret` what should be one.");
  return lines;
}

function nameLines(what: string, { kept, refused }: Names): string[] {
  const lines: string[] = [];
  if (kept.length > 0) lines.push(`Known here already, and left as they are: ${what}s ${names(kept)}.`);
  if (refused.length > 0) lines.push(`Left out, because no ${what} can be called so here: ${names(refused)}.`);
  return lines;
}

interface ExportReport {
  readonly file: string | null;
  readonly jobs: number;
  readonly bytes: number;
  readonly underWay: number;
  readonly secretsLeftOut: readonly string[];
  readonly secretsIncluded: number;
  readonly serverPid: number | null;
}

export function exportWarnings({ underWay, secretsLeftOut, secretsIncluded, serverPid }: ExportReport): readonly Words[] {
  const warnings: Words[] = [];
  if (serverPid !== null) {
    const message = `A server runs on this state (process ${serverPid}): the export is of this moment.`;
    warnings.push({ message, hint: "To move to another host, stop it first with `expjobserver stop`." });
  }
  if (underWay > 0) {
    const message = `${plural(underWay, "job is", "jobs are")} under way: unknown where it is imported.`;
    warnings.push({ message, hint: "To move to another host, wait for them first: `j job ls -r`." });
  }
  if (secretsLeftOut.length > 0) {
    const message = `Without the values of the secret variables ${names(secretsLeftOut)}.`;
    warnings.push({ message, hint: "They must be set again where it is imported; --with-secrets puts them in." });
  }
  if (secretsIncluded > 0)
    warnings.push({
      message: `It holds the values of ${plural(secretsIncluded, "secret variable", "secret variables")}.`,
      hint: "Keep it to yourself, and delete it after use.",
    });
  return warnings;
}

export function exportedLine({ file, jobs, bytes }: ExportReport): string {
  return `Wrote ${plural(jobs, "job", "jobs")} and everything else to "${printable(file ?? "")}" (${bytes} bytes).`;
}

interface StateImportReport {
  readonly dryRun: boolean;
  readonly jobs: Readonly<Record<string, number>>;
  readonly machines: number;
  readonly variables: number;
  readonly matrices: number;
  readonly tags: number;
  readonly nextId: number;
  readonly secretsToSet: readonly string[];
  readonly unknown: readonly Range[];
}

export function stateImportLines(report: StateImportReport): readonly string[] {
  const { secretsToSet, unknown } = report;
  const lines = [`${report.dryRun ? "Would come in" : "Came in"}: ${all(report)}. The next id is ${report.nextId}.`];
  if (unknown.length > 0) {
    lines.push(
      `Under way there, so unknown here, and the machines are kept for them: ${ranges(unknown)}. When they have ended: \`j job rm ${ranges(unknown)}\`.`,
    );
  }
  if (secretsToSet.length > 0) lines.push(`Set again, with \`j var set NAME - --secret\`: ${names(secretsToSet)}.`);
  return lines;
}

interface Amounts {
  readonly jobs: Readonly<Record<string, number>>;
  readonly matrices: number;
  readonly tags: number;
  readonly machines: number;
  readonly variables: number;
}

function all({ jobs, matrices, tags, machines, variables }: Amounts): string {
  return [
    `${plural(total(jobs), "job", "jobs")}${byStatus(jobs)}`,
    plural(matrices, "matrix", "matrices"),
    plural(tags, "tag", "tags"),
    plural(machines, "machine", "machines"),
    plural(variables, "variable", "variables"),
  ].join(", ");
}

function plural(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}

function total(jobs: Readonly<Record<string, number>>): number {
  return Object.values(jobs).reduce((sum, count) => sum + count, 0);
}

function byStatus(jobs: Readonly<Record<string, number>>): string {
  const parts = Object.entries(jobs).flatMap(([status, count]) => (count === 0 ? [] : [`${count} ${status}`]));
  return parts.length === 0 ? "" : ` (${parts.join(", ")})`;
}

function names(list: readonly string[]): string {
  const rest = list.length - NAMES_TOLD_MAX;
  return `${list
    .slice(0, NAMES_TOLD_MAX)
    .map((name) => printable(name))
    .join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}

function ranges(list: readonly Range[]): string {
  const told = list.slice(0, RANGES_TOLD_MAX).map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`));
  return told.join(" ") + (list.length > RANGES_TOLD_MAX ? " …" : "");
}
