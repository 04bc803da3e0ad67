/** What setup jobs do to the pool: a machine that is in no class is known as long as a setup job needs it. */
import { addMachine, dropMachine, moveMachine, putMachine } from "./apply-machine.ts";
import type { Job, SetupSpec } from "./job.ts";
import { NO_CLASS } from "./machine.ts";
import { machineAt, type State } from "./state.ts";

/** The machine that a new setup job is for. One that is being taken out of the pool stays for it, in no class. */
export function ensureMachine(state: State, addr: string, at: number): State {
  const machine = machineAt(state, addr);
  if (machine === undefined) return addMachine(state, addr, NO_CLASS, at);
  if (machine.assignment.kind !== "leaving") return state;
  return putMachine(state, machine, {
    ...machine,
    class: NO_CLASS,
    assignment: { kind: "busy", since: machine.assignment.since, jid: machine.assignment.jid },
  });
}

/** All commands succeeded: it joins the class, and whatever was held against it is over. */
export function joinClass(state: State, spec: SetupSpec, at: number): State {
  const machine = machineAt(state, spec.machine);
  if (machine === undefined) return state;
  return moveMachine(state, spec.machine, spec.class === NO_CLASS ? machine.class : spec.class, at);
}

/** The setup job has ended: a machine in no class goes, unless another one waits for it. */
export function leaveSetup(state: State, job: Job): State {
  if (job.spec.kind !== "setup") return state;
  const { machine: addr } = job.spec;
  const machine = machineAt(state, addr);
  if (machine === undefined || machine.class !== NO_CLASS) return state;
  for (const other of state.setups.values()) if (other === addr) return state;
  const { assignment } = machine;
  if (assignment.kind === "free") return dropMachine(state, machine);
  // It was being taken out of the pool, and only this kept it.
  return putMachine(state, machine, { ...machine, assignment: { ...assignment, kind: "leaving" } });
}
