/**
 * `expjobserver import FILE`: the jobs, matrices, tags, machines and variables of the old system join our state. All
 * of it or nothing; a file that was imported before, or a later one of the same server, is refused: the state itself
 * remembers which files it took (as answered requests, which a server keeps for a week: these are dated so that it
 * keeps them for good).
 */
import { readFileSync } from "node:fs";
import type { ImportReport, NameReport, OfflineOutcome, OfflineTask } from "../config/offline-task.ts";
import { applyAll } from "../core/apply.ts";
import { addCounts } from "../core/apply-job.ts";
import type { Event } from "../core/event.ts";
import type { IntMap } from "../core/int-map.ts";
import type { Job } from "../core/job.ts";
import { type AnsweredRequest, machineAt, type State } from "../core/state.ts";
import type { Store } from "../store/store.ts";
import { OfflineError, unreadable } from "./failure.ts";
import { putState, withStore } from "./new-state.ts";
import { convert, type Imported, rangesOf, type Sorted } from "./old-snapshot/convert.ts";
import { BadSnapshot } from "./old-snapshot/message.ts";
import { OldFiles } from "./old-snapshot/old-logs.ts";
import { type OldSnapshot, readOldSnapshot } from "./old-snapshot/snapshot.ts";
import { type PastState, readPast } from "./past-state.ts";

type ImportTask = Extract<OfflineTask, { readonly kind: "import" }>;

/** Ids are keys of IntMap. */
const ID_MAX = 2 ** 29;
const MARK = /^import ([0-9a-f]{64}) (\d+)$/;
const KEPT_FOR_GOOD = Date.UTC(9999, 0);
/** So that people can add in their heads. */
const SHIFT_STEP = 1_000;
const JOBS_COMPARED_MAX = 1_000;

export async function importOldSnapshot(task: ImportTask): Promise<OfflineOutcome> {
  const bytes = readFile(task.file);
  const old = readSnapshot(bytes, task.file);
  const sha256 = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
  const work = async (past: PastState, store: Store | null): Promise<ImportReport> => {
    const { state } = past;
    await refuseKnown(past, { old, sha256, file: task.file });
    const shift = shiftFor(state, old);
    if (old.nextId + shift > ID_MAX) throw new OfflineError("too-many-ids", { file: task.file, last: String(old.nextId - 1) });
    const imported = convert(old, { shift, files: new OldFiles(task.logs), now: Date.now() });
    const taken = takenFrom(state, imported, task.withMachines);
    if (store !== null) await putState(store, joined(state, { imported, taken, mark: markOf(sha256, shift, imported) }));
    return reportOf(task, { old, imported, taken, shift, state });
  };
  // A dry run looks without the lock, and writes nothing, not even the folder.
  const report = task.dryRun ? await work(await readPast(task.stateDir), null) : await withStore(task, (store) => work(store, store));
  return { kind: "imported", report };
}

function readFile(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw unreadable(file, error);
  }
}

function readSnapshot(bytes: Buffer, file: string): OldSnapshot {
  try {
    return readOldSnapshot(bytes);
  } catch (error) {
    if (error instanceof BadSnapshot) throw new OfflineError("not-a-snapshot", { file, message: error.message });
    throw error;
  }
}

interface Known {
  readonly old: OldSnapshot;
  readonly sha256: string;
  readonly file: string;
}

/** The same file, or jobs that came in with another one: they would be here twice. */
async function refuseKnown(store: PastState, { old, sha256, file }: Known): Promise<void> {
  const shifts = new Set<number>();
  for (const id of store.state.requests.keys()) {
    const mark = MARK.exec(id);
    if (mark === null) continue;
    if (mark[1] === sha256) throw new OfflineError("imported-before", { file });
    shifts.add(Number(mark[2]));
  }
  const some = old.tasks.slice(0, JOBS_COMPARED_MAX);
  for (const shift of shifts) {
    const ids = some.map((task) => task.jid + shift);
    const past = await store.history.read(ids.filter((jid) => !store.state.jobs.has(jid)));
    const same = some.filter((task) => {
      const job = store.state.jobs.get(task.jid + shift) ?? past.get(task.jid + shift);
      return job !== undefined && isSame(job, task);
    });
    if (same.length > 0)
      throw new OfflineError("later-snapshot", { file, jobs: String(same.length), jid: String((same[0]?.jid ?? 0) + shift) });
  }
}

/** One that has run keeps the time of its start; one that had not has another by now. */
function isSame(job: Job, task: OldSnapshot["tasks"][number]): boolean {
  const cmds = job.spec.kind === "setup" ? job.spec.cmds : [job.spec.cmd];
  return job.created === task.time && (cmds[0] === task.cmds[0] || job.matrix !== null);
}

