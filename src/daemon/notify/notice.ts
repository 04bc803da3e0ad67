/** What of a change of the state is worth telling, and whether a job asked for it itself. A bounded look at each event, nothing else. */
import type { NotifyOptions } from "../../config/serve-options.ts";
import type { Event } from "../../core/event.ts";
import { type Job, type JobCounts, runOf } from "../../core/job.ts";
import type { Machine } from "../../core/machine.ts";
import type { Matrix } from "../../core/matrix.ts";
import { machineAt } from "../../core/state.ts";
import type { Change } from "../engine.ts";

export type JobNoticeKind = "job-running" | "job-done" | "job-copied" | "job-failed" | "job-unknown" | "job-canceled";
export type MachineNoticeKind = "machine-quarantined" | "machine-unreachable" | "machine-recovered";
export type NoticeKind = JobNoticeKind | MachineNoticeKind | "matrix-ended";

export type Notice =
  | { readonly kind: JobNoticeKind; readonly at: number; readonly job: Job }
  | { readonly kind: "matrix-ended"; readonly at: number; readonly matrix: Matrix }
  | { readonly kind: MachineNoticeKind; readonly at: number; readonly machine: Machine };

export interface Noticed {
  readonly notice: Notice;
  /** The job was added with --notify: told whatever the flags say, and not put off to a summary. */
  readonly own: boolean;
}

/** @param now milliseconds since the epoch */
export function noticesOf(change: Change, wants: NotifyOptions, now: number): readonly Noticed[] {
  const found: Noticed[] = [];
  const matrices = new Set<number>();
  for (const event of change.events) {
    const kind = jobNoticeKind(event);
    if (kind !== null && "jid" in event && event.jid !== null) {
      const job = change.after.jobs.get(event.jid) ?? change.before.jobs.get(event.jid);
      if (job === undefined) continue;
      const notice = jobNotice(kind, job, { wants, now, forgotten: !change.after.jobs.has(event.jid) });
      if (notice !== null) found.push(notice);
      if (job.matrix === null || !isEnd(kind) || matrices.has(job.matrix.id)) continue;
      matrices.add(job.matrix.id);
      const matrix = change.after.matrices.get(job.matrix.id);
      const wanted = job.spec.notify || wants.complete || wants.fail;
      if (matrix === undefined || !wanted || open(matrix.counts) > 0) continue;
      found.push({ notice: { kind: "matrix-ended", at: now, matrix }, own: job.spec.notify });
    } else if (wants.machineBroken && event.kind === "machine-quarantined") {
      const machine = machineAt(change.after, event.addr);
      if (machine !== undefined) found.push({ notice: { kind: "machine-quarantined", at: now, machine }, own: false });
    }
  }
  return found;
}

function jobNoticeKind(event: Event): JobNoticeKind | null {
  if (event.kind === "job-started") return "job-running";
  if (event.kind === "job-done") return "job-done";
  if (event.kind === "job-results-changed") return "job-copied";
  if (event.kind === "job-failed") return "job-failed";
  if (event.kind === "job-lost") return "job-unknown";
  return event.kind === "job-canceled" ? "job-canceled" : null;
}

function isEnd(kind: JobNoticeKind): boolean {
  return kind === "job-done" || kind === "job-failed" || kind === "job-canceled";
}

interface Circumstances {
  readonly wants: NotifyOptions;
  readonly now: number;
  readonly forgotten: boolean;
}

/** null: nobody asked for it. */
function jobNotice(kind: JobNoticeKind, job: Job, { wants, now, forgotten }: Circumstances): Noticed | null {
  // Whoever forgot it knows; and what is left of it here is older than its end.
  if (forgotten) return null;
  const told = (as: JobNoticeKind, wanted: boolean, own: boolean): Noticed | null =>
    wanted || own ? { notice: { kind: as, at: now, job }, own } : null;
  const own = job.spec.notify;
  switch (kind) {
    case "job-running":
      // The later commands of a setup job are not news.
      return told(kind, wants.running && (runOf(job.state)?.step?.command ?? 0) === 0, false);
    case "job-done": {
      const copied = job.state.kind === "done" && job.state.results !== null;
      return wants.complete || own || !copied ? told(kind, wants.complete, own) : told("job-copied", wants.copied, false);
    }
    case "job-copied":
      return told(kind, wants.copied, false);
    case "job-failed":
      // One that is tried again has not ended for the person who waits for it.
      return told(kind, wants.fail, own && job.retriedBy === null);
    case "job-unknown":
      return told(kind, wants.fail, own);
    case "job-canceled":
      return told(kind, false, own);
  }
}

/** Jobs that have not ended. One whose fate is unknown has not: a person decides about it. */
function open({ waiting, held, running, copying, unknown }: JobCounts): number {
  return waiting + held + running + copying + unknown;
}
