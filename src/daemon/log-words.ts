/** What the daemon's log says of problems and faults. Words for people are the client's. */
import type { Problem } from "../core/problem.ts";

/** The code and its data. */
export function describe(problem: Problem): string {
  const data = Object.entries(problem.data).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return [problem.code, ...data].join(" ");
}

/** A defect, with the way to it. */
export function faultOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/**
 * One line of the log: names of machines and what they said may hold anything, and the log is read on terminals.
 * Controls, line separators, and what is invisible or turns the direction of text become a blank.
 */
export function asLine(text: string): string {
  return text.toWellFormed().replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ");
}
