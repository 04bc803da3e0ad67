/**
 * Owns how many copies run at once: a few, first come, first served, so that the network and the disk are
 * shared by no more than they can serve. It knows nothing of jobs beyond the options it passes on.
 */
import { canceled } from "./copy-problem.ts";
import { type CopyOptions, type CopyOutcome, copyResults } from "./copy-results.ts";
import { TargetFolders } from "./target-folders.ts";

export const COPIES_MAX = 4;

/** What the copies of a server have in common. */
export interface CopyShared {
  readonly targets: TargetFolders;
  readonly umask?: number;
}

export class CopyQueue {
  readonly #copiesMax: number;
  readonly #umask: { readonly umask?: number };
  readonly #targets = new TargetFolders();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** @param options.umask of the server's caller: what results are made with */
  constructor(options: { readonly copiesMax?: number; readonly umask?: number } = {}) {
    this.#copiesMax = options.copiesMax ?? COPIES_MAX;
    this.#umask = options.umask === undefined ? {} : { umask: options.umask };
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Waits for its turn, then copies. Canceled by `options.signal`, also while it waits. Never rejects. */
  async copy(options: Omit<CopyOptions, "targets" | "umask">): Promise<CopyOutcome> {
    const outcome = await this.run(options.signal, (shared) => copyResults({ ...options, ...shared }));
    return outcome ?? { kind: "failed", problem: canceled().problem, retryable: true };
  }

  /** Waits for its turn among the copies. @returns null when it was canceled before that. @throws what `work` throws */
  async run<T>(signal: AbortSignal | undefined, work: (shared: CopyShared) => Promise<T>): Promise<T | null> {
    const hasTurn = await this.#turn(signal);
    if (!hasTurn) return null;
    try {
      return await work({ ...this.#umask, targets: this.#targets });
    } finally {
      this.#pass();
    }
  }

  async #turn(signal: AbortSignal | undefined): Promise<boolean> {
    if (signal?.aborted === true) return false;
    if (this.#running < this.#copiesMax) {
      this.#running += 1;
      return true;
    }
    return await new Promise<boolean>((resolve) => {
      const give = (): void => {
        signal?.removeEventListener("abort", leave);
        resolve(true);
      };
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(give), 1);
        resolve(false);
      };
      signal?.addEventListener("abort", leave, { once: true });
      this.#waiting.push(give);
    });
  }

  /** The place of a copy that has ended goes to the next one, or is free. */
  #pass(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running -= 1;
    else next();
  }
}
