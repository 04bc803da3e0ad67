/**
 * `expjobserver state export`: reads, and takes no lock, so that a server that runs is not disturbed: what it gives is
 * the state as of one journal record. The file is 0600, and has its name only when it is whole and on the disk.
 */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { open, rename, unlink } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import type { ExportReport, OfflineOutcome, OfflineTask } from "../config/offline-task.ts";
import { countedAs } from "../core/apply-job.ts";
import type { State } from "../core/state.ts";
import { syncFolder } from "../store/durable-file.ts";
import { storePaths } from "../store/paths.ts";
import { readState } from "../store/recovery.ts";
import { Secrets } from "../store/secrets.ts";
import { documentBytes } from "../store/snapshot/document.ts";
import { systemCode } from "../store/store-error.ts";
import { OfflineError } from "./failure.ts";
import { serverOn, steadily } from "./past-state.ts";
import { type ExportedState, encodeExport } from "./state-document.ts";

type ExportTask = Extract<OfflineTask, { readonly kind: "state-export" }>;

const UNDER_WAY: readonly string[] = ["running", "copying", "unknown"];

export async function exportState(task: ExportTask): Promise<OfflineOutcome> {
  const paths = storePaths(task.stateDir);
  if (!existsSync(paths.directory)) throw new OfflineError("no-state", { directory: paths.directory });
  const { state, sequence, forgotten } = await steadily(task.stateDir, () => readState(task.stateDir));
  const secrets = Secrets.open(paths.secrets);
  const names = secretNames(state);
  const values = task.withSecrets ? names.flatMap((name): [string, string][] => present(name, secrets.get(name))) : [];
  let jobs = 0;
  const exported: ExportedState = {
    state,
    sequence,
    forgotten: new Set(forgotten),
    history: paths.history,
    secrets: values,
    host: hostname(),
    now: Date.now(),
  };
  const count = (total: number): void => {
    jobs = total;
  };
  const pieces = documentBytes(encodeExport(exported, count), () => ({ sequence, jobs }));
  const bytes = task.file === null ? send(pieces, task.write) : await write(pieces, task.file);
  const report: ExportReport = {
    file: task.file,
    jobs,
    bytes,
    underWay: [...state.jobs.values()].filter((job) => UNDER_WAY.includes(countedAs(job.state.kind))).length,
    secretsLeftOut: names.filter((name) => !values.some(([known]) => known === name)),
    secretsIncluded: values.length,
    serverPid: serverOn(task.stateDir),
  };
  return { kind: "exported", report };
}

function secretNames(state: State): readonly string[] {
  return [...state.variables.values()].flatMap((variable) => (variable.kind === "secret" ? [variable.name] : [])).sort();
}

function present(name: string, value: string | undefined): [string, string][] {
  return value === undefined ? [] : [[name, value]];
}

function send(pieces: Iterable<Buffer>, to: (bytes: Uint8Array) => boolean): number {
  let length = 0;
  for (const bytes of pieces) {
    // Nobody reads any more: nothing is lost by stopping.
    if (!to(bytes)) break;
    length += bytes.length;
  }
  return length;
}

async function write(pieces: Iterable<Buffer>, file: string): Promise<number> {
  const beside = join(dirname(file), `.${basename(file)}.${randomBytes(4).toString("hex")}.part`);
  let length = 0;
  try {
    const handle = await open(beside, "wx", 0o600);
    try {
      for (const bytes of pieces) {
        await handle.writeFile(bytes);
        length += bytes.length;
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(beside, file);
    await syncFolder(dirname(file));
    return length;
  } catch (error) {
    await unlink(beside).catch(() => undefined);
    if (!(error instanceof Error) || !("syscall" in error)) throw error;
    throw new OfflineError("file-unwritable", { file, system: systemCode(error) }, 8);
  }
}
