/** What is offered at a place of the command line: names of commands and flags from their definitions, the rest as the server told. */
import type { CompletionKind, WireCompletion } from "../../protocol/methods/completion.ts";
import { type Files, isOfferable, type Offer } from "../../terminal/completion-line.ts";
import {
  type ArgumentDefinition,
  type ArgumentsDefinition,
  aliasesOf,
  type CompletionSort,
  isFlag,
  isNegatable,
  isRepeatable,
} from "../argument.ts";
import type { Group } from "../command.ts";
import type { Position } from "./position.ts";
import { choicesOf, sortsOf } from "./sorts.ts";

export interface Offers {
  readonly offers: readonly Offer[];
  readonly files: Files;
}

/** Asks the server, and only when a live value may stand there. */
export type AskForLive = (kinds: readonly CompletionKind[]) => Promise<WireCompletion | null>;

/** @param current the word at the cursor */
export async function offersAt(position: Position, current: string, askForLive: AskForLive): Promise<Offers> {
  const { place } = position;
  switch (place.kind) {
    case "path":
      return { offers: [], files: "any" };
    case "command":
      return { offers: commandOffers(place.group), files: "none" };
    case "flag":
      return { offers: flagOffers(place.definitions, position.flags, current), files: "none" };
    case "nowhere":
      return { offers: current === "" ? flagOffers(position.definitions, position.flags, "--") : [], files: "none" };
    case "value": {
      const { offers, files } = await valueOffers(place, current.slice(place.before.length), askForLive);
      const left = offers.filter(({ value }) => !position.beside.includes(value));
      return { offers: left.map((offer) => ({ ...offer, value: `${place.before}${offer.value}` })), files };
    }
  }
}

function commandOffers(group: Group): Offer[] {
  return group.commands.map(({ name, summary }) => ({ value: name, description: summary }));
}

/** With one hyphen the short ones too. What may stand once and does is left out. */
function flagOffers(definitions: ArgumentsDefinition, given: Position["flags"], current: string): Offer[] {
  return Object.entries(definitions).flatMap(([name, definition]) => {
    if (!isFlag(definition) || (given.has(name) && !isRepeatable(definition))) return [];
    const description = definition.description ?? "";
    const hyphened = isNegatable(definition) ? `--no-${name}` : `--${name}`;
    const long = { value: current.includes("_") ? `--${hyphened.slice(2).replaceAll("-", "_")}` : hyphened, description };
    const short = current === "-" ? aliasesOf(definition).filter((alias) => alias.length === 1) : [];
    return [long, ...short.map((alias) => ({ value: `-${alias}`, description }))];
  });
}

const KINDS: Readonly<Record<CompletionSort, readonly CompletionKind[]>> = {
  jid: ["jobs", "matrices", "tags"],
  matrix: ["matrices"],
  tag: ["tags"],
  machine: ["machines"],
  class: ["classes"],
  variable: ["variables"],
  file: [],
  directory: [],
  nothing: [],
};

async function valueOffers(
  { name, definition }: { readonly name: string; readonly definition: ArgumentDefinition },
  typed: string,
  askForLive: AskForLive,
): Promise<Offers> {
  const sorts = sortsOf(name, definition);
  const files: Files = sorts.includes("file") ? "any" : sorts.includes("directory") ? "directories" : "none";
  const known = [...choicesOf(definition).map((value) => ({ value, description: "" }))];
  if (sorts.includes("jid")) known.push({ value: "last", description: "the job with the highest id" });
  const kinds = [...new Set(sorts.flatMap((sort) => KINDS[sort]))];
  if (kinds.length === 0) return { offers: known, files };
  const live = await askForLive(kinds);
  const offers = live === null ? [] : liveOffers(live).filter(({ value }) => isOfferable(value));
  const ranges = sorts.includes("jid") && live !== null ? rangeOffers(live.jobs, typed) : [];
  return { offers: [...known, ...ranges, ...offers], files };
}

function liveOffers(live: WireCompletion): Offer[] {
  const ids = [
    ...live.jobs.map(({ jid, status, command }) => ({ id: jid, description: `${status}  ${command}` })),
    ...live.matrices.map((matrix) => ({ id: matrix.id, description: `matrix in ${matrix.class}  ${matrix.command}` })),
    ...live.tags.map(({ id }) => ({ id, description: "tag" })),
  ];
  return [
    ...ids.sort((a, b) => b.id - a.id).map(({ id, description }) => ({ value: String(id), description })),
    ...live.machines.map((machine) => ({ value: machine.addr, description: `machine, ${machine.state}, class ${machine.class}` })),
    ...live.classes.map(({ name, machines }) => ({ value: name, description: `class of ${machineCount(machines)}` })),
    ...live.variables.map(({ name, secret }) => ({ value: name, description: secret ? "secret variable" : "variable" })),
  ];
}

/** `5-` and what may come after it. */
function rangeOffers(jobs: WireCompletion["jobs"], typed: string): Offer[] {
  const first = /^(\d{1,10})-\d*$/.exec(typed)?.[1];
  if (first === undefined) return [];
  const later = jobs.filter(({ jid }) => jid > Number(first));
  return later.map(({ jid, status, command }) => ({ value: `${first}-${jid}`, description: `up to: ${status}  ${command}` }));
}

function machineCount(count: number): string {
  return count === 0 ? "no machine" : count === 1 ? "1 machine" : `${count} machines`;
}
