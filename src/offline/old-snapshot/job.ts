/**
 * A job of the old system as one of ours. What had ended has ended the same way. What waited is held, so that nothing
 * starts by itself; what was under way is canceled with the reason, because nobody can tell any more what became of it.
 */

import type { CanceledState, CopiedResults, EndedState, FailedState, HeldState, JobSpec, RetryPolicy, Run } from "../../core/job.ts";
import { isVariableName } from "../../core/names.ts";
import { placeholderNames, substitute } from "../../core/placeholders.ts";
import { type Problem, problem } from "../../core/problem.ts";
import { signalName } from "../../core/signal.ts";
import type { OldFiles } from "./old-logs.ts";
import type { OldTask } from "./snapshot.ts";

/** As a shell answers for what could not be started. */
const EXIT_NOT_STARTED = 126;
const EXIT_KILLED = 137;

/** @param matrixNames variables that the matrix of the job gives it, @param cmd the template, when it is not that of the job */
export function specOf(task: OldTask, matrixNames: readonly string[], cmd: string | null): JobSpec {
  const cmds = task.cmds.map((text) => withOddNames(text, task.variables));
  const first = cmd ?? cmds[0] ?? "";
  const copyTo = task.copyTo === null ? null : withOddNames(task.copyTo, task.variables);
  const names = placeholderNames([first, ...cmds, copyTo ?? ""].join(" ")).filter((name) => !matrixNames.includes(name));
  const variables: Record<string, string> = {};
  for (const name of names) {
    const value = task.variables.get(name);
    if (value !== undefined) variables[name] = value;
  }
  const common = { class: task.class ?? "", cmd: first, copyTo, retry: retryOf(task), notify: task.notify, variables, secrets: [] };
  if (task.kind === "job") return { kind: "job", ...common };
  return { kind: "setup", ...common, machine: task.machine ?? "", cmds };
}

/** The command as the old system ran it. */
export function oldCommandLine(task: OldTask, index: number): string {
  const cmd = withOddNames(task.cmds[index] ?? "", task.variables);
  return substitute(cmd, (name) => task.variables.get(name) ?? (name === "MACHINE" ? (task.machine ?? undefined) : undefined));
}

/** @param jid the job's id here */
export function stateOf(task: OldTask, jid: number, files: OldFiles): HeldState | EndedState {
  const { state } = task;
  switch (state.kind) {
    case "waiting":
    case "held":
      // Setting up is asked for again more easily than explained: see docs/migration.md.
      if (task.kind === "setup") return canceled(task, null, imported(state.kind));
      return { kind: "held", since: task.time };
    case "running":
    case "unknown":
      return cutShort(canceled(task, runFor(task, jid, files, 0), imported(state.kind === "running" ? "running" : "of unknown state")));
    case "checking":
      return task.copyTo === null
        ? done(task, jid, files, null)
        : notCopied(task, jid, files, { cause: imported("about to be copied"), prefix: null });
    case "copying":
      return notCopied(task, jid, files, { cause: imported("being copied"), prefix: state.prefix });
    case "done":
      return done(task, jid, files, state.prefix);
    case "error":
      return failed(task, jid, files, state);
    case "killed":
    case "forgotten":
      return canceled(task, task.machine === null || task.kind === "setup" ? null : runFor(task, jid, files, 0), problem("canceled"));
  }
}

function done(task: OldTask, jid: number, files: OldFiles, prefix: string | null): EndedState {
  const run = runFor(task, jid, files, task.cmds.length - 1);
  const prefixes = prefix === null ? [] : [prefix];
  return { kind: "done", run, ...times(task), prefixes, results: resultsOf(task, jid, files, prefix), warning: null };
}

function resultsOf({ copyTo }: OldTask, jid: number, files: OldFiles, prefix: string | null): CopiedResults | null {
  if (copyTo === null || prefix === null) return null;
  return { ...files.resultsIn(copyTo, prefix), files: null, record: `${copyTo}/.expjobserver/${jid}.toml` };
}

