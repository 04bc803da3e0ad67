/** Jobs and machines as `--json` prints them: the keys of cli.md, with problems put into words. */
import type { WireJob } from "../protocol/methods/job.ts";
import type { WireMachine } from "../protocol/methods/machine.ts";
import { problemWords } from "./problem.ts";

export type JobJson = Omit<WireJob, "error" | "warning" | "class"> & {
  /** null: of a setup job after which the machine stays where it is. */
  readonly class: string | null;
  readonly error: string | null;
  readonly warning: string | null;
};
export type MachineJson = Omit<WireMachine, "reason" | "class"> & { readonly class: string | null; readonly reason: string | null };

export function jobJson(job: WireJob): JobJson {
  const warning = job.warning === null ? null : problemWords(job.warning).message;
  return { ...job, class: classOrNull(job.class), error: jobError(job), warning };
}

export function machineJson(machine: WireMachine): MachineJson {
  return { ...machine, class: classOrNull(machine.class), reason: machine.reason === null ? null : problemWords(machine.reason).message };
}

/** What went wrong, in a sentence; when only the copying failed it says so first. */
export function jobError(job: Pick<WireJob, "error">): string | null {
  if (job.error === null) return null;
  const { message } = problemWords(job.error);
  const copyingFailed = job.error.data["results_not_copied"] === "yes";
  return copyingFailed ? `results not copied: ${message}` : message;
}

function classOrNull(className: string): string | null {
  return className === "" ? null : className;
}
