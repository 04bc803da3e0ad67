/** Why a job does not run: what it waits for, and what holds each machine of its class back. */
import { type Job, occupiedMachine, type SetupSpec } from "../core/job.ts";
import { jobOn } from "../core/machine.ts";
import type { Problem } from "../core/problem.ts";
import { canBeSetUp, interruptedSetups, missingSecret } from "../core/schedule.ts";
import { machineAt, type State } from "../core/state.ts";
import { statusOf } from "./views/job.ts";
import { machineView } from "./views/machine.ts";

export interface Reason {
  readonly code:
    | "not-waiting"
    | "held"
    | "back-off"
    | "stagger"
    | "setup-ahead"
    | "secret-missing"
    | "class-empty"
    | "class-in-setup"
    | "machine"
    | "jobs-ahead"
    | "last-start"
    | "starting-paused";
  readonly data: Record<string, string>;
}

export function whyNotRunning(state: State, job: Job, options: { gateProblem: Problem | null }): readonly Reason[] {
  if (job.state.kind === "held") return [{ code: "held", data: { since: new Date(job.state.since).toISOString() } }];
  if (job.state.kind !== "waiting") return [{ code: "not-waiting", data: { status: statusOf(job.state) } }, ...awayReasons(state, job)];

  const reasons: Reason[] = [];
  if (job.state.notBefore !== null) {
    // Only a setup job waits for a time before anything has gone wrong.
    const staggered = job.spec.kind === "setup" && job.state.problem === null;
    reasons.push({ code: staggered ? "stagger" : "back-off", data: { until: new Date(job.state.notBefore).toISOString() } });
  }
  const secret = missingSecret(state, job);
  if (secret !== null) reasons.push({ code: "secret-missing", data: { name: secret } });
  if (options.gateProblem !== null) reasons.push({ code: "starting-paused", data: withProblem(options.gateProblem) });
  if (job.state.problem !== null) reasons.push({ code: "last-start", data: withProblem(job.state.problem) });
  if (job.spec.kind === "setup") return [...reasons, ...ownMachineReasons(state, job.jid, job.spec)];
  return [...reasons, ...machineReasons(state, job.spec.class), ...queueReasons(state, job)];
}

/** It has its machine, but the machine cannot be reached: its end, or its results, wait for that. */
function awayReasons(state: State, job: Job): readonly Reason[] {
  const addr = occupiedMachine(job.state);
  const machine = addr === null ? undefined : machineAt(state, addr);
  if (machine === undefined || machine.health.kind === "ok") return [];
  const { addr: at, state: health, reason } = machineView(machine);
  return reason === null ? [] : [{ code: "machine", data: { addr: at, state: health, ...withProblem(reason) } }];
}

/** A setup job waits for one machine; it may have it in quarantine too, unless the host key is wrong. */
function ownMachineReasons(state: State, jid: number, { machine: addr }: SetupSpec): readonly Reason[] {
  const machine = machineAt(state, addr);
  if (machine === undefined) return [];
  const running = jobOn(machine);
  const view = machineView(machine);
  const reasons: Reason[] = [];
  if (running !== null) reasons.push({ code: "machine", data: { addr, state: "busy", running: String(running) } });
  const isOutOfReach = machine.health.kind !== "ok" && !canBeSetUp({ ...machine, assignment: { kind: "free", since: 0, order: 0 } });
  if (isOutOfReach && view.reason !== null)
    reasons.push({ code: "machine", data: { addr, state: view.state, ...withProblem(view.reason) } });
  const ahead = [...state.setups].filter(([other, of]) => of === addr && other < jid && other !== running).map(([other]) => other);
  if (ahead.length > 0) reasons.push({ code: "setup-ahead", data: { addr, jobs: ahead.join(", ") } });
  return reasons;
}

function machineReasons(state: State, className: string): readonly Reason[] {
  const machines = [...state.machines.values()].filter((machine) => machine.class === className);
  const setups = setupsFor(state, className).map((jid) => String(jid));
  const toCome: readonly Reason[] =
    setups.length === 0 ? [] : [{ code: "class-in-setup", data: { class: className, jobs: setups.join(", ") } }];
  if (machines.length === 0) return toCome.length > 0 ? toCome : [{ code: "class-empty", data: { class: className } }];
  const interrupted = interruptedSetups(state);
  const each = machines.map((machine): Reason => {
    const setup = machine.assignment.kind === "free" ? interrupted.get(machine.slot) : undefined;
    if (setup !== undefined) return { code: "machine", data: { addr: machine.addr, state: "half-set-up", setup: String(setup) } };
    const { addr, state: machineState, running, reason } = machineView(machine);
    const because = reason === null ? {} : withProblem(reason);
    return { code: "machine", data: { addr, state: machineState, ...(running === null ? {} : { running: String(running) }), ...because } };
  });
  return [...each, ...toCome];
}

/** Setup jobs that will bring a machine into the class that is not in it. */
export function setupsFor(state: State, className: string): readonly number[] {
  const found: number[] = [];
  for (const [jid, addr] of state.setups) {
    const brings = state.jobs.get(jid)?.spec.class === className && machineAt(state, addr)?.class !== className;
    if (brings) found.push(jid);
  }
  return found;
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