/** 0 when no id of theirs was ever drawn here. */
function shiftFor(state: State, old: OldSnapshot): number {
  const ids = [...old.tasks.map((task) => task.jid), ...old.matrices.map((matrix) => matrix.id), ...old.tags.map((tag) => tag.id)];
  const lowest = ids.reduce((first, id) => Math.min(first, id), old.nextId);
  return lowest >= state.nextId ? 0 : Math.ceil(state.nextId / SHIFT_STEP) * SHIFT_STEP;
}

interface Taken {
  readonly events: readonly Event[];
  readonly machines: NameReport;
  readonly variables: NameReport;
}

/** What is here already stays as it is. */
function takenFrom(state: State, { machines, variables }: Imported, withMachines: boolean): Taken {
  const offered = withMachines ? machines : { good: [], refused: [] };
  const [newMachines, knownMachines] = split(offered, (addr) => machineAt(state, addr) !== undefined);
  const [newVariables, knownVariables] = split(variables, (name) => state.variables.has(name));
  const at = Date.now();
  const events: Event[] = [];
  for (const [className, members] of Map.groupBy(newMachines, ([, name]) => name)) {
    events.push({ kind: "machines-added", at, class: className, addrs: members.map(([addr]) => addr) });
  }
  for (const [name, value] of newVariables) events.push({ kind: "variable-set", variable: { kind: "plain", name, value } });
  return {
    events,
    machines: {
      added: newMachines.length,
      kept: knownMachines.map(([addr]) => addr),
      refused: offered.refused,
      left: machines.good.length - offered.good.length,
    },
    variables: { added: newVariables.length, kept: knownVariables.map(([name]) => name), refused: variables.refused, left: 0 },
  };
}

type Pair = readonly [name: string, value: string];

function split(offered: Sorted, isKnown: (name: string) => boolean): readonly [Pair[], Pair[]] {
  return [offered.good.filter(([name]) => !isKnown(name)), offered.good.filter(([name]) => isKnown(name))];
}

function markOf(sha256: string, shift: number, { jobs }: Imported): AnsweredRequest {
  const first = jobs[0]?.jid ?? 0;
  return { id: `import ${sha256} ${shift}`, at: KEPT_FOR_GOOD, answer: { kind: "jobs", first, count: jobs.length } };
}

function joined(
  state: State,
  { imported, taken, mark }: { readonly imported: Imported; readonly taken: Taken; readonly mark: AnsweredRequest },
): State {
  const { jobs, matrices, tags, nextId } = imported;
  const next = applyAll(state, taken.events);
  return {
    ...next,
    nextId: Math.max(next.nextId, nextId),
    // None of them waits for a machine or has one: no index but these knows of them.
    jobs: next.jobs.setAll(jobs.map((job) => [job.jid, job])),
    matrices: withAll(next.matrices, matrices),
    tags: withAll(next.tags, tags),
    counts: addCounts(jobs, next.counts),
    requests: next.requests.set(mark.id, mark),
  };
}

function withAll<T extends { readonly id: number }>(map: IntMap<T>, items: readonly T[]): IntMap<T> {
  return map.setAll(items.map((item) => [item.id, item]));
}

interface Reported {
  readonly old: OldSnapshot;
  readonly imported: Imported;
  readonly taken: Taken;
  readonly shift: number;
  readonly state: State;
}

function reportOf(task: ImportTask, { old, imported, taken, shift, state }: Reported): ImportReport {
  const { jobs, matrices, tags } = imported;
  const last = Math.max(-1, ...[jobs, matrices, tags].map((list) => lastId(list)));
  const firsts = [jobs[0]?.jid, matrices[0]?.id, tags[0]?.id].filter((id) => id !== undefined);
  return {
    dryRun: task.dryRun,
    file: task.file,
    jobs: { ...addCounts(jobs) },
    forgotten: imported.forgotten,
    matrices: matrices.length,
    tags: tags.length,
    machines: taken.machines,
    variables: taken.variables,
    ids: last < 0 ? null : { first: Math.min(...firsts) - shift, last: last - shift, shift },
    nextId: Math.max(state.nextId, old.nextId + shift),
    held: rangesOf(jobs.filter((job) => job.state.kind === "held")),
    cutShort: jobs.filter((job) => job.state.kind === "canceled" && job.state.problem.code === "imported").length,
  };
}

function lastId(list: readonly ({ readonly jid: number } | { readonly id: number })[]): number {
  const last = list[list.length - 1];
  return last === undefined ? -1 : "jid" in last ? last.jid : last.id;
}
