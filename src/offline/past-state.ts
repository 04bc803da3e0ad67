/**
 * A state directory as it lies there, read without the lock and without writing. A server may run on it: then a
 * snapshot can take the place of files that are just being read, and it is tried again.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { EMPTY_STATE, type State } from "../core/state.ts";
import { History } from "../store/history/history.ts";
import { storePaths } from "../store/paths.ts";
import { readState } from "../store/recovery.ts";
import { StoreError } from "../store/store-error.ts";

export interface PastState {
  readonly state: State;
  readonly history: Pick<History, "read">;
}

const TRIES_MAX = 5;
const BETWEEN_TRIES_MS = 200;

/** @throws StoreError */
export async function readPast(stateDir: string): Promise<PastState> {
  const { directory, history } = storePaths(stateDir);
  if (!existsSync(directory)) return { state: EMPTY_STATE, history: { read: async () => new Map() } };
  return { state: (await steadily(stateDir, () => readState(stateDir))).state, history: new History(history) };
}

/** Repeats what a running server may have disturbed. What is still wrong then is wrong. */
export async function steadily<T>(stateDir: string, read: () => T): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof StoreError) || attempt === TRIES_MAX || serverOn(stateDir) === null) throw error;
      await Bun.sleep(BETWEEN_TRIES_MS);
    }
  }
}

/**
 * The process that holds the lock of the directory; null: none that can be seen. The lock is not touched, so that a
 * server that starts at this moment is not refused: who has written its number into the file, and has it open?
 */
export function serverOn(stateDir: string): number | null {
  const { lock } = storePaths(stateDir);
  try {
    const pid = Number(/^(\d+)\n$/.exec(readFileSync(lock, "latin1"))?.[1] ?? 0);
    if (pid === 0) return null;
    const file = realpathSync(lock);
    const folder = `/proc/${pid}/fd`;
    return readdirSync(folder).some((name) => linkedTo(join(folder, name)) === file) ? pid : null;
  } catch {
    // No such file or process, or one of somebody else's, who could not serve here.
    return null;
  }
}

function linkedTo(link: string): string | null {
  try {
    return readlinkSync(link);
  } catch {
    // Closed meanwhile.
    return null;
  }
}
