/** The body that a webhook of kind "json" is sent. docs/notifications.md specifies it: keys are added, never renamed. */
import type { KindCounts } from "./digest.ts";
import type { Report, ReportEvent } from "./report.ts";

const VERSION = 1;

export function jsonMessage(report: Report): string {
  return JSON.stringify({
    version: VERSION,
    kind: report.kind,
    at: iso(report.at),
    server: report.server,
    events: report.events.map(eventJson),
    counts: countsJson(report.counts),
    matrices: [...report.byMatrix].flatMap(([id, counts]) => (id === null ? [] : [{ id, counts: countsJson(counts) }])),
    omitted: report.omitted,
    unsent: report.unsent,
    jobs: report.jobs,
  });
}

function eventJson(event: ReportEvent): unknown {
  const head = { kind: event.kind, at: iso(event.at) };
  if ("job" in event) return { ...head, job: event.job, error_line: event.errorLine };
  if ("machine" in event) return { ...head, machine: event.machine };
  return { ...head, matrix: event.matrix, retried_failures: event.retriedFailures };
}

function countsJson(counts: KindCounts): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).map(([kind, count]) => [kind.replaceAll("-", "_"), count]));
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
