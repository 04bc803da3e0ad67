/** The parts of the state that follow from the others, made anew: they are not stored. */
import { isReady } from "../../core/apply-job.ts";
import { IntMap } from "../../core/int-map.ts";
import { isEnded, type Job } from "../../core/job.ts";
import { canTakeJobs, type Machine } from "../../core/machine.ts";
import type { State } from "../../core/state.ts";
import { TextMap } from "../../core/text-map.ts";

export function rebuildIndexes(jobs: IntMap<Job>, machines: IntMap<Machine>): Pick<State, "ready" | "slots" | "free" | "setups"> {
  const readyIds = new Map<string, (readonly [number, true])[]>();
  const setups: [number, string][] = [];
  for (const job of jobs.values()) {
    if (job.spec.kind === "setup" && !isEnded(job.state)) setups.push([job.jid, job.spec.machine]);
    if (!isReady(job)) continue;
    const members = readyIds.get(job.spec.class);
    if (members === undefined) readyIds.set(job.spec.class, [[job.jid, true]]);
    else members.push([job.jid, true]);
  }
  const ready = Array.from(readyIds, ([name, members]) => [name, IntMap.empty<true>().setAll(members)] as const);
  const free = new Map<string, IntMap<number>>();
  const slots: [string, number][] = [];
  for (const machine of machines.values()) {
    slots.push([machine.addr, machine.slot]);
    if (!canTakeJobs(machine) || machine.assignment.kind !== "free") continue;
    free.set(machine.class, (free.get(machine.class) ?? IntMap.empty<number>()).set(machine.assignment.order, machine.slot));
  }
  return { ready: TextMap.from(ready), free: TextMap.from(free), slots: TextMap.from(slots), setups: IntMap.from(setups) };
}
