/**
 * Who runs next. Setup jobs go first, each to its own machine; then in each class the lowest waiting id goes to
 * the machine that has been free longest.
 */
import { isDue } from "./apply-job.ts";
import type { Context, NewRun } from "./command.ts";
import type { Event } from "./event.ts";
import type { Job } from "./job.ts";
import type { Machine } from "./machine.ts";
import { machineAt, type State } from "./state.ts";

/** Pairs free machines with waiting jobs. The events are for one journal record with what caused them. */
export function schedule(state: State, context: Context, newRun: NewRun): readonly Event[] {
  const events: Event[] = [];
  const start = (job: Job, machine: string): void => {
    const step = job.state.kind === "waiting" ? job.state.step : undefined;
    const run = newRun({ state, job, machine, command: step?.command ?? 0 });
    const begun = {
      ...run,
      ...(context.bootId === null ? {} : { bootId: context.bootId }),
      ...(job.spec.kind === "setup" ? { step: step ?? { command: 0, startedAt: null, earlier: [] } } : {}),
    };
    events.push({ kind: "job-starting", at: context.now, jid: job.jid, run: begun, bootId: context.bootId });
  };
  const taken = new Set<number>();
  const interrupted = interruptedSetups(state);
  for (const [jid, addr] of state.setups) {
    const job = state.jobs.get(jid);
    const machine = machineAt(state, addr);
    if (job === undefined || machine === undefined || !isDue(job) || missingSecret(state, job) !== null) continue;
    if (taken.has(machine.slot) || !canBeSetUp(machine)) continue;
    // One that is in the middle of its commands goes on before another begins.
    if ((interrupted.get(machine.slot) ?? jid) !== jid) continue;
    taken.add(machine.slot);
    start(job, addr);
  }
  for (const slot of interrupted.keys()) taken.add(slot);
  // Classes are few; those without a free machine or without a waiting job cost nothing more.
  for (const [className, free] of state.free) {
    const ready = state.ready.get(className);
    if (ready === undefined) continue;
    const slots = free.values();
    for (const jid of ready.keys()) {
      const job = state.jobs.get(jid);
      if (job === undefined || missingSecret(state, job) !== null) continue;
      const machine = nextFree(state, slots, taken);
      if (machine === undefined) break;
      start(job, machine.addr);
    }
  }
  return events;
}

function nextFree(state: State, slots: Iterator<number>, taken: ReadonlySet<number>): Machine | undefined {
  for (let slot = slots.next(); slot.done !== true; slot = slots.next()) {
    if (!taken.has(slot.value)) return state.machines.get(slot.value);
  }
  return undefined;
}

const NONE_INTERRUPTED: ReadonlyMap<number, number> = new Map();

/** Machines whose setup job waits between two of its commands: half set up, they take no other job. By slot, with the job. */
export function interruptedSetups(state: State): ReadonlyMap<number, number> {
  if (state.setups.size === 0) return NONE_INTERRUPTED;
  const interrupted = new Map<number, number>();
  for (const [jid, addr] of state.setups) {
    const at = state.jobs.get(jid)?.state;
    const slot = state.slots.get(addr);
    const hasBegun = (at?.kind === "waiting" || at?.kind === "held") && at.step !== undefined;
    if (hasBegun && slot !== undefined && !interrupted.has(slot)) interrupted.set(slot, jid);
  }
  return interrupted;
}

/** One in quarantine too: setting it up again is how it is mended. Not one whose host key is wrong: nothing is sent there. */
export function canBeSetUp({ assignment, health }: Machine): boolean {
  if (assignment.kind !== "free" || health.kind === "unreachable") return false;
  return health.kind === "ok" || health.reason.kind === "failures" || !health.reason.problem.code.startsWith("host-key-");
}

/** The first secret that the job needs and that is not set now. */
export function missingSecret(state: State, job: Job): string | null {
  if (job.spec.secrets.length === 0) return null;
  return job.spec.secrets.find((name) => state.variables.get(name)?.kind !== "secret") ?? null;
}
