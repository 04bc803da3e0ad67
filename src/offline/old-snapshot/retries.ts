/**
 * Which job of the old system was a retry of which: it wrote down how often a job had been tried, but not of what.
 * Of jobs that are alike in everything, a retry belongs to the oldest failed one with one attempt less that has none
 * yet; where several would do, they differ in nothing that anybody could tell.
 */
import type { OldTask } from "./snapshot.ts";

export interface Lineage {
  readonly retryOf: number | null;
  readonly retriedBy: number | null;
  /** Jobs that are alike and no retries of each other are numbered, from 0; a retry has the number of its first. */
  readonly chain: number;
}

/** @param tasks ascending, @param alike the same text for jobs that ask for the same */
export function lineages(tasks: readonly OldTask[], alike: (task: OldTask) => string): ReadonlyMap<number, Lineage> {
  const found = new Map<number, Lineage>();
  for (const family of Map.groupBy(tasks, alike).values()) {
    /** Failed jobs without a retry so far, by attempt, oldest first. */
    const open = new Map<number, { readonly tasks: OldTask[]; next: number }>();
    let chains = 0;
    for (const task of family) {
      const parents = task.attempt === 0 ? undefined : open.get(task.attempt - 1);
      const parent = parents?.tasks[parents.next];
      if (parents !== undefined && parent !== undefined) {
        parents.next++;
        const of = found.get(parent.jid);
        const chain = of?.chain ?? 0;
        found.set(parent.jid, { retryOf: of?.retryOf ?? null, retriedBy: task.jid, chain });
        found.set(task.jid, { retryOf: parent.jid, retriedBy: null, chain });
      } else {
        found.set(task.jid, { retryOf: null, retriedBy: null, chain: chains++ });
      }
      if (task.state.kind !== "error" || !task.retry) continue;
      const same = open.get(task.attempt);
      if (same === undefined) open.set(task.attempt, { tasks: [task], next: 0 });
      else same.tasks.push(task);
    }
  }
  return found;
}
