/**
 * One offer to a shell as it goes over the pipe: the value, a tab, what it is. Whatever a job, machine or
 * variable is called, neither half does anything to a terminal, and a value that a shell would have to quote
 * with care is not offered at all.
 */
import { printable } from "./printable.ts";

export interface Offer {
  readonly value: string;
  readonly description: string;
}

/** What a shell does about files when no offer fits: the numbers of the directives that many completion scripts know. */
export type Files = "any" | "none" | "directories";
const DIRECTIVES: Readonly<Record<Files, number>> = { any: 0, none: 4, directories: 16 };

const DESCRIPTION_WIDTH_MAX = 72;
/** Ids, names and addresses as they are made here. Brackets (of an IPv6 address) are left to the shell's own quoting. */
const PLAIN_VALUE = /^[A-Za-z0-9_.:@%/+,=[\]-]{1,300}$/;

export function completionLines(offers: readonly Offer[], files: Files): string[] {
  const plain = offers.filter(({ value }) => PLAIN_VALUE.test(value));
  const lines = plain.map(({ value, description }) => (description === "" ? value : `${value}\t${oneLine(description)}`));
  return [...lines, `:${DIRECTIVES[files]}`];
}

/** A live value: it never begins like a flag, a job specification or an expansion. */
export function isOfferable(value: string): boolean {
  return PLAIN_VALUE.test(value) && /^[A-Za-z0-9_[.:@/]/.test(value);
}

function oneLine(text: string): string {
  return Bun.sliceAnsi(printable(text), 0, DESCRIPTION_WIDTH_MAX, "…");
}
