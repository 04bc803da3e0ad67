/** How a change of machines reaches the index of free ones; the only code that writes it. */
import { commandKey, takenBack } from "./blame.ts";
import { IntMap } from "./int-map.ts";
import type { Job } from "./job.ts";
import { type CountedFailure, canTakeJobs, type Health, type Machine, TEMPLATE_MACHINES_MAX, type TemplateRecord } from "./machine.ts";
import { machineAt, type State } from "./state.ts";

/** Puts a machine in the pool; one that is there already moves class and keeps its job. */
export function addMachine(state: State, addr: string, className: string, at: number): State {
  if (machineAt(state, addr) !== undefined) return moveMachine(state, addr, className, at);
  const machine: Machine = {
    slot: state.nextSlot,
    addr,
    class: className,
    assignment: { kind: "free", since: at, order: state.nextFreeOrder },
    health: { kind: "ok" },
    failures: [],
  };
  const next = {
    ...state,
    slots: state.slots.set(addr, machine.slot),
    nextSlot: machine.slot + 1,
    nextFreeOrder: state.nextFreeOrder + 1,
  };
  return putMachine(next, null, machine);
}

/** Ends a quarantine too: the person who moves a machine vouches for it. */
export function moveMachine(state: State, addr: string, className: string, at: number): State {
  const machine = machineAt(state, addr);
  if (machine === undefined) return state;
  const { assignment } = machine;
  const staying: Machine["assignment"] = assignment.kind === "leaving" ? { kind: "busy", since: at, jid: assignment.jid } : assignment;
  return putMachine(state, machine, { ...machine, class: className, assignment: staying, health: { kind: "ok" }, failures: [] });
}

/** Free: gone at once. With a job: gone when the end of the job is proven. */
export function removeMachine(state: State, addr: string, at: number): State {
  const machine = machineAt(state, addr);
  if (machine === undefined) return state;
  if (machine.assignment.kind === "free") return dropMachine(state, machine);
  return putMachine(state, machine, { ...machine, assignment: { kind: "leaving", since: at, jid: machine.assignment.jid } });
}

export function setHealth(state: State, addr: string, health: Health, at: number): State {
  const machine = machineAt(state, addr);
  if (machine === undefined) return state;
  const failures = health.kind === "ok" && machine.health.kind === "quarantined" ? [] : machine.failures;
  const changed: Machine = { ...machine, health, failures };
  if (health.kind !== "ok" || machine.assignment.kind !== "free") return putMachine(state, machine, changed);
  // Back in the queue of free machines, at its end.
  const freed: Machine = { ...changed, assignment: { kind: "free", since: at, order: state.nextFreeOrder } };
  return putMachine({ ...state, nextFreeOrder: state.nextFreeOrder + 1 }, machine, freed);
}

export function occupy(state: State, addr: string, jid: number, at: number): State {
  const machine = machineAt(state, addr);
  if (machine === undefined) return state;
  return putMachine(state, machine, { ...machine, assignment: { kind: "busy", since: at, jid } });
}

/** The job's end is proven, or a person said so. */
export function release(state: State, addr: string, jid: number, at: number): State {
  const machine = machineAt(state, addr);
  if (machine === undefined || machine.assignment.kind === "free" || machine.assignment.jid !== jid) return state;
  if (machine.assignment.kind === "leaving") return dropMachine(state, machine);
  const freed: Machine = { ...machine, assignment: { kind: "free", since: at, order: state.nextFreeOrder } };
  return putMachine({ ...state, nextFreeOrder: state.nextFreeOrder + 1 }, machine, freed);
}

export function recordSuccess(state: State, addr: string, job: Job): State {
  const machine = machineAt(state, addr);
  const cleared = machine === undefined || machine.failures.length === 0 ? state : putMachine(state, machine, { ...machine, failures: [] });
  return remember(cleared, job, addr, "succeededOn");
}

/**
 * What the command did is noted, and failures that it caused elsewhere are taken back if it is its own fault.
 * @param counted null when the failure is not held against the machine.
 */
export function recordFailure(state: State, addr: string, job: Job, counted: Omit<CountedFailure, "command"> | null): State {
  const machine = machineAt(state, addr);
  const noted =
    machine === undefined || counted === null
      ? state
      : putMachine(state, machine, {
          ...machine,
          failures: [...machine.failures, { ...counted, command: commandKey(state, job) }].slice(-FAILURES_KEPT_MAX),
        });
  return cleared(remember(noted, job, addr, "failedOn"), job);
}

/** More in a row say nothing new; a machine that is not taken away may collect them for days. */
const FAILURES_KEPT_MAX = 100;

function cleared(state: State, job: Job): State {
  const isTakenBack = takenBack(state, job);
  let next = state;
  for (const machine of state.machines.values()) {
    if (!machine.failures.some(isTakenBack)) continue;
    next = putMachine(next, machine, { ...machine, failures: machine.failures.filter((failure) => !isTakenBack(failure)) });
  }
  return next;
}

function remember(state: State, job: Job, addr: string, list: "succeededOn" | "failedOn"): State {
  const { cmd } = job.spec;
  const record = state.templates.get(cmd) ?? { succeededOn: [], failedOn: [] };
  const more = withAddr(record, addr, list);
  const templates = more === record ? state.templates : state.templates.set(cmd, more);
  // Most commands of a matrix succeed: only those that have failed are worth a record of their own.
  if (list === "succeededOn" && state.commands.size === 0) return templates === state.templates ? state : { ...state, templates };
  const { rendered } = commandKey(state, job);
  const known = rendered === null ? undefined : state.commands.get(rendered);
  if (rendered === null || (known === undefined && list === "succeededOn")) return { ...state, templates };
  const own = withAddr(known ?? { succeededOn: [], failedOn: [] }, addr, list);
  return { ...state, templates, commands: state.commands.set(rendered, { ...own, jid: job.jid }) };
}

function withAddr(record: TemplateRecord, addr: string, list: "succeededOn" | "failedOn"): TemplateRecord {
  if (record[list].includes(addr) || record[list].length >= TEMPLATE_MACHINES_MAX) return record;
  return { ...record, [list]: [...record[list], addr] };
}

export function putMachine(state: State, before: Machine | null, after: Machine): State {
  const free = before === null ? state.free : withoutFree(state.free, before);
  return { ...state, machines: state.machines.set(after.slot, after), free: withFree(free, after) };
}

export function dropMachine(state: State, machine: Machine): State {
  return {
    ...state,
    machines: state.machines.delete(machine.slot),
    slots: state.slots.delete(machine.addr),
    free: withoutFree(state.free, machine),
  };
}

function withFree(free: State["free"], machine: Machine): State["free"] {
  if (!canTakeJobs(machine) || machine.assignment.kind !== "free") return free;
  const queue = free.get(machine.class) ?? IntMap.empty<number>();
  return free.set(machine.class, queue.set(machine.assignment.order, machine.slot));
}

function withoutFree(free: State["free"], machine: Machine): State["free"] {
  const queue = free.get(machine.class);
  if (queue === undefined || machine.assignment.kind !== "free") return free;
  const next = queue.delete(machine.assignment.order);
  return next.size === 0 ? free.delete(machine.class) : free.set(machine.class, next);
}
