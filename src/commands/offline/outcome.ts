/** What the offline commands have in common: where the state is, and a refusal in words. */
import { resolveShared } from "../../config/client-options.ts";
import type { OfflineOutcome, OfflineReports, OfflineTask } from "../../config/offline-task.ts";
import { absolutePath } from "../../config/paths.ts";
import { offlineFailureWords } from "../../terminal/offline-failure.ts";
import type { Context } from "../context.ts";
import { Failure } from "../failure.ts";

export async function stateDirOf({ shared, surroundings }: Context): Promise<string> {
  return (await resolveShared(shared, surroundings)).stateDir;
}

export function pathOf(typed: string, { surroundings }: Context): string {
  return absolutePath(typed, surroundings.folder, surroundings.environment);
}

/** @throws Failure in words */
export async function offlineReport<K extends keyof OfflineReports>(
  task: OfflineTask,
  kind: K,
  { offline }: Context,
): Promise<OfflineReports[K]> {
  const outcome = await offline(task);
  if (outcome.kind === "failed") {
    const { message, hint } = offlineFailureWords(outcome);
    throw new Failure(outcome.code, message, hint, outcome.exitCode);
  }
  if (isOf(outcome, kind)) return outcome.report;
  throw new Error(`${task.kind} was answered with ${outcome.kind}`);
}

function isOf<K extends keyof OfflineReports>(
  outcome: OfflineOutcome,
  kind: K,
): outcome is OfflineOutcome & { readonly kind: K; readonly report: OfflineReports[K] } {
  return outcome.kind === kind;
}
