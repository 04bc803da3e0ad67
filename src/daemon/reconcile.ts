/**
 * After a restart: everything that was under way is taken up from where the files say it is. Nothing here
 * decides; each step goes through the same runners, timers and facts as in daily work, and none waits for another:
 * a machine that does not answer holds up neither the runs on this host nor new jobs.
 */
import { isEnded, type Job, type Run, runOf } from "../core/job.ts";
import type { State } from "../core/state.ts";
import type { DaemonLog } from "./log.ts";

export interface ReconcileOptions {
  readonly state: State;
  /** Never rejects. */
  readonly attach: (jid: number) => Promise<string>;
  /** The run directory is on this host. */
  readonly isHere: (run: Run, className: string) => boolean;
  readonly copy: (jid: number) => void;
  readonly watchBackOff: (jid: number, notBefore: number) => void;
  readonly probe: (addr: string) => void;
  readonly log: DaemonLog;
}

/** More reads of this host's disk and /proc at once make none of them faster. */
const HERE_AT_ONCE = 32;

/** Everything has begun when it returns; resolves when every run is classified, or found out of reach. */
export async function reconcile(options: ReconcileOptions): Promise<void> {
  const { state, isHere } = options;
  const here: Job[] = [];
  const away: Job[] = [];
  for (const job of state.jobs.values()) {
    switch (job.state.kind) {
      case "waiting":
        if (job.state.notBefore !== null) options.watchBackOff(job.jid, job.state.notBefore);
        break;
      case "starting":
      case "running":
        (isHere(job.state.run, job.spec.class) ? here : away).push(job);
        break;
      case "unknown":
        if (job.state.holdsMachine) (isHere(job.state.run, job.spec.class) ? here : away).push(job);
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
  const queue = here.values();
  const lanes = Array.from({ length: HERE_AT_ONCE }, async () => {
    for (const job of queue) await taken(job, options);
  });
  // How many connections are made at once is the SSH layer's to say.
  await Promise.all([...lanes, ...away.map((job) => taken(job, options))]);
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
