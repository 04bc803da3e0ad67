/**
 * Whose fault a failure is: the machine's or the command's. design.md, "Faulty machines". A command is judged
 * twice: as typed, where one mistake breaks every cell of a matrix, and with its own variables put in, where one
 * cell that can never work must not be held against the machines that tried it.
 */
import type { Job } from "./job.ts";
import type { CommandKey, CountedFailure, Machine, TemplateRecord } from "./machine.ts";
import { substitute } from "./placeholders.ts";
import type { State } from "./state.ts";
import { jobVariables, SECRET_MASK } from "./variables.ts";

/** Records of single commands that are kept; the oldest go first. */
export const COMMANDS_MAX = 2_000;

export function commandKey(state: Pick<State, "matrices">, job: Job): CommandKey {
  const { cmd, secrets } = job.spec;
  const variables = jobVariables(state, job);
  const rendered = substitute(cmd, (name) =>
    Object.hasOwn(variables, name) ? variables[name] : secrets.includes(name) ? SECRET_MASK : undefined,
  );
  return { template: hash(cmd), rendered: rendered === cmd ? null : hash(rendered) };
}

/**
 * A failure counts against a machine only if the command has succeeded on another, or nothing else is known
 * of it. One that failed on two machines and succeeded on none is the job's own fault.
 */
export function countsAgainstMachine(state: State, job: Job, machine: string): boolean {
  const { rendered } = commandKey(state, job);
  const own = rendered === null ? undefined : state.commands.get(rendered);
  return verdict(own, machine) ?? verdict(state.templates.get(job.spec.cmd), machine) ?? true;
}

/** null: nothing else is known. */
function verdict(record: TemplateRecord | undefined, machine: string): boolean | null {
  if (record === undefined) return null;
  if (record.succeededOn.some((addr) => addr !== machine)) return true;
  if (record.succeededOn.length > 0) return false;
  return record.failedOn.some((addr) => addr !== machine) ? false : null;
}

/** Which earlier failures turn out to be the command's own fault, now that it has failed here too. */
export function takenBack(state: State, job: Job): (failure: CountedFailure) => boolean {
  const { template, rendered } = commandKey(state, job);
  const own = rendered !== null && isOwnFault(state.commands.get(rendered));
  const all = isOwnFault(state.templates.get(job.spec.cmd));
  return ({ command }) => command !== undefined && ((own && command.rendered === rendered) || (all && command.template === template));
}

function isOwnFault(record: TemplateRecord | undefined): boolean {
  return record !== undefined && record.succeededOn.length === 0 && record.failedOn.length > 1;
}

/**
 * One command that has worked nowhere else is no reason to take the last machine of a class away: a slip of the
 * pen must not empty it.
 * @param failures that count, the present one included
 */
export function isOneUnprovenCommand(state: State, job: Job, failures: readonly CountedFailure[], machine: Machine): boolean {
  const { template } = commandKey(state, job);
  const provenElsewhere = state.templates.get(job.spec.cmd)?.succeededOn.some((addr) => addr !== machine.addr) === true;
  return !provenElsewhere && failures.every((failure) => failure.command?.template === template);
}

export function isLastOfClass(state: State, machine: Machine): boolean {
  for (const other of state.machines.values()) {
    if (other.slot !== machine.slot && other.class === machine.class && other.health.kind === "ok") return false;
  }
  return true;
}

function hash(text: string): string {
  return Bun.hash(text).toString(36);
}
