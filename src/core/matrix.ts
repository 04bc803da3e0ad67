/** A matrix: one job for each combination of the values of its variables, in the order of nested loops. */
import type { JidRange } from "./jid-ranges.ts";
import type { JobCounts } from "./job.ts";

export interface Matrix {
  readonly id: number;
  readonly class: string;
  readonly cmd: string;
  readonly copyTo: string | null;
  /** In the order typed; the last varies fastest. */
  readonly keys: readonly MatrixKey[];
  /** Each combination this many times, one after the other. */
  readonly repeats: number;
  readonly created: number;
  /** Its jobs, ascending: the cells as queued, then retries and clones. */
  readonly jids: readonly JidRange[];
  /** Its jobs by state, history included. */
  readonly counts: JobCounts;
}

export interface MatrixKey {
  readonly name: string;
  readonly values: readonly string[];
}

export function cellCount(keys: readonly MatrixKey[], repeats: number): number {
  return keys.reduce((count, key) => count * key.values.length, repeats);
}

/** The values of one cell, by name. @param cell from 0 to cellCount - 1 */
export function cellVariables(matrix: Pick<Matrix, "keys" | "repeats">, cell: number): Record<string, string> {
  const values: Record<string, string> = {};
  let rest = Math.floor(cell / matrix.repeats);
  for (let index = matrix.keys.length - 1; index >= 0; index--) {
    const key = matrix.keys[index];
    if (key === undefined) continue;
    values[key.name] = key.values[rest % key.values.length] ?? "";
    rest = Math.floor(rest / key.values.length);
  }
  // Typed order, not the order of computing.
  return Object.fromEntries(matrix.keys.map((key) => [key.name, values[key.name] ?? ""]));
}
