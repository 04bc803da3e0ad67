/**
 * `expjobserver state import`: an exported state becomes that of an empty state directory, ids and all. What was under
 * way there cannot be seen from here: it is `unknown` and keeps its machine until a person says that it has ended, so
 * that no other experiment is disturbed; what was being copied can be fetched with `j job cpresults`.
 */
import { readFileSync } from "node:fs";
import type { OfflineOutcome, OfflineTask, StateImportReport } from "../config/offline-task.ts";
import { addCounts } from "../core/apply-job.ts";
import { IntMap } from "../core/int-map.ts";
import { type Job, type JobState, occupiedMachine, type Run } from "../core/job.ts";
import { type Problem, problem } from "../core/problem.ts";
import { EMPTY_STATE, machineAt, type State } from "../core/state.ts";
import { rebuildIndexes } from "../store/snapshot/indexes.ts";
import { OfflineError, unreadable } from "./failure.ts";
import { putState, withStore } from "./new-state.ts";
import { rangesOf } from "./old-snapshot/convert.ts";
import { readPast } from "./past-state.ts";
import { decodeExport, type ImportedState } from "./state-document.ts";

type ImportTask = Extract<OfflineTask, { readonly kind: "state-import" }>;

export async function importState(task: ImportTask): Promise<OfflineOutcome> {
  const exported = decodeExport(readFile(task.file), task.file);
  const state = movedState(exported, Date.now());
  if (task.dryRun) {
    refuseFull((await readPast(task.stateDir)).state, task.stateDir);
  } else {
    await withStore(task, async (store) => {
      refuseFull(store.state, task.stateDir);
      // A value without its name is swept away at the next start; a name without its value would be missed.
      for (const [name, value] of exported.secrets) await store.secrets.set(name, value);
      await putState(store, state);
    });
  }
  return { kind: "state-imported", report: reportOf(task, exported, state) };
}

function readFile(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw unreadable(file, error);
  }
}

/** One on which a server was only tried is as good as empty. */
function refuseFull(state: State, directory: string): void {
  if (state.nextId === EMPTY_STATE.nextId && state.machines.size === 0 && state.variables.size === 0) return;
  throw new OfflineError("state-not-empty", { directory });
}

function movedState({ state, host }: ImportedState, now: number): State {
  let { jobs, machines } = state;
  for (const job of jobs.values()) {
    const after = movedJob(job, host, now);
    if (after === job) continue;
    jobs = jobs.set(job.jid, after);
    const addr = occupiedMachine(job.state);
    const machine = addr === null ? undefined : machineAt({ ...state, machines }, addr);
    if (machine === undefined || occupiedMachine(after.state) !== null) continue;
    if (machine.assignment.kind === "leaving") machines = machines.delete(machine.slot);
    else
      machines = machines.set(machine.slot, {
        ...machine,
        assignment: { kind: "free", since: now, order: state.nextFreeOrder + machine.slot },
      });
  }
  const members = Map.groupBy(jobs.values(), (job) => job.matrix?.id);
  const matrices = IntMap.from(
    [...state.matrices.values()].map((matrix) => [matrix.id, { ...matrix, counts: addCounts(members.get(matrix.id) ?? []) }] as const),
  );
  const nextFreeOrder = state.nextFreeOrder + state.nextSlot;
  const counts = addCounts([...jobs.values()]);
  return { ...state, jobs, machines, matrices, counts, nextFreeOrder, ...rebuildIndexes(jobs, machines) };
}

function movedJob(job: Job, host: string, now: number): Job {
  const { state } = job;
  const becomes = (after: JobState): Job => ({ ...job, state: after });
  const lost = (run: Run, startedAt: number | null, was: string): Job =>
    becomes({ kind: "unknown", run, startedAt, since: now, problem: moved(run, host, was), holdsMachine: true, stop: null });
  switch (state.kind) {
    case "starting":
      return lost(state.run, null, "being started");
    case "running":
      return lost(state.run, state.startedAt, "running");
    case "unknown":
      return becomes({ ...state, problem: moved(state.run, host, "of unknown state") });
    case "copying": {
      const { run, startedAt, exitedAt, prefixes } = state;
      const problemOfCopy = moved(run, host, "being copied");
      return becomes({
        kind: "failed",
        run,
        startedAt,
        endedAt: exitedAt,
        exitCode: 0,
        prefixes,
        problem: problemOfCopy,
        resultsNotCopied: true,
      });
    }
    case "waiting":
    case "held":
    case "done":
    case "failed":
    case "canceled":
      return job;
  }
}

function moved(run: Run, host: string, was: string): Problem {
  return problem("moved", { machine: run.machine, was, host });
}

function reportOf(task: ImportTask, { secrets }: ImportedState, state: State): StateImportReport {
  const names = [...state.variables.values()].flatMap((variable) => (variable.kind === "secret" ? [variable.name] : []));
  return {
    dryRun: task.dryRun,
    file: task.file,
    jobs: { ...state.counts },
    machines: state.machines.size,
    variables: state.variables.size,
    matrices: state.matrices.size,
    tags: state.tags.size,
    nextId: state.nextId,
    secretsToSet: names.filter((name) => !secrets.has(name)).sort(),
    unknown: rangesOf([...state.jobs.values()].filter((job) => job.state.kind === "unknown")),
  };
}
