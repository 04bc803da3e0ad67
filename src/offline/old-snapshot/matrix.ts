/**
 * A matrix of the old system. It wrote down the values of all variables there were, its own and the common ones alike,
 * and neither their order nor the repeats: its own are those that its command names or that have several values, in
 * the order in which the command names them, and the repeats are counted.
 */
import type { Matrix, MatrixKey } from "../../core/matrix.ts";
import { placeholderNames } from "../../core/placeholders.ts";
import type { OldMatrix, OldTask } from "./snapshot.ts";

export interface Shape {
  readonly keys: readonly MatrixKey[];
  readonly repeats: number;
}

export function keysOf(matrix: OldMatrix): readonly MatrixKey[] {
  const named = placeholderNames(`${matrix.cmd} ${matrix.copyTo ?? ""}`);
  const rank = (name: string): number => (named.includes(name) ? named.indexOf(name) : named.length);
  return [...matrix.variables]
    .filter(([name, values]) => values.length > 0 && (values.length > 1 || named.includes(name)))
    .sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1))
    .map(([name, values]): MatrixKey => ({ name, values }));
}

/** Which combination of values the job is for, counted as nested loops count; null: none of this matrix. */
export function combinationOf(keys: Matrix["keys"], task: OldTask): number | null {
  let combination = 0;
  for (const key of keys) {
    const index = key.values.indexOf(task.variables.get(key.name) ?? "");
    if (index < 0) return null;
    combination = combination * key.values.length + index;
  }
  return combination;
}
