/** Run directories of this host against the jobs that need them. */
import { lstatSync } from "node:fs";
import { join } from "node:path";
import { isEnded, type Job, runOf } from "../../core/job.ts";
import { blockOf } from "../../store/history/block-codec.ts";
import type { StorePaths } from "../../store/paths.ts";
import { lifeOfSpare, parseRunDirectoryName } from "../../store/run-directory-name.ts";
import { StoreError } from "../../store/store-error.ts";
import { readBlock } from "../state-document.ts";
import { namesIn } from "./files.ts";
import type { Findings } from "./findings.ts";
import type { CheckedState } from "./state.ts";

export function checkRuns(paths: StorePaths, { state, serverId }: CheckedState, findings: Findings): void {
  const there = new Set<string>();
  for (const owner of namesIn(paths.runs)) {
    const folder = join(paths.runs, owner);
    if (owner !== serverId) {
      findings.attention("runs-of-another", { path: folder });
      continue;
    }
    for (const name of namesIn(folder)) {
      if (lifeOfSpare(name) !== null) continue;
      const path = join(folder, name);
      const run = parseRunDirectoryName(name);
      const { jid, runId } = run ?? { jid: -1, runId: "" };
      findings.count("run directories", 1);
      there.add(runId);
      if (run === null || !lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) findings.attention("run-unknown", { path });
      else if (jid >= state.nextId) findings.attention("run-of-no-job", { path, jid: String(jid) });
      else checkRun({ path, jid, runId, job: state.jobs.get(jid) ?? pastJob(paths, jid) }, findings);
    }
  }
  for (const job of state.jobs.values()) checkNeeded(job, there, findings);
}

function pastJob({ history }: StorePaths, jid: number): Job | undefined {
  try {
    return readBlock(history, blockOf(jid))?.get(jid);
  } catch (error) {
    // That the block is damaged was said already.
    if (error instanceof StoreError) return undefined;
    throw error;
  }
}

interface FoundRun {
  readonly path: string;
  readonly jid: number;
  readonly runId: string;
  readonly job: Job | undefined;
}

/** One that a crash kept from being removed goes at the next start; of some the end is not known, or the results are not safe. */
function checkRun({ path, jid, runId, job }: FoundRun, findings: Findings): void {
  if (job !== undefined && !isEnded(job.state)) return;
  const keeps =
    job !== undefined &&
    runOf(job.state)?.runId === runId &&
    ((job.state.kind === "failed" && job.state.resultsNotCopied) ||
      (job.state.kind === "canceled" && job.state.problem.code === "processes-may-still-run"));
  if (!keeps) findings.note("run-left", { path, jid: String(jid) });
}

/** A run of this host that is under way has a directory. Which those are is certain only where the run says so. */
function checkNeeded({ jid, state }: Job, there: ReadonlySet<string>, findings: Findings): void {
  if (state.kind !== "running" || there.has(state.run.runId)) return;
  if (state.run.runner === "driver" || state.run.runner === "local")
    findings.attention("run-missing", { jid: String(jid), machine: state.run.machine });
}
