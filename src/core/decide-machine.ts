/** Rules for the pool. */
import { isClassName, isMachineName } from "./address.ts";
import type { Context, UserCommand } from "./command.ts";
import { stopEvents } from "./decide-job.ts";
import { accepted, type Decision, refused } from "./decision.ts";
import type { Event } from "./event.ts";
import { jobOn } from "./machine.ts";
import { machineAt, type State } from "./state.ts";

type MachineCommand = Extract<UserCommand, { readonly kind: "add-machines" | "move-machines" | "remove-machines" | "restore-machines" }>;

export function decideMachineCommand(state: State, command: MachineCommand, context: Context): Decision {
  const addrs = [...new Set(command.addrs)];
  switch (command.kind) {
    case "add-machines": {
      const bad = addrs.find((addr) => !isMachineName(addr));
      if (bad !== undefined) return refused("bad-machine-name", { addr: bad });
      if (!isClassName(command.class)) return refused("bad-class-name", { class: command.class });
      return accepted([{ kind: "machines-added", at: context.now, addrs, class: command.class }]);
    }
    case "move-machines": {
      if (!isClassName(command.class)) return refused("bad-class-name", { class: command.class });
      const present = addrs.filter((addr) => machineAt(state, addr) !== undefined);
      return accepted(present.map((addr) => ({ kind: "machine-moved", at: context.now, addr, class: command.class })));
    }
    case "remove-machines":
      return accepted(addrs.flatMap((addr) => removalOf(state, addr, context)));
    case "restore-machines": {
      const present = addrs.filter((addr) => machineAt(state, addr) !== undefined);
      return accepted(present.map((addr) => ({ kind: "machine-recovered", at: context.now, addr })));
    }
  }
}

/** A job that runs there is canceled; the machine goes when its end is proven. */
function removalOf(state: State, addr: string, context: Context): readonly Event[] {
  const machine = machineAt(state, addr);
  if (machine === undefined) return [];
  const removed: Event = { kind: "machine-removed", at: context.now, addr };
  const jid = jobOn(machine);
  const job = jid === null ? undefined : state.jobs.get(jid);
  const stop = { cause: "machine-removed", at: context.now, forget: false } as const;
  const setups = [...state.setups].flatMap(([waiting, on]) => (on === addr && waiting !== jid ? [state.jobs.get(waiting)] : []));
  return [
    // Before the machine goes: they could run nowhere else.
    ...setups.flatMap((setup) => (setup === undefined ? [] : stopEvents(state, setup, stop))),
    removed,
    ...(job === undefined ? [] : stopEvents(state, job, stop)),
  ];
}
