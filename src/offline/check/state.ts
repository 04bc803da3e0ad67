/**
 * Journal, snapshots, history, secrets, and what must be true of the state they give. Also what a start passes over is
 * read: the older snapshot, and segments that only it would need.
 */
import { violations } from "../../core/invariants.ts";
import { isEnded } from "../../core/job.ts";
import type { State } from "../../core/state.ts";
import { highestBlockIn } from "../../store/history/history.ts";
import { baseOf, readJournal } from "../../store/journal/reader.ts";
import { listSegments } from "../../store/journal/segments.ts";
import type { StorePaths } from "../../store/paths.ts";
import { type Loaded, readState } from "../../store/recovery.ts";
import { Secrets } from "../../store/secrets.ts";
import { readSnapshot } from "../../store/snapshot/snapshot-file.ts";
import { allJobs, readBlock } from "../state-document.ts";
import type { Findings } from "./findings.ts";

const VIOLATIONS_TOLD_MAX = 10;

export interface CheckedState {
  readonly state: State;
  readonly serverId: string | null;
}

/** null: there is no state that can be trusted. */
export function checkState(paths: StorePaths, findings: Findings, served: boolean): CheckedState | null {
  for (const file of [paths.snapshot, paths.olderSnapshot]) attempt(findings, () => checkSnapshot(file, findings));
  attempt(findings, () => checkWholeJournal(paths, findings, served));
  const isHistorySound = checkBlocks(paths, findings);
  const loaded = attempt(findings, () => readState(paths.directory));
  if (loaded === null) return null;
  attempt(findings, () => checkSecrets(paths, loaded.state, findings));
  tell(violations(loaded.state), findings);
  if (isHistorySound) checkPast(paths, loaded, findings);
  return { state: loaded.state, serverId: loaded.serverId };
}

function attempt<T>(findings: Findings, step: () => T): T | null {
  try {
    return step();
  } catch (error) {
    findings.refused(error);
    return null;
  }
}

function checkSnapshot(file: string, findings: Findings): void {
  const reading = readSnapshot(file);
  if (reading.kind !== "missing") findings.count("snapshots", 1);
  if (reading.kind === "bad") findings.damage("bad-snapshot", { file, offset: String(reading.offset), reason: reading.reason });
}

/** From the first segment there is, whatever the newest snapshot has. */
function checkWholeJournal({ journal }: StorePaths, findings: Findings, served: boolean): void {
  const segments = listSegments(journal);
  const [first] = segments;
  if (first === undefined) return;
  findings.count("segments", segments.length);
  const { lastSequence, torn } = readJournal({ folder: journal, after: baseOf(first), visit: () => findings.count("records", 1) });
  if (torn === null || served) return;
  // A server that writes just now leaves the same trace.
  findings.note("torn-tail", { file: torn.file, offset: String(torn.offset), bytes: String(torn.bytes), record: String(lastSequence) });
}

function checkBlocks({ history }: StorePaths, findings: Findings): boolean {
  let isSound = true;
  for (let number = 0; number <= highestBlockIn(history); number++) {
    const block = attempt(findings, () => ({ jobs: readBlock(history, number) }));
    if (block === null) isSound = false;
    else if (block.jobs !== null) findings.count("blocks", 1);
  }
  return isSound;
}

function checkSecrets({ secrets: file }: StorePaths, state: State, findings: Findings): void {
  const secrets = Secrets.open(file);
  for (const variable of state.variables.values()) {
    if (variable.kind === "secret" && secrets.get(variable.name) === undefined)
      findings.attention("secret-missing", { name: variable.name });
  }
}

/** Every job that is counted must be somewhere, and nothing else. */
function checkPast({ history }: StorePaths, { state, forgotten }: Loaded, findings: Findings): void {
  const are = { done: 0, failed: 0, canceled: 0 };
  for (const { state: job } of allJobs({ state, forgotten: new Set(forgotten), history })) {
    findings.count("jobs", 1);
    if (isEnded(job)) are[job.kind]++;
  }
  for (const kind of ["done", "failed", "canceled"] as const) {
    const data = { status: kind, counted: String(state.counts[kind]), found: String(are[kind]) };
    if (are[kind] !== state.counts[kind]) findings.damage("jobs-missing", data);
  }
}

function tell(sentences: readonly string[], findings: Findings): void {
  for (const sentence of sentences.slice(0, VIOLATIONS_TOLD_MAX)) findings.damage("contradiction", { sentence });
}
