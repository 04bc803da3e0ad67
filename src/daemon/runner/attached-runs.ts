/**
 * Runs of this host that an earlier daemon started: not our children, so their end is seen by watching
 * the run directory, and by a check now and then that the supervisor still lives. The timer exists only
 * while such runs do. It decides nothing: it says when to look, and the owner reads the directory.
 */
import { type FSWatcher, watch } from "node:fs";
import { hostBootId, type ProcessIdentity } from "./process-identity.ts";
import { readExitCode } from "./run-directory.ts";
import { isSupervising } from "./supervisor-process.ts";

const LIVENESS_CHECK_MS = 1_000;
/** After its line the supervisor is gone from here in no time; one that stays did not write it, and the timer serves alone. */
const LAST_LOOKS = 100;
const LAST_LOOKS_EVERY_MS = 10;

interface AttachedRun {
  readonly directory: string;
  readonly supervisor: ProcessIdentity;
  readonly watcher: FSWatcher | null;
  readonly over: () => void;
  lastLooks: number;
}

export class AttachedRuns {
  readonly #runs = new Set<AttachedRun>();
  #timer: NodeJS.Timeout | null = null;

  /** Resolves when the supervisor is gone, or elsewhere. An exit code alone proves nothing: the job can write one too. */
  async over(directory: string, supervisor: ProcessIdentity): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const run: AttachedRun = {
      directory,
      supervisor,
      watcher: watchFolder(directory, () => this.#check(run, hostBootId())),
      over: resolve,
      lastLooks: LAST_LOOKS,
    };
    this.#runs.add(run);
    this.#timer ??= setInterval(() => this.#checkAll(), LIVENESS_CHECK_MS).unref();
    this.#check(run, hostBootId());
    await promise;
  }

  #checkAll(): void {
    const bootId = hostBootId();
    for (const run of this.#runs) this.#check(run, bootId);
  }

  #check(run: AttachedRun, bootId: string): void {
    if (!this.#runs.has(run)) return;
    if (isSupervising(run.supervisor, run.directory, bootId)) {
      if (run.lastLooks === 0 || readExitCode(run.directory) === null) return;
      run.lastLooks -= 1;
      setTimeout(() => this.#check(run, bootId), LAST_LOOKS_EVERY_MS).unref();
      return;
    }
    this.#runs.delete(run);
    run.watcher?.close();
    if (this.#runs.size === 0 && this.#timer !== null) {
      clearInterval(this.#timer);
      this.#timer = null;
    }
    run.over();
  }
}

/** Events are only hints; when the system has no more watches (or the folder goes), the timer serves alone. */
function watchFolder(directory: string, onChange: () => void): FSWatcher | null {
  try {
    return watch(directory, { persistent: false }, onChange).on("error", onChange);
  } catch {
    return null;
  }
}
