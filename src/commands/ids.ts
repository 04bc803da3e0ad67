/** Ids as typed: a number, `last`, or a range `5-9`. The server resolves them. */
import type { Selector } from "../protocol/selector.ts";
import { UsageError } from "./failure.ts";

const ID_MAX = 2 ** 30 - 1;

/** @throws UsageError that names the word */
export function parseIds(words: readonly string[]): Selector[] {
  return words.map(parseSelector);
}

/** One number: a matrix or a tag. @throws UsageError */
export function parseId(word: string, what: string): number {
  const id = Number(word);
  if (/^\d+$/.test(word) && id <= ID_MAX) return id;
  throw new UsageError(`${JSON.stringify(word)} is no id of a ${what}.`, "Ids are numbers: `j job ls` shows them.");
}

function parseSelector(word: string): Selector {
  if (word === "last") return { kind: "last" };
  const match = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(word);
  const first = Number(match?.[1]);
  const last = match?.[2] === undefined ? first : Number(match[2]);
  if (match === null || first > ID_MAX || last > ID_MAX) {
    throw new UsageError(`${JSON.stringify(word)} is no job id.`, 'An id is a number, "last", or a range as in 5-9.');
  }
  if (match[2] === undefined) return { kind: "id", id: first };
  if (first > last) throw new UsageError(`The range ${word} runs backwards.`, `Write ${last}-${first}.`);
  return { kind: "range", first, last };
}
