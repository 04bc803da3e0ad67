/** The values a job is given: its matrix's own first, then those of `j var`, then the built-in ones. */
import { addressParts } from "./address.ts";
import type { Job } from "./job.ts";
import { cellVariables } from "./matrix.ts";
import { BUILT_IN_NAMES, placeholderNames, type Values } from "./placeholders.ts";
import type { State } from "./state.ts";

export const SECRET_MASK = "********";

/** The variables of a job by name, without secrets and built-in ones. */
export function jobVariables(state: Pick<State, "matrices">, job: Job): Record<string, string> {
  const matrix = job.matrix === null ? undefined : state.matrices.get(job.matrix.id);
  const own = matrix === undefined || job.matrix === null ? {} : cellVariables(matrix, job.matrix.cell);
  return { ...job.spec.variables, ...own };
}

/** @param secret the value of a secret variable, or the mask where it must not be seen; undefined leaves the name as typed. */
export function jobValues(state: Pick<State, "matrices">, job: Job, options: { machine: string | null; secret: Values }): Values {
  const variables = jobVariables(state, job);
  return (name) => {
    if (Object.hasOwn(variables, name)) return variables[name];
    if (job.spec.secrets.includes(name)) return options.secret(name);
    return builtIn(name, job, options.machine);
  };
}

/** The values with every secret masked: for listings, logs and file names. */
export function maskedValues(state: Pick<State, "matrices">, job: Job, machine: string | null): Values {
  return jobValues(state, job, { machine, secret: () => SECRET_MASK });
}

function builtIn(name: string, job: Job, machine: string | null): string | undefined {
  switch (name) {
    case "JID":
      return String(job.jid);
    case "MATRIX":
      return job.matrix === null ? "" : String(job.matrix.id);
    case "ATTEMPT":
      return String(job.attempt);
    case "MACHINE":
      return machine ?? undefined;
    case "HOST":
      return machine === null ? undefined : addressParts(machine).host;
    case "PORT":
      return machine === null ? undefined : addressParts(machine).port;
    case "":
      return undefined;
  }
  return undefined;
}

export interface CapturedVariables {
  readonly variables: Readonly<Record<string, string>>;
  readonly secrets: readonly string[];
  /** Names that nothing defines: left as typed, with a warning. */
  readonly undefinedNames: readonly string[];
}

/** What a new job remembers: only the variables that its templates name. */
export function captureVariables(state: State, templates: readonly string[], matrixNames: readonly string[]): CapturedVariables {
  const variables: Record<string, string> = {};
  const secrets: string[] = [];
  const undefinedNames: string[] = [];
  for (const name of new Set(templates.flatMap(placeholderNames))) {
    if (matrixNames.includes(name)) continue;
    const variable = state.variables.get(name);
    if (variable?.kind === "plain") variables[name] = variable.value;
    else if (variable?.kind === "secret") secrets.push(name);
    else if (!(BUILT_IN_NAMES as readonly string[]).includes(name)) undefinedNames.push(name);
  }
  return { variables, secrets, undefinedNames };
}
