/** The words that notifications need. They are those of the client (src/terminal), handed in by main.ts: this layer has none. */
import type { WireJob } from "../../protocol/methods/job.ts";
import type { WireMachine } from "../../protocol/methods/machine.ts";

/** A job with the keys of cli.md. */
export type WordedJob = Omit<WireJob, "class" | "error" | "warning"> & {
  readonly class: string | null;
  readonly error: string | null;
  readonly warning: string | null;
};
export type WordedMachine = Omit<WireMachine, "class" | "reason"> & { readonly class: string | null; readonly reason: string | null };

export interface NoticeWords {
  readonly job: (job: WireJob) => WordedJob;
  readonly machine: (machine: WireMachine) => WordedMachine;
  /** `53m55s`. */
  readonly duration: (seconds: number) => string;
  /** One line that does nothing to whatever shows it. */
  readonly printable: (text: string) => string;
}
