/** What people ask of the pool. Classes are resolved to machines here; what then happens is for the rules. */
import { jobOn, type Machine, NO_CLASS } from "../../core/machine.ts";
import { machineAt, type State } from "../../core/state.ts";
import { captureVariables } from "../../core/variables.ts";
import { RequestError } from "../../protocol/error.ts";
import type { machineMethods } from "../../protocol/methods/machine.ts";
import type { Params } from "../../protocol/methods.ts";
import type { Handlers } from "../server/handler.ts";
import { wireProblem } from "../views/job.ts";
import { machineView } from "../views/machine.ts";
import { checkCommand } from "./job.ts";
import { requestIdReused } from "./request-id.ts";
import type { Services } from "./services.ts";

type MachineMethod = keyof typeof machineMethods;

const CHECKS_AT_ONCE = 64;

export function machineHandlers(services: Services): Pick<Handlers, MachineMethod> {
  const { engine } = services;
  return {
    "machine.add": async ({ addrs, class: className }, { requestId }) => {
      const present = addrs.filter((addr) => machineAt(engine.state, addr) !== undefined);
      const unchanged = present.filter((addr) => isAtWorkIn(machineAt(engine.state, addr), className));
      services.forgetConnectFailures();
      await engine.submit({ kind: "add-machines", addrs, class: className }, requestId);
      const added = addrs.filter((addr) => !present.includes(addr));
      const moved = present.filter((addr) => !unchanged.includes(addr));
      return { added, moved, ...(unchanged.length > 0 && { unchanged }) };
    },
    "machine.list": async ({ class: className }) => {
      const machines = [...engine.state.machines.values()].filter((machine) => className === null || machine.class === className);
      return { machines: sorted(machines).map(machineView) };
    },
    "machine.remove": async ({ addrs, classes }, { requestId }) => {
      // Carried out before the server was started anew: what it named is gone, as it was asked for.
      if (engine.answerTo(requestId) !== null) return { removed: [...addrs], canceled: [], missing: [] };
      const { found, missing } = select(engine.state, addrs, classes);
      const canceled = found.flatMap((machine) => jobsOf(engine.state, machine));
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
    "machine.setup": async (params, { requestId }) => {
      const { class: className, cmds, timeout, stagger, notify } = params;
      const isRepeated = engine.answerTo(requestId) !== null;
      const addrs = params.existing ? members(engine.state, className ?? NO_CLASS) : params.addrs;
      if (!isRepeated) {
        if (addrs.length === 0) throw new RequestError("no-such-class", { class: className ?? NO_CLASS });
        for (const place of placesOf(engine.state, params, addrs)) for (const cmd of cmds) checkCommand(services, place, cmd);
      }
      services.forgetConnectFailures();
      const answer = await engine.submit(
        { kind: "add-setups", addrs, class: className, cmds, timeoutSeconds: timeout, staggerSeconds: stagger, notify },
        requestId,
      );
      if (answer.kind !== "jobs") throw requestIdReused(answer);
      const { undefinedNames } = captureVariables(engine.state, cmds, []);
      const warnings = undefinedNames.map((name) => ({ code: "placeholder-undefined", data: { name } }));
      return { first: answer.first, count: answer.count, warnings };
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

/** What is canceled with a machine: the job that runs there, and setup jobs that wait for it. */
function jobsOf(state: State, machine: Machine): number[] {
  const waiting = Array.from(state.setups, ([jid, addr]) => (addr === machine.addr ? [jid] : [])).flat();
  return [...new Set([jobOn(machine) ?? [], waiting].flat())];
}

/** The machines that `-e` means: not one that is being taken out of the pool. */
function members(state: State, className: string): string[] {
  const found = [...state.machines.values()].filter(({ class: of, assignment }) => of === className && assignment.kind !== "leaving");
  return sorted(found).map((machine) => machine.addr);
}

/** The classes whose settings say how the commands will be run. */
function placesOf(state: State, { class: className }: Params<"machine.setup">, addrs: readonly string[]): ReadonlySet<string> {
  return new Set(className === null ? addrs.map((addr) => machineAt(state, addr)?.class ?? NO_CLASS) : [className]);
}

/** Adding it there again changes nothing: it is neither in quarantine nor on its way out. */
function isAtWorkIn(machine: Machine | undefined, className: string): boolean {
  return machine?.class === className && machine.health.kind !== "quarantined" && machine.assignment.kind !== "leaving";
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

/** By class; those in none stand last. */
function sorted(machines: readonly Machine[]): Machine[] {
  const rank = ({ class: className }: Machine): string => (className === NO_CLASS ? "\uffff" : className);
  return machines.toSorted((a, b) => (a.class === b.class ? a.slot - b.slot : rank(a) < rank(b) ? -1 : 1));
}
