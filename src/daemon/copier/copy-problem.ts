/**
 * Owns how a copy fails: one error class that carries the Problem to be stored and what may be done about
 * it. Nothing here decides whether a copy is repeated; transfer.ts does.
 */
import { type Problem, problem } from "../../core/problem.ts";

/**
 * What a repetition could change.
 * - `transport`: the connection died or fell silent; at once, with resume, then later.
 * - `changed`: the machine's files moved under us; once more from a new manifest, then later.
 * - `target`: this host cannot take the files; later, when its user has made room.
 * - `never`: the same request will fail in the same way.
 */
export type Remedy = "transport" | "changed" | "target" | "never";

export class CopyProblem extends Error {
  override readonly name = "CopyProblem";
  constructor(
    readonly problem: Problem,
    readonly remedy: Remedy,
  ) {
    super(`${problem.code} ${JSON.stringify(problem.data)}`);
  }
}

export function canceled(): CopyProblem {
  return new CopyProblem(problem("canceled"), "transport");
}

/** A machine's answer that no honest script of ours gives. */
export function damagedAnswer(machine: string, reason: string): CopyProblem {
  return new CopyProblem(
    problem("results-unreadable", { machine, path: "", message: `the answer of the machine is damaged: ${reason}` }),
    "never",
  );
}

export function resultsChanged(machine: string, path: string): CopyProblem {
  return new CopyProblem(problem("results-changed", { machine, path }), "changed");
}

/** A system error on this host's side of the copy. `path` is what was being written. */
export function targetUnwritable(path: string, error: unknown): CopyProblem {
  if (error instanceof CopyProblem) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new CopyProblem(problem("target-unwritable", { path, message }), "target");
}

export function systemErrorCode(error: unknown): string | null {
  if (!(error instanceof Error) || !("code" in error)) return null;
  return typeof error.code === "string" ? error.code : null;
}
