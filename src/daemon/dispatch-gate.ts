/**
 * Closes the scheduler for a while when starting fails for a reason of this host's own (the driver is
 * missing, the disk is full): otherwise every waiting job would be tried and put back in turn, for ever.
 */
import type { Problem, ProblemCode } from "../core/problem.ts";

const PAUSE_FIRST_MS = 1_000;
const PAUSE_MAX_MS = 30_000;

const OF_THIS_HOST: readonly ProblemCode[] = [
  "driver-missing",
  "driver-not-executable",
  "log-unwritable",
  "run-directory-failed",
  "no-space",
  "start-failed",
];

export class DispatchGate {
  private timer: ReturnType<typeof setTimeout> | null = null;
  private pauseMs = PAUSE_FIRST_MS;
  private closedFor: Problem | null = null;

  /** @param reopen called when jobs may be handed out again */
  constructor(private readonly reopen: () => void) {}

  get open(): boolean {
    return this.timer === null;
  }

  /** Why nothing is being started now; null when it is not for a reason of this host. */
  get problem(): Problem | null {
    return this.closedFor;
  }

  started(): void {
    this.pauseMs = PAUSE_FIRST_MS;
    this.closedFor = null;
  }

  notStarted(problem: Problem): void {
    // One that names a machine is the machine's: it alone is left out.
    if (!OF_THIS_HOST.includes(problem.code) || problem.data.machine !== undefined) return;
    // What one command cannot be made into is no reason to keep the others back.
    if (problem.data.reason === "command") return;
    this.closedFor = problem;
    if (this.timer !== null) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      this.reopen();
    }, this.pauseMs);
    this.pauseMs = Math.min(this.pauseMs * 2, PAUSE_MAX_MS);
  }

  stop(): void {
    if (this.timer !== null) clearTimeout(this.timer);
  }
}
