/** Why a job does not run: what it waits for, and what holds each machine of its class back. */
import type { Job } from "../core/job.ts";
import type { Problem } from "../core/problem.ts";
import { missingSecret } from "../core/schedule.ts";
import type { State } from "../core/state.ts";
import { statusOf } from "./views/job.ts";
import { machineView } from "./views/machine.ts";

export interface Reason {
  readonly code:
    | "not-waiting"
    | "held"
    | "back-off"
    | "secret-missing"
    | "class-empty"
    | "machine"
    | "jobs-ahead"
    | "last-start"
    | "starting-paused";
  readonly data: Record<string, string>;
}

export function whyNotRunning(state: State, job: Job, options: { gateProblem: Problem | null }): readonly Reason[] {
  if (job.state.kind === "held") return [{ code: "held", data: { since: new Date(job.state.since).toISOString() } }];
  if (job.state.kind !== "waiting") return [{ code: "not-waiting", data: { status: statusOf(job.state) } }];

  const reasons: Reason[] = [];
  if (job.state.notBefore !== null) reasons.push({ code: "back-off", data: { until: new Date(job.state.notBefore).toISOString() } });
  const secret = missingSecret(state, job);
  if (secret !== null) reasons.push({ code: "secret-missing", data: { name: secret } });
  if (options.gateProblem !== null) reasons.push({ code: "starting-paused", data: withProblem(options.gateProblem) });
  if (job.state.problem !== null) reasons.push({ code: "last-start", data: withProblem(job.state.problem) });
  return [...reasons, ...machineReasons(state, job.spec.class), ...queueReasons(state, job)];
}

function machineReasons(state: State, className: string): readonly Reason[] {
  const machines = [...state.machines.values()].filter((machine) => machine.class === className);
  if (machines.length === 0) return [{ code: "class-empty", data: { class: className } }];
  return machines.map((machine) => {
    const { addr, state: machineState, running, reason } = machineView(machine);
    const because = reason === null ? {} : withProblem(reason);
    return { code: "machine", data: { addr, state: machineState, ...(running === null ? {} : { running: String(running) }), ...because } };
  });
}

function queueReasons(state: State, job: Job): readonly Reason[] {
  let ahead = 0;
  for (const jid of state.ready.get(job.spec.class)?.keys() ?? []) {
    if (jid >= job.jid) break;
    ahead++;
  }
  return ahead === 0 ? [] : [{ code: "jobs-ahead", data: { count: String(ahead), class: job.spec.class } }];
}

function withProblem(problem: { readonly code: string; readonly data: Readonly<Record<string, string>> }): Record<string, string> {
  return { ...problem.data, problem: problem.code };
}
