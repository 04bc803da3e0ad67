/** What a shell may offer: a bounded look at what is in memory and at the newest history, for somebody who has pressed TAB. */
import type { Job } from "../../core/job.ts";
import { NO_CLASS } from "../../core/machine.ts";
import type { State } from "../../core/state.ts";
import { COMPLETION_COMMAND_MAX, COMPLETIONS_MAX, type CompletionKind, type WireCompletion } from "../../protocol/methods/completion.ts";
import type { JobBook } from "../job-book.ts";
import type { Handlers } from "../server/handler.ts";
import { jobView } from "../views/job.ts";
import { runningJobs } from "../views/job-list.ts";
import { machineView } from "../views/machine.ts";
import type { Services } from "./services.ts";

/** Ids looked at from the highest down: many may be forgotten. */
const IDS_SEEN_MAX = 1_000;

export function completionHandlers({ engine, book, now }: Services): Pick<Handlers, "completion.list"> {
  return {
    "completion.list": async ({ kinds }) => {
      const { state } = engine;
      const asked = new Set<CompletionKind>(kinds);
      return {
        jobs: asked.has("jobs") ? (await newestJobs(book)).map((job) => jobOffer(state, job, now())) : [],
        matrices: asked.has("matrices") ? newest(state.matrices.values()).map(matrixOffer) : [],
        tags: asked.has("tags") ? newest(state.tags.values()).map(({ id }) => ({ id })) : [],
        machines: asked.has("machines") ? machineOffers(state) : [],
        classes: asked.has("classes") ? classOffers(state) : [],
        variables: asked.has("variables") ? variableOffers(state) : [],
      };
    },
  };
}

/** Those that run, whatever their age, and the newest; descending. */
async function newestJobs(book: JobBook): Promise<readonly Job[]> {
  const { state } = book;
  const ids: number[] = [];
  for (let id = state.nextId - 1; id >= Math.max(0, state.nextId - IDS_SEEN_MAX); id--) {
    if (!state.matrices.has(id) && !state.tags.has(id)) ids.push(id);
  }
  const jobs = new Map(runningJobs(book).map((job) => [job.jid, job]));
  // What is in memory costs nothing; history is read only for what is missing of a full list.
  for (const id of ids) {
    const job = state.jobs.get(id);
    if (job !== undefined && jobs.size < COMPLETIONS_MAX) jobs.set(id, job);
  }
  if (jobs.size < COMPLETIONS_MAX) {
    const past = ids.filter((id) => !jobs.has(id)).slice(0, COMPLETIONS_MAX - jobs.size);
    for (const [id, job] of await book.get(past)) jobs.set(id, job);
  }
  return [...jobs.values()].sort((a, b) => b.jid - a.jid).slice(0, COMPLETIONS_MAX);
}

function jobOffer(state: State, job: Job, now: number): WireCompletion["jobs"][number] {
  const { jid, status, command_line: command } = jobView(state, job, now);
  return { jid, status, command: beginning(command) };
}

function matrixOffer(matrix: { readonly id: number; readonly class: string; readonly cmd: string }): WireCompletion["matrices"][number] {
  return { id: matrix.id, class: matrix.class, command: beginning(matrix.cmd) };
}

function machineOffers(state: State): WireCompletion["machines"] {
  const machines = [...state.machines.values()].slice(0, COMPLETIONS_MAX).map(machineView);
  return machines.map(({ addr, class: className, state: machineState }) => ({ addr, class: className, state: machineState }));
}

/** Those with machines, and those that jobs wait for. */
function classOffers(state: State): WireCompletion["classes"] {
  const counts = new Map<string, number>();
  for (const machine of state.machines.values())
    if (machine.class !== NO_CLASS) counts.set(machine.class, (counts.get(machine.class) ?? 0) + 1);
  for (const [name, waiting] of state.ready) if (waiting.size > 0 && !counts.has(name)) counts.set(name, 0);
  const names = [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).slice(0, COMPLETIONS_MAX);
  return names.map(([name, machines]) => ({ name, machines }));
}

function variableOffers(state: State): WireCompletion["variables"] {
  const variables = [...state.variables.values()].sort((a, b) => (a.name < b.name ? -1 : 1)).slice(0, COMPLETIONS_MAX);
  return variables.map(({ name, kind }) => ({ name, secret: kind === "secret" }));
}

/** The highest ids first. */
function newest<Item>(ascending: Iterable<Item>): Item[] {
  return [...ascending].slice(-COMPLETIONS_MAX).reverse();
}

/** Whole characters: half of one is not text. */
function beginning(text: string): string {
  return Array.from(text.slice(0, 2 * COMPLETION_COMMAND_MAX))
    .slice(0, COMPLETION_COMMAND_MAX)
    .join("");
}