function failed(task: OldTask, jid: number, files: OldFiles, error: { readonly message: string; readonly command: number }): FailedState {
  const { message, command } = error;
  if (/copying results failed/i.test(message))
    return notCopied(task, jid, files, { cause: problem("imported", { message: message.replace(/\.$/, "") }), prefix: null });
  const { exitCode, cause } = failureOf(task, message);
  const run = runFor(task, jid, files, command);
  return { kind: "failed", run, ...times(task), exitCode, prefixes: [], problem: cause, resultsNotCopied: false };
}

/** What the old system said, in the words that its Rust had for an exit status. */
function failureOf(task: OldTask, message: string): { readonly exitCode: number; readonly cause: Problem } {
  const exit = /failed: exit (?:code|status): (\d+)/.exec(message);
  const signal = /failed: signal: (\d+)/.exec(message);
  if (exit !== null || signal !== null) {
    const exitCode = exit === null ? 128 + Number(signal?.[1]) : Number(exit[1]);
    const name = signalName(exitCode);
    return { exitCode, cause: problem("nonzero-exit", { exit_code: String(exitCode), ...(name === null ? {} : { signal: name }) }) };
  }
  if (message.startsWith("Timed out")) {
    const seconds = String((task.timeoutMinutes ?? 0) * 60);
    return { exitCode: EXIT_KILLED, cause: problem("timed-out", { seconds }) };
  }
  return { exitCode: EXIT_NOT_STARTED, cause: problem("imported", { message: message.replace(/\.$/, "") }) };
}

interface NotCopied {
  readonly cause: Problem;
  /** null: the log may name it. */
  readonly prefix: string | null;
}

/** It exited with 0; `j job cpresults` can still fetch what it named. */
function notCopied(task: OldTask, jid: number, files: OldFiles, { cause, prefix }: NotCopied): FailedState {
  const run = runFor(task, jid, files, task.cmds.length - 1);
  const named = prefix ?? files.printedResults(run.log);
  const prefixes = named === null ? [] : [named];
  return { kind: "failed", run, ...times(task), exitCode: 0, prefixes, problem: cause, resultsNotCopied: true };
}

/** Nobody saw its end: it took no known time. */
function cutShort(state: CanceledState): CanceledState {
  return { ...state, startedAt: null };
}

function canceled(task: OldTask, run: Run | null, cause: Problem): CanceledState {
  const { startedAt, endedAt } = times(task);
  return { kind: "canceled", run, startedAt: run === null ? null : startedAt, endedAt, exitCode: null, problem: cause };
}

function imported(was: string): Problem {
  return problem("imported", { was });
}

/** The old system kept one time for queueing and start; where it kept no end, there is no better one. */
function times(task: OldTask): { readonly startedAt: number; readonly endedAt: number } {
  return { startedAt: task.time, endedAt: Math.max(task.ended ?? task.time, task.time) };
}

/** Every run of the old system was one of its driver. The name is that of no run directory. */
function runFor(task: OldTask, jid: number, files: OldFiles, command: number): Run {
  const logOf = (index: number) => files.logOf(task.jid, oldCommandLine(task, index));
  const run = { runId: `imported${jid}`, machine: task.machine ?? "unknown", runner: "driver" as const, ...logOf(command) };
  if (task.kind === "job") return run;
  const earlier = Array.from({ length: command }, (_, index) => logOf(index));
  return { ...run, step: { command, startedAt: task.time, earlier } };
}

function retryOf(task: OldTask): RetryPolicy | null {
  if (!task.retry) return null;
  return { maxFailures: task.failuresMax === null ? null : Math.max(1, task.failuresMax) };
}

/** The old system took any text as a name; what is no name here is put in now, or it would never be. */
function withOddNames(text: string, variables: ReadonlyMap<string, string>): string {
  let result = text;
  for (const [name, value] of variables) if (!isVariableName(name)) result = result.replaceAll(`{${name}}`, () => value);
  return result;
}
