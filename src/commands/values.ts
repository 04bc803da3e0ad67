/** Numbers, times and paths as typed, checked before anything is sent. */

import type { Surroundings } from "../config/client-options.ts";
import { parseDuration } from "../config/duration.ts";
import { absolutePath } from "../config/paths.ts";
import { UsageError } from "./failure.ts";

/** A whole number of at least `least`. @throws UsageError that names the flag */
export function parseCount(typed: string, flag: string, least: number): number {
  const count = Number(typed);
  if (/^\d+$/.test(typed) && Number.isSafeInteger(count) && count >= least) return count;
  throw new UsageError(`${flag} is ${JSON.stringify(typed)}.`, `It must be a whole number of at least ${least}.`);
}

/** Seconds, or null when the flag was not given; a bare number is minutes. @throws UsageError that names the flag */
export function parseTime(typed: string | undefined, flag: string): number | null {
  if (typed === undefined) return null;
  const seconds = parseDuration(typed, "m");
  if (seconds === null || seconds <= 0) {
    throw new UsageError(
      `${flag} is ${JSON.stringify(typed)}, which is no time.`,
      "Write it as in 90s, 15m, 1h34m or 2d; a bare number is minutes.",
    );
  }
  return seconds;
}

/** The rules of `--retry` and `--max-failures`: the latter implies the former; 0 means no limit. @throws UsageError */
export function parseRetry(retry: boolean | undefined, maxFailures: string | undefined): { max_failures: number | null } | null {
  if (maxFailures === undefined) return retry === true ? { max_failures: null } : null;
  const max = parseCount(maxFailures, "--max-failures", 0);
  return { max_failures: max === 0 ? null : max };
}

/** Made absolute here, because the server runs elsewhere; what looks like a placeholder is left for the server. */
export function absoluteOrNull(typed: string | undefined, surroundings: Surroundings): string | null {
  if (typed === undefined) return null;
  if (typed === "") throw new UsageError("The path for results is empty.", "Leave it out, or name a folder.");
  // Nothing is normalised away but a leading "./": placeholders may stand anywhere.
  return absolutePath(typed, surroundings.folder, surroundings.environment);
}

/** @param what "class" or "machine". @throws UsageError when it is empty, as an unset variable of the shell leaves it */
export function checkedName(typed: string, what: "class" | "machine"): string {
  if (typed.trim() === "") throw new UsageError(`The ${what} is empty.`, "If it came from a shell variable: that one is not set.");
  return typed;
}

/** @throws UsageError when it is empty */
export function checkedCommand(typed: string): string {
  if (typed.trim() === "") throw new UsageError("The command is empty.", "Write it in quotes, as one word.");
  return typed;
}
