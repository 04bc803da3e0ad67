/** Jobs and machines as `--json` prints them: the keys of cli.md, with problems put into words. */
import type { WireJob } from "../protocol/methods/job.ts";
import type { WireMachine } from "../protocol/methods/machine.ts";
import type { WireProblem } from "../protocol/problem.ts";
import { problemWords } from "./problem.ts";

export type JobJson = Omit<WireJob, "error" | "warning"> & { readonly error: string | null; readonly warning: string | null };
export type MachineJson = Omit<WireMachine, "reason"> & { readonly reason: string | null };

export function jobJson(job: WireJob): JobJson {
  return { ...job, error: jobError(job), warning: job.warning === null ? null : problemWords(job.warning).message };
}

export function machineJson(machine: WireMachine): MachineJson {
  return { ...machine, reason: machine.reason === null ? null : machineReason(machine.reason) };
}

/** What went wrong, in a sentence; when only the copying failed it says so first. */
export function jobError(job: Pick<WireJob, "error" | "status" | "exit_code">): string | null {
  if (job.error === null) return null;
  const { message } = problemWords(job.error);
  const copyingFailed = job.status === "failed" && job.exit_code === 0 && job.error.code !== "timed-out";
  return copyingFailed ? `results not copied: ${message}` : message;
}

/** Why a machine is quarantined or unreachable. */
export function machineReason(reason: WireProblem): string {
  if (reason.code !== "failures") return problemWords(reason).message;
  const jobs = reason.data["jobs"] ?? "";
  return `Failures in a row that count against it${jobs === "" ? "." : `: jobs ${jobs.replaceAll(/[^0-9, ]/g, "").replaceAll(/,\s*/g, ", ")}.`}`;
}
