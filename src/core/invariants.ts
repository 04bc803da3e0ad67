/** What is true of every state that can be reached. Checked after every event in tests and by `expjobserver check`. */
import { addCounts, isReady } from "./apply-job.ts";
import { isIn } from "./jid-ranges.ts";
import { isEnded, type Job, type JobCounts, occupiedMachine } from "./job.ts";
import { canTakeJobs, jobOn, NO_CLASS } from "./machine.ts";
import { machineAt, type State } from "./state.ts";

/** The violations, each a sentence; empty when all is well. */
export function violations(state: State): readonly string[] {
  return [
    ...jobViolations(state),
    ...machineViolations(state),
    ...setupViolations(state),
    ...tagViolations(state),
    ...indexViolations(state),
  ];
}

function* jobViolations(state: State): Generator<string> {
  const holders = new Map<string, number>();
  for (const [jid, job] of state.jobs) {
    if (jid !== job.jid) yield `job ${job.jid} is filed under ${jid}`;
    if (jid >= state.nextId) yield `job ${jid} has an id that is not drawn yet`;
    const addr = occupiedMachine(job.state);
    if (addr === null) continue;
    const other = holders.get(addr);
    if (other !== undefined) yield `jobs ${other} and ${jid} both hold ${addr}`;
    holders.set(addr, jid);
    const machine = machineAt(state, addr);
    if (machine === undefined) yield `job ${jid} holds ${addr}, which is not in the pool`;
    else if (jobOn(machine) !== jid) yield `job ${jid} holds ${addr}, which does not know of it`;
  }
}

function* machineViolations(state: State): Generator<string> {
  for (const [slot, machine] of state.machines) {
    if (state.slots.get(machine.addr) !== slot) yield `${machine.addr} is not found under its address`;
    const jid = jobOn(machine);
    const job = jid === null ? undefined : state.jobs.get(jid);
    if (jid !== null && (job === undefined || occupiedMachine(job.state) !== machine.addr)) {
      yield `${machine.addr} is said to run job ${jid}, which does not hold it`;
    }
    const order = machine.assignment.kind === "free" ? machine.assignment.order : null;
    const listed = order !== null && state.free.get(machine.class)?.get(order) === slot;
    if (listed !== canTakeJobs(machine)) yield `${machine.addr} is ${listed ? "" : "not "}among the free machines of ${machine.class}`;
  }
  let free = 0;
  for (const queue of state.free.values()) free += queue.size;
  const able = [...state.machines.values()].filter(canTakeJobs).length;
  if (free !== able) yield `${free} machines are listed as free, ${able} are`;
}

function* setupViolations(state: State): Generator<string> {
  const live = [...state.jobs.values()].filter((job) => job.spec.kind === "setup" && !isEnded(job.state));
  if (live.length !== state.setups.size) yield `${state.setups.size} setup jobs are listed, ${live.length} are`;
  for (const { jid, spec } of live) {
    if (spec.kind !== "setup" || state.setups.get(jid) !== spec.machine) yield `setup job ${jid} is not listed with its machine`;
    else if (machineAt(state, spec.machine) === undefined) yield `setup job ${jid} is for ${spec.machine}, which is not known`;
  }
  const needed = new Set(state.setups.values());
  for (const { addr, class: className, assignment } of state.machines.values()) {
    if (className === NO_CLASS && assignment.kind !== "leaving" && !needed.has(addr))
      yield `${addr} is in no class and no setup job needs it`;
  }
}

function* tagViolations(state: State): Generator<string> {
  for (const job of state.jobs.values()) {
    if (job.tag !== null && !isIn(state.tags.get(job.tag)?.jids ?? [], job.jid)) yield `tag ${job.tag} does not know of job ${job.jid}`;
  }
}

function* indexViolations(state: State): Generator<string> {
  let listed = 0;
  for (const queue of state.ready.values()) listed += queue.size;
  const ready = [...state.jobs.values()].filter(isReady);
  if (listed !== ready.length) yield `${listed} jobs are listed as ready, ${ready.length} are`;
  for (const job of ready) {
    if (state.ready.get(job.spec.class)?.has(job.jid) !== true) yield `job ${job.jid} is ready but not listed`;
  }
  const live = [...state.jobs.values()].filter((job) => !isEnded(job.state));
  yield* countViolations("", state.counts, live);
  const members = Map.groupBy(live, (job) => job.matrix?.id);
  for (const matrix of state.matrices.values())
    yield* countViolations(` of matrix ${matrix.id}`, matrix.counts, members.get(matrix.id) ?? []);
}

/** Ended jobs are counted wherever they are; only the live ones can be compared. */
function* countViolations(of: string, counts: JobCounts, live: readonly Job[]): Generator<string> {
  const are = addCounts(live);
  for (const kind of ["waiting", "held", "running", "copying", "unknown"] as const) {
    if (are[kind] !== counts[kind]) yield `${counts[kind]} jobs${of} are counted as ${kind}, ${are[kind]} are`;
  }
  for (const kind of ["done", "failed", "canceled"] as const) {
    if (counts[kind] < 0) yield `the count of ${kind} jobs${of} is negative`;
  }
}
