/** What a job is given: its words or its shell text, and its environment. cli.md, "What a job is given". */
import { commandOf, type Job, type Run } from "../core/job.ts";
import { driverWords, substitute, type Values } from "../core/placeholders.ts";
import type { State } from "../core/state.ts";
import { jobValues, jobVariables, maskedValues } from "../core/variables.ts";
import type { Program } from "./runner/runner.ts";

export interface Driver {
  readonly path: string;
  /** Put before the job's words. */
  readonly args: readonly string[];
}

/** @param secret reads the value of a secret variable now. @throws UnbalancedQuotes */
export function runProgram(state: State, job: Job, run: Run, options: { driver: Driver | null; secret: Values }): Program {
  const values = jobValues(state, job, { machine: run.machine, secret: options.secret });
  const template = commandOf(job.spec, run);
  if (options.driver === null) return { kind: "shell", text: substitute(template, values) };
  return { kind: "words", words: [options.driver.path, ...options.driver.args, ...driverWords(template, values)] };
}

export function runEnvironment(state: State, job: Job, run: Run, secret: Values): Record<string, string> {
  const environment: Record<string, string> = {
    EXPJOB_JID: String(job.jid),
    EXPJOB_MACHINE: run.machine,
    EXPJOB_CLASS: job.spec.class,
    EXPJOB_MATRIX: job.matrix === null ? "" : String(job.matrix.id),
    EXPJOB_ATTEMPT: String(job.attempt),
  };
  for (const [name, value] of Object.entries(jobVariables(state, job))) environment[`EXPJOB_VAR_${name}`] = value;
  for (const name of job.spec.secrets) {
    const value = secret(name);
    if (value !== undefined) environment[`EXPJOB_VAR_${name}`] = value;
  }
  return environment;
}

/**
 * The command as people see it: substituted as far as it is known, secrets masked.
 * @param template one of the job's commands
 */
export function commandLine(state: Pick<State, "matrices">, job: Job, machine: string | null, template = job.spec.cmd): string {
  return substitute(template, maskedValues(state, job, machine));
}
