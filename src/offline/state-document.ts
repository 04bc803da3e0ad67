/**
 * The whole state as one document: the snapshot's, with the jobs of the history among the others, and before it
 *
 *   exported = <time>, from = "<host>"     which a snapshot does not have: it has no history, and would lose it
 *   [[secrets]] name, value                at the end, only when asked for
 *
 * The blocks are read one after the other, while it is written: memory does not grow with the past.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { addCounts } from "../core/apply-job.ts";
import { IntMap } from "../core/int-map.ts";
import type { Job } from "../core/job.ts";
import type { State } from "../core/state.ts";
import { blockOf } from "../store/history/block-codec.ts";
import { highestBlockIn } from "../store/history/history.ts";
import { StoredBlock } from "../store/history/stored-block.ts";
import { readDocument, refused } from "../store/snapshot/document.ts";
import { encodeJobs } from "../store/snapshot/job-codec.ts";
import { SpecNumbers } from "../store/snapshot/spec-codec.ts";
import { decodeState, encodeState, SNAPSHOT_FORMAT, section } from "../store/snapshot/state-codec.ts";
import { StoreError, systemCode } from "../store/store-error.ts";
import { OfflineError } from "./failure.ts";

export interface ExportedState {
  readonly state: State;
  /** Jobs that are known to the state but forgotten in the journal since their block was written. */
  readonly forgotten: ReadonlySet<number>;
  readonly sequence: number;
  readonly history: string;
  readonly secrets: readonly (readonly [name: string, value: string])[];
  readonly host: string;
  readonly now: number;
}

/** The text, piece by piece. @param count is told how many jobs there are, before the last piece */
export function* encodeExport(exported: ExportedState, count: (jobs: number) => void): Generator<string> {
  const { state, sequence, secrets, host, now } = exported;
  const contents =
    secrets.length === 0 ? "Values of secret variables are not in here." : "WITH THE VALUES OF SECRET VARIABLES: keep it to yourself.";
  yield `# The whole state of an expjobserver, for \`expjobserver state import\`. ${contents}\n`;
  yield "# The last line vouches for all before it: an edited copy is refused. Logs and results are not in here.\n";
  yield `exported = ${new Date(now).toISOString()}\nfrom = ${JSON.stringify(host)}\n`;
  let isHeader = true;
  for (const piece of encodeState({ ...state, jobs: IntMap.empty() }, sequence)) {
    if (!isHeader) yield piece;
    isHeader = false;
  }
  const specs = new SpecNumbers();
  let jobs = 0;
  const counted = function* (): Generator<Job> {
    for (const job of allJobs(exported)) {
      jobs++;
      yield job;
    }
  };
  yield* section(
    "jobs",
    encodeJobs(counted(), (spec) => specs.numberOf(spec)),
  );
  yield* section("specs", specs.tables());
  yield* section(
    "secrets",
    secrets.map(([name, value]) => ({ name, value })),
  );
  count(jobs);
}

/** Ascending: those in memory stand before what a block has of them. @throws StoreError "damaged" */
export function* allJobs({ state, forgotten, history }: Pick<ExportedState, "state" | "forgotten" | "history">): Generator<Job> {
  const live = Map.groupBy(state.jobs.values(), (job) => blockOf(job.jid));
  const numbers = new Set([...Array.from({ length: highestBlockIn(history) + 1 }, (_, number) => number), ...live.keys()]);
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const block = readBlock(history, number) ?? new Map<number, Job>();
    const past = [...block.values()].filter(({ jid }) => jid < state.nextId && !state.jobs.has(jid) && !forgotten.has(jid));
    yield* [...past, ...(live.get(number) ?? [])].sort((a, b) => a.jid - b.jid);
  }
}

/** null: there is no such block. */
export function readBlock(history: string, number: number): ReadonlyMap<number, Job> | null {
  const file = join(history, `${String(number).padStart(6, "0")}.toml`);
  try {
    return StoredBlock.read(readFileSync(file), file, number).all();
  } catch (error) {
    if (systemCode(error) === "ENOENT") return null;
    throw error instanceof StoreError ? error : new StoreError("io", { file, system: systemCode(error) }, error);
  }
}

export interface ImportedState {
  /** With all its jobs in memory, and its counts made of them. */
  readonly state: State;
  readonly host: string;
  readonly secrets: ReadonlyMap<string, string>;
}

/** @throws StoreError "newer-format", OfflineError when it is no whole export */
export function decodeExport(bytes: Buffer, file: string): ImportedState {
  const document = readDocument(bytes, SNAPSHOT_FORMAT);
  if (document.kind === "newer") throw refused(file, document);
  if (document.kind === "bad") throw new OfflineError("not-an-export", { file, message: document.reason });
  const { exported, from, secrets, ...content } = document.content;
  if (!(exported instanceof Date)) throw new OfflineError("snapshot-not-export", { file });
  const reading = decodeState(content, document.footer);
  if (reading.kind === "bad") throw new OfflineError("not-an-export", { file, message: reading.reason });
  const { state } = reading;
  const members = Map.groupBy(state.jobs.values(), (job) => job.matrix?.id);
  let { matrices } = state;
  // A server that ran while it was exported may have been a step further in one place than in another.
  for (const matrix of matrices.values())
    matrices = matrices.set(matrix.id, { ...matrix, counts: addCounts(members.get(matrix.id) ?? []) });
  return {
    state: { ...state, matrices, counts: addCounts([...state.jobs.values()]) },
    host: typeof from === "string" ? from : "another host",
    secrets: new Map(secretsOf(secrets)),
  };
}

function secretsOf(tables: unknown): [string, string][] {
  if (!Array.isArray(tables)) return [];
  return tables.flatMap((entry: { readonly name?: unknown; readonly value?: unknown }): [string, string][] =>
    typeof entry.name === "string" && typeof entry.value === "string" ? [[entry.name, entry.value]] : [],
  );
}
