/** What rm, hold and unhold say: which jobs they changed, and which they could not. */
import { RequestError } from "../../protocol/error.ts";
import type { Output } from "../output.ts";
import { idRange, reportRefused } from "../report.ts";

export interface Changed {
  readonly done: readonly number[];
  /** Of `done` those that end only when their processes have. */
  readonly stopping?: readonly number[] | undefined;
  /** Those are then removed from the records too. */
  readonly forgets?: boolean;
  readonly failed: readonly { readonly id: number; readonly code: string }[];
}

/** @param verb in the past tense. @returns the exit code */
export function reportChanged(changed: Changed, verb: string, output: Output): number {
  const stopping = new Set(changed.stopping);
  const done = changed.done.filter((id) => !stopping.has(id));
  if (output.json) {
    const { forgets: _forgets, ...document } = changed;
    output.printJson(document);
  } else if (output.quiet) output.printLines(changed.done.map(String));
  else if (changed.done.length > 0) {
    output.printLines([
      ...(stopping.size === 0 ? [] : [`Stopping ${jobs([...stopping])}${changed.forgets === true ? ", to be forgotten" : ""}`]),
      ...(done.length === 0 ? [] : [`${verb} ${jobs(done)}`]),
    ]);
  } else if (changed.failed.length === 0) output.print("No job was changed.");
  const errors = changed.failed.map(({ id, code }) => new RequestError(code, { id, jid: id }));
  return reportRefused(errors, output);
}

/** `job 3`, `jobs 3, 5-9, 12`. */
function jobs(ids: readonly number[]): string {
  const parts: { first: number; count: number }[] = [];
  for (const id of [...ids].sort((a, b) => a - b)) {
    const last = parts.at(-1);
    if (last !== undefined && last.first + last.count === id) last.count += 1;
    else parts.push({ first: id, count: 1 });
  }
  return `${ids.length === 1 ? "job" : "jobs"} ${parts.map(({ first, count }) => idRange(first, count)).join(", ")}`;
}
