/** What the daemon must do in the world once an event is durable. Effects are data; the daemon performs them. */
import type { Event } from "./event.ts";
import { isEnded, type Job, runOf } from "./job.ts";
import { jobOn } from "./machine.ts";
import { machineAt, type State } from "./state.ts";

export type Effect =
  | { readonly kind: "start-run"; readonly jid: number }
  | { readonly kind: "stop-run"; readonly jid: number }
  | { readonly kind: "copy-results"; readonly jid: number }
  | { readonly kind: "abort-copy"; readonly jid: number }
  /** End, output and results are safe: the run directory may go. */
  | { readonly kind: "release-run"; readonly job: Job }
  | { readonly kind: "watch-timeout"; readonly jid: number }
  | { readonly kind: "watch-back-off"; readonly jid: number; readonly notBefore: number }
  | { readonly kind: "probe-machine"; readonly addr: string };

/** @param before the state without the event. @param after the state with it. */
export function react(event: Event, before: State, after: State): readonly Effect[] {
  switch (event.kind) {
    case "job-starting":
      return [{ kind: "start-run", jid: event.jid }];
    case "job-started":
    case "job-found": {
      const job = after.jobs.get(event.jid);
      const stopping = job?.state.kind === "running" && job.state.stop !== null;
      return stopping ? [{ kind: "stop-run", jid: event.jid }] : [{ kind: "watch-timeout", jid: event.jid }];
    }
    case "job-advanced": {
      const was = before.jobs.get(event.jid);
      const start: Effect = { kind: "start-run", jid: event.jid };
      return was === undefined ? [start] : [start, { kind: "release-run", job: was }];
    }
    case "jobs-added": {
      const { notBefore, first, count } = event;
      if (notBefore === undefined) return [];
      return Array.from({ length: count }, (_, index) => ({ kind: "watch-back-off", jid: first + index, notBefore }) as const);
    }
    case "job-timeout-set":
      return after.jobs.get(event.jid)?.state.kind === "running" ? [{ kind: "watch-timeout", jid: event.jid }] : [];
    case "job-stop-requested": {
      const job = after.jobs.get(event.jid);
      return job?.state.kind === "running" ? [{ kind: "stop-run", jid: event.jid }] : [];
    }
    case "job-copying":
      return [{ kind: "copy-results", jid: event.jid }];
    case "job-done":
    case "job-canceled":
      return [...aborted(before, event.jid), ...released(before, after, event.jid)];
    case "job-failed": {
      const retry = event.retry;
      const backOff: readonly Effect[] = retry === null ? [] : [{ kind: "watch-back-off", jid: retry.jid, notBefore: retry.notBefore }];
      return event.resultsNotCopied ? backOff : [...backOff, ...released(before, after, event.jid)];
    }
    case "job-results-changed":
      return fetchedLater(before, after, event.jid);
    case "job-not-started":
      return event.notBefore === null ? [] : [{ kind: "watch-back-off", jid: event.jid, notBefore: event.notBefore }];
    case "machine-unreachable":
      return [{ kind: "probe-machine", addr: event.addr }];
    case "machine-recovered":
    case "machine-moved":
      return backInUse(before, after, event.addr);
    case "machines-added":
      return event.addrs.flatMap((addr) => backInUse(before, after, addr));
    case "machine-removed":
    case "machine-quarantined":
    case "variable-set":
    case "variable-removed":
    case "matrix-added":
    case "tag-added":
    case "job-tagged":
    case "line-set":
    case "job-held":
    case "job-unheld":
    case "job-due":
    case "job-host-known":
    case "job-lost":
    case "job-forgotten":
    case "job-recalled":
    case "jobs-archived":
    case "job-logs-moved":
    case "request-answered":
      return [];
  }
}

/** Nobody followed its job while nothing was sent to it. */
function backInUse(before: State, after: State, addr: string): readonly Effect[] {
  const was = machineAt(before, addr);
  const is = machineAt(after, addr);
  const held = is !== undefined && jobOn(is) !== null;
  return held && was !== undefined && was.health.kind !== "ok" ? [{ kind: "probe-machine", addr }] : [];
}

function aborted(before: State, jid: number): readonly Effect[] {
  const copying = before.jobs.get(jid)?.state.kind === "copying";
  return copying ? [{ kind: "abort-copy", jid }] : [];
}

/** What a failed copy had kept on the machine for a later one. */
function fetchedLater(before: State, after: State, jid: number): readonly Effect[] {
  const was = before.jobs.get(jid)?.state;
  const job = after.jobs.get(jid);
  const kept = was?.kind === "failed" && was.resultsNotCopied;
  return kept && job?.state.kind === "done" ? [{ kind: "release-run", job }] : [];
}

/** Not for a job whose processes may still run: their directory is the only trace of them. */
function released(before: State, after: State, jid: number): readonly Effect[] {
  const job = after.jobs.get(jid);
  const was = before.jobs.get(jid)?.state.kind;
  const proven = was === "running" || was === "copying";
  if (job === undefined || !isEnded(job.state) || !proven || runOf(job.state) === null) return [];
  const mayStillRun = job.state.kind === "canceled" && job.state.problem.code === "processes-may-still-run";
  return mayStillRun ? [] : [{ kind: "release-run", job }];
}
