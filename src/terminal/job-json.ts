/** Jobs and machines as `--json` prints them: the keys of cli.md, with problems put into words. */
import type { WireJob } from "../protocol/methods/job.ts";
import type { WireMachine } from "../protocol/methods/machine.ts";
import { problemWords } from "./problem.ts";

export type JobJson = Omit<WireJob, "error" | "warning"> & { readonly error: string | null; readonly warning: string | null };
export type MachineJson = Omit<WireMachine, "reason"> & { readonly reason: string | null };

export function jobJson(job: WireJob): JobJson {
  return { ...job, error: jobError(job), warning: job.warning === null ? null : problemWords(job.warning).message };
}

export function machineJson(machine: WireMachine): MachineJson {
  return { ...machine, reason: machine.reason === null ? null : problemWords(machine.reason).message };
}

/** What went wrong, in a sentence; when only the copying failed it says so first. */
export function jobError(job: Pick<WireJob, "error">): string | null {
  if (job.error === null) return null;
  const { message } = problemWords(job.error);
  const copyingFailed = job.error.data["results_not_copied"] === "yes";
  return copyingFailed ? `results not copied: ${message}` : message;
}
