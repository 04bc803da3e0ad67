/**
 * After a restart: everything that was under way is taken up from where the files say it is. Nothing here
 * decides; each step goes through the same runners, timers and facts as in daily work.
 */
import { isEnded, type Job, runOf } from "../core/job.ts";
import type { State } from "../core/state.ts";
import type { DaemonLog } from "./log.ts";

export interface ReconcileOptions {
  readonly state: State;
  readonly attach: (jid: number) => Promise<string>;
  readonly copy: (jid: number) => void;
  readonly watchBackOff: (jid: number, notBefore: number) => void;
  readonly probe: (addr: string) => void;
  readonly log: DaemonLog;
}

/** Resolves when every run on this host is classified; machines that do not answer go on being probed. */
export async function reconcile(options: ReconcileOptions): Promise<void> {
  const { state } = options;
  const attached: Promise<unknown>[] = [];
  for (const job of state.jobs.values()) {
    switch (job.state.kind) {
      case "waiting":
        if (job.state.notBefore !== null) options.watchBackOff(job.jid, job.state.notBefore);
        break;
      case "starting":
      case "running":
        attached.push(taken(job, options));
        break;
      case "unknown":
        if (job.state.holdsMachine) attached.push(taken(job, options));
        break;
      case "copying":
        options.copy(job.jid);
        break;
      case "held":
      case "done":
      case "failed":
      case "canceled":
        break;
    }
  }
  for (const machine of state.machines.values()) if (machine.health.kind === "unreachable") options.probe(machine.addr);
  await Promise.all(attached);
}

async function taken(job: Job, { attach, log }: ReconcileOptions): Promise<void> {
  const outcome = await attach(job.jid);
  log.info(`job ${job.jid} on ${runOf(job.state)?.machine ?? "?"} of the last run of the server: ${outcome}`);
}

/** Run directories of this host that no live job needs: what a crash kept from being removed. */
export function isLeftover(state: State, run: { readonly jid: number; readonly runId: string }, past: Job | undefined): boolean {
  const job = state.jobs.get(run.jid) ?? past;
  // A job that is forgotten needs nothing any more.
  if (job === undefined) return run.jid < state.nextId;
  if (!isEnded(job.state)) return false;
  if (runOf(job.state)?.runId !== run.runId) return true;
  const keeps =
    job.state.kind === "failed"
      ? job.state.resultsNotCopied
      : job.state.kind === "canceled" && job.state.problem.code === "processes-may-still-run";
  return !keeps;
}
