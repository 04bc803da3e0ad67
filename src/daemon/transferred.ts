/** What is asked for when the results of an ended job are taken elsewhere, and what became of it. */
import type { Problem } from "../core/problem.ts";

export interface TransferRequest {
  readonly jid: number;
  /** Absolute, may hold placeholders. */
  readonly to: string;
  readonly mode: "copy" | "move";
  /** Nobody waits any more: what has not begun to be put in place is given up. */
  readonly signal: AbortSignal;
}

/** What became of one job. */
export interface Transferred {
  /** In TO; null: it has none there. */
  readonly resultsPath: string | null;
  readonly log: string | null;
  readonly errLog: string | null;
  /** Results, without logs. */
  readonly fileCount: number;
  readonly bytes: number;
  /** What could not be done; the rest was. */
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}
