/** What people ask of the pool. Classes are resolved to machines here; what then happens is for the rules. */
import { jobOn, type Machine } from "../../core/machine.ts";
import { machineAt, type State } from "../../core/state.ts";
import type { Handlers } from "../server/handler.ts";
import { wireProblem } from "../views/job.ts";
import { machineView } from "../views/machine.ts";
import type { Services } from "./services.ts";

type MachineMethod = "machine.add" | "machine.list" | "machine.remove" | "machine.move" | "machine.restore" | "machine.check";

const CHECKS_AT_ONCE = 64;

export function machineHandlers(services: Services): Pick<Handlers, MachineMethod> {
  const { engine } = services;
  return {
    "machine.add": async ({ addrs, class: className }, { requestId }) => {
      const present = addrs.filter((addr) => machineAt(engine.state, addr) !== undefined);
      services.forgetConnectFailures();
      await engine.submit({ kind: "add-machines", addrs, class: className }, requestId);
      return { added: addrs.filter((addr) => !present.includes(addr)), moved: present };
    },
    "machine.list": async ({ class: className }) => {
      const machines = [...engine.state.machines.values()].filter((machine) => className === null || machine.class === className);
      return { machines: sorted(machines).map(machineView) };
    },
    "machine.remove": async ({ addrs, classes }, { requestId }) => {
      // Carried out before the server was started anew: what it named is gone, as it was asked for.
      if (engine.answerTo(requestId) !== null) return { removed: [...addrs], canceled: [], missing: [] };
      const { found, missing } = select(engine.state, addrs, classes);
      const canceled = found.flatMap((machine) => jobOn(machine) ?? []);
      const removed = found.map((machine) => machine.addr);
      await engine.submit({ kind: "remove-machines", addrs: removed }, requestId);
      return { removed, canceled, missing };
    },
    "machine.move": async ({ addrs, classes, class: className }, { requestId }) => {
      const { found, missing } = select(engine.state, addrs, classes);
      const moved = found.map((machine) => machine.addr);
      services.forgetConnectFailures();
      await engine.submit({ kind: "move-machines", addrs: moved, class: className }, requestId);
      return { moved, missing };
    },
    "machine.restore": async ({ addrs }, { requestId }) => {
      const { found, missing } = select(engine.state, addrs, []);
      services.forgetConnectFailures();
      await engine.submit({ kind: "restore-machines", addrs: found.map((machine) => machine.addr) }, requestId);
      return { failed: missing.map((addr) => ({ addr, code: "no-such-machine" })) };
    },
    "machine.check": async ({ addrs }) => {
      const { found, missing } = addrs.length === 0 ? everything(engine.state) : select(engine.state, addrs, []);
      const results = await inLanes(
        found.map(({ addr }) => async () => {
          const { problem, durationMs, kernel } = await services.checkMachine(addr);
          return { addr, duration_ms: durationMs, problem: problem === null ? null : wireProblem(problem), kernel };
        }),
      );
      return { results, missing };
    },
  };
}

interface Selection {
  readonly found: readonly Machine[];
  /** Addresses and classes that name nothing. */
  readonly missing: string[];
}

function select(state: State, addrs: readonly string[], classes: readonly string[]): Selection {
  const found = new Map<number, Machine>();
  const missing: string[] = [];
  for (const addr of addrs) {
    const machine = machineAt(state, addr);
    if (machine === undefined) missing.push(addr);
    else found.set(machine.slot, machine);
  }
  for (const className of classes) {
    const members = [...state.machines.values()].filter((machine) => machine.class === className);
    if (members.length === 0) missing.push(className);
    for (const machine of members) found.set(machine.slot, machine);
  }
  return { found: [...found.values()], missing };
}

/** All, some at a time, in their order: a thousand machines are not asked at once. */
async function inLanes<Found>(tasks: readonly (() => Promise<Found>)[]): Promise<Found[]> {
  const found: Found[] = [];
  const queue = tasks.entries();
  const lane = async (): Promise<void> => {
    for (const [index, task] of queue) found[index] = await task();
  };
  await Promise.all(Array.from({ length: CHECKS_AT_ONCE }, lane));
  return found;
}

function everything(state: State): Selection {
  return { found: sorted([...state.machines.values()]), missing: [] };
}

function sorted(machines: readonly Machine[]): Machine[] {
  return machines.toSorted((a, b) => (a.class === b.class ? a.slot - b.slot : a.class < b.class ? -1 : 1));
}
