/** Who runs next: in each class the lowest waiting id goes to the machine that has been free longest. */
import type { Context, NewRun } from "./command.ts";
import type { Event } from "./event.ts";
import type { Job } from "./job.ts";
import type { State } from "./state.ts";

/** Pairs free machines with waiting jobs. The events are for one journal record with what caused them. */
export function schedule(state: State, context: Context, newRun: NewRun): readonly Event[] {
  const events: Event[] = [];
  // Classes are few; those without a free machine or without a waiting job cost nothing more.
  for (const [className, free] of state.free) {
    const ready = state.ready.get(className);
    if (ready === undefined) continue;
    const slots = free.values();
    for (const jid of ready.keys()) {
      const job = state.jobs.get(jid);
      if (job === undefined || missingSecret(state, job) !== null) continue;
      const slot = slots.next();
      const machine = slot.done === true ? undefined : state.machines.get(slot.value);
      if (machine === undefined) break;
      const run = newRun({ state, job, machine: machine.addr });
      events.push({ kind: "job-starting", at: context.now, jid, run, bootId: context.bootId });
    }
  }
  return events;
}

/** The first secret that the job needs and that is not set now. */
export function missingSecret(state: State, job: Job): string | null {
  return job.spec.secrets.find((name) => state.variables.get(name)?.kind !== "secret") ?? null;
}
