/** A machine of the pool: where it belongs, what runs there, and whether it may be given more. */
import type { Problem } from "./problem.ts";

export interface Machine {
  /** A number of the pool's own, so that the many changes a second touch no map of addresses. */
  readonly slot: number;
  readonly addr: string;
  /** "": in no class; known only because a setup job waits for it or runs on it. */
  readonly class: string;
  readonly assignment: Assignment;
  readonly health: Health;
  /** Failures in a row that count against the machine; a success empties it. */
  readonly failures: readonly CountedFailure[];
}

export type Assignment =
  /** `order` rises with every machine that becomes free: the lowest has been free longest. */
  | { readonly kind: "free"; readonly since: number; readonly order: number }
  | { readonly kind: "busy"; readonly since: number; readonly jid: number }
  /** Taken out of the pool while a job ran: gone when the job's end is proven. */
  | { readonly kind: "leaving"; readonly since: number; readonly jid: number };

export type Health =
  | { readonly kind: "ok" }
  | { readonly kind: "unreachable"; readonly since: number; readonly problem: Problem }
  | { readonly kind: "quarantined"; readonly since: number; readonly reason: QuarantineReason };

export type QuarantineReason =
  | { readonly kind: "failures"; readonly failures: readonly CountedFailure[] }
  | { readonly kind: "problem"; readonly problem: Problem };

export interface CountedFailure {
  readonly jid: number;
  readonly at: number;
  readonly exitCode: number;
  /** Which command it was (blame.ts), so that it can be taken back. Absent: of a journal that did not say. */
  readonly command?: CommandKey;
}

/** Short names of a command: as typed, and with its own values put in. Equal ones have equal names. */
export interface CommandKey {
  readonly template: string;
  /** null: no variable changes it. */
  readonly rendered: string | null;
}

/** What this command template did on which machines: enough to tell a bad machine from a bad command. */
export interface TemplateRecord {
  /** At most TEMPLATE_MACHINES_MAX addresses each; the rule needs no more. */
  readonly succeededOn: readonly string[];
  readonly failedOn: readonly string[];
}

export const TEMPLATE_MACHINES_MAX = 3;

/** The class of a machine that belongs to none. */
export const NO_CLASS = "";

export function jobOn(machine: Machine): number | null {
  return machine.assignment.kind === "free" ? null : machine.assignment.jid;
}

export function canTakeJobs(machine: Machine): boolean {
  return machine.assignment.kind === "free" && machine.health.kind === "ok";
}
