/** What the demo must undo, whatever happens: in reverse order, all of it, and once. */
import { chmodSync, existsSync, rmSync } from "node:fs";
import { processesAtHomeIn, sendSignal } from "../process-tree.ts";

type Undo = () => Promise<void> | void;

const endTimeoutMs = 10_000;

export class Cleanup {
  readonly #undos: Undo[] = [];
  #closed = false;

  /** Call it before, or in the same turn as, what is to be undone. @throws {Error} once everything is being undone. */
  readonly add = (undo: Undo): void => {
    if (this.#closed) throw new Error("the demo is ending");
    this.#undos.push(undo);
  };

  /** @returns what could not be undone, as sentences */
  async run(): Promise<string[]> {
    this.#closed = true;
    const failures: string[] = [];
    for (let undo = this.#undos.pop(); undo !== undefined; undo = this.#undos.pop()) {
      try {
        await undo();
      } catch (error) {
        failures.push(error instanceof Error ? error.message : String(error));
      }
    }
    return failures;
  }
}

/**
 * Ends every process that was started in the demo's folder: jobs and their supervisors are in sessions of their own and
 * outlive server and sshd by design. All have their HOME in it. @throws {Error} when some do not end.
 */
export async function endProcessesOf(folder: string): Promise<void> {
  const deadline = performance.now() + endTimeoutMs;
  for (let left = processesAtHomeIn(folder); left.length > 0; left = processesAtHomeIn(folder)) {
    if (performance.now() > deadline) throw new Error(`processes do not end: ${left.join(" ")}`);
    for (const pid of left) sendSignal(pid, "SIGKILL");
    await Bun.sleep(10);
  }
}

export function removeFolder(folder: string): void {
  if (!existsSync(folder)) return;
  chmodSync(folder, 0o700);
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}
