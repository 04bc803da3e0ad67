/** Everything the daemon knows, as one immutable value. Only apply.ts makes a new one. */

import { IntMap } from "./int-map.ts";
import type { JidRange } from "./jid-ranges.ts";
import { type Job, type JobCounts, NO_JOBS } from "./job.ts";
import type { Machine, TemplateRecord } from "./machine.ts";
import type { Matrix } from "./matrix.ts";
import { TextMap } from "./text-map.ts";

export interface State {
  /** Jobs, matrices and tags draw from it; it never goes back. */
  readonly nextId: number;
  /** Jobs that have not ended, and ended ones not yet in a history block. */
  readonly jobs: IntMap<Job>;
  /** Ids of the waiting jobs without a back-off, by class. */
  readonly ready: TextMap<IntMap<true>>;
  readonly matrices: IntMap<Matrix>;
  readonly tags: IntMap<Tag>;
  /** By slot. */
  readonly machines: IntMap<Machine>;
  readonly slots: TextMap<number>;
  readonly nextSlot: number;
  /** Slots of the machines that can take a job, by class, keyed by Assignment.order. */
  readonly free: TextMap<IntMap<number>>;
  readonly nextFreeOrder: number;
  readonly variables: TextMap<Variable>;
  readonly templates: TextMap<TemplateRecord>;
  /** By CommandKey.rendered: what one command did that has failed, with its variables put in. */
  readonly commands: TextMap<CommandRecord>;
  /** Setup jobs that have not ended, with the machine of each. */
  readonly setups: IntMap<string>;
  /** Listings draw a line after this job. */
  readonly line: number | null;
  /** Answers by the client's request id: a retry gets the same one. */
  readonly requests: TextMap<AnsweredRequest>;
  /** Jobs by state, all ever queued and not forgotten: what the summary line shows. */
  readonly counts: JobCounts;
}

export interface Tag {
  readonly id: number;
  readonly created: number;
  readonly jids: readonly JidRange[];
}

export interface CommandRecord extends TemplateRecord {
  /** The last job that changed it: when there are too many, the oldest go. */
  readonly jid: number;
}

/** The value of a secret is in the secrets file only. */
export type Variable =
  | { readonly kind: "plain"; readonly name: string; readonly value: string }
  | { readonly kind: "secret"; readonly name: string };

export interface AnsweredRequest {
  readonly id: string;
  readonly at: number;
  readonly answer: Answer;
}

/** What a command reports back; small enough to be kept for a week. */
export type Answer =
  | { readonly kind: "done" }
  | { readonly kind: "jobs"; readonly first: number; readonly count: number }
  | { readonly kind: "matrix"; readonly id: number; readonly first: number; readonly count: number }
  | { readonly kind: "tag"; readonly id: number }
  | { readonly kind: "per-job"; readonly failed: readonly { readonly jid: number; readonly code: string }[] };

export const EMPTY_STATE: State = {
  nextId: 0,
  jobs: IntMap.empty(),
  ready: TextMap.empty(),
  matrices: IntMap.empty(),
  tags: IntMap.empty(),
  machines: IntMap.empty(),
  slots: TextMap.empty(),
  nextSlot: 0,
  free: TextMap.empty(),
  nextFreeOrder: 0,
  variables: TextMap.empty(),
  templates: TextMap.empty(),
  commands: TextMap.empty(),
  setups: IntMap.empty(),
  line: null,
  requests: TextMap.empty(),
  counts: NO_JOBS,
};

export function machineAt(state: State, addr: string): Machine | undefined {
  const slot = state.slots.get(addr);
  return slot === undefined ? undefined : state.machines.get(slot);
}
