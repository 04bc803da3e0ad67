/** Why a run did not begin on a machine, as a problem: from what the supervisor, the agent and the machine's system said. */
import { type Problem, problem } from "../../core/problem.ts";
import type { AgentBegun } from "./agent-words.ts";

/** Linux: the longest single string of an environment, its name and `=` included, NUL not. */
const ENVIRONMENT_STRING_BYTES_MAX = 131_071;

export interface PlaceOnMachine {
  readonly machine: string;
  readonly path: string;
}

/** What no machine could take; null: it can be sent. */
export function unsendable(environment: Readonly<Record<string, string>>): Problem | null {
  for (const [name, text] of Object.entries(environment)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return problem("start-failed", { message: `${name} is not the name of a variable` });
    if (text.includes("\0")) return problem("start-failed", { message: `${name} holds a NUL character` });
    if (Buffer.byteLength(text) + name.length + 1 > ENVIRONMENT_STRING_BYTES_MAX) {
      return problem("command-too-long", { message: `${name} is longer than a program can be given` });
    }
  }
  return null;
}

/** Could the run directory not be written? */
export function isDiskRefusal(answer: AgentBegun): boolean {
  return ["refused directory", "refused log"].includes(answer.line);
}

/** `answer` is not that it started. */
export function startRefusal(answer: AgentBegun, place: PlaceOnMachine): Problem {
  if (isDiskRefusal(answer)) return machineDiskProblem({ ...place, message: answer.message });
  switch (answer.line) {
    case "refused workdir":
      return problem("start-failed", { ...place, reason: "work-directory" });
    // tidy-allow switch-default: an open set, of words of the supervisor
    default:
      // Most likely more variables than a program can be given (E2BIG): the supervisor was never executed.
      return problem("start-failed", { ...place, reason: answer.line === "" ? "supervisor-died" : answer.line });
  }
}

export function machineDiskProblem({ machine, path, message }: PlaceOnMachine & { readonly message: string }): Problem {
  const isFull = /no space left|quota exceeded/i.test(message);
  return problem(isFull ? "no-space" : "run-directory-failed", {
    machine,
    path,
    message: message === "" ? "it cannot be written" : message,
  });
}
