/**
 * The two forms of the fault suite. The short one is part of every `npm test`; the long one is started by
 * `npm run test:fault -- --long`. Here it is decided how often something is tried, with which seed, and where the
 * figure goes that the table of docs/reliability.md is made of.
 */
import { appendFileSync } from "node:fs";

export interface Forms {
  readonly short: number;
  readonly long: number;
}

export interface Figure {
  /** As in `count`. */
  readonly name: string;
  /** How often it was truly tried. */
  readonly count: number;
  /** What should be 0: jobs lost, run twice, misjudged, revealed. */
  readonly violations: number;
  /** null: nothing random in it. */
  readonly seed: number | null;
  readonly seconds: number;
  /** Words for the table, e.g. what could not be tried here. */
  readonly note?: string;
}

/**
 * How often `name` is tried. `EXPJOB_FAULT_COUNTS=storm=50,seeds=10` overrides both forms, as a whole: of a long form that
 * runs in pieces (`EXPJOB_FAULT_PIECES`), each takes its share.
 */
export function count(name: string, forms: Forms): number {
  const wanted = (process.env["EXPJOB_FAULT_COUNTS"] ?? "")
    .split(",")
    .map((entry) => entry.split("="))
    .find(([key]) => key === name)?.[1];
  const whole = wanted !== undefined && /^\d+$/.test(wanted) ? Number(wanted) : isLongForm() ? forms.long : forms.short;
  const pieces = Number(process.env["EXPJOB_FAULT_PIECES"] ?? "1");
  return isLongForm() ? Math.ceil(whole / pieces) : whole;
}

export function isLongForm(): boolean {
  return process.env["EXPJOB_FAULT_FORM"] === "long";
}

/** Milliseconds for a test that tries something `count` times, `short` of them on a host that has nothing else to do. */
export function timeoutMs(short: number): number {
  return isLongForm() ? 12 * 3_600_000 : 3 * short;
}

/** The seed of this run; `EXPJOB_TEST_SEED=n` repeats one. */
export function chooseSeed(): number {
  const wanted = process.env["EXPJOB_TEST_SEED"];
  return wanted !== undefined && /^\d+$/.test(wanted) ? Number(wanted) : Date.now() % 2 ** 31;
}

/** Says the figure, and keeps it for the table. */
export function report(figure: Figure): void {
  const { name, violations, seed, seconds } = figure;
  console.log(
    `fault: ${name}: ${figure.count} tried, ${violations} violations${seed === null ? "" : `, seed ${seed}`}, ${seconds.toFixed(1)} s`,
  );
  const file = process.env["EXPJOB_FAULT_REPORT"];
  if (file !== undefined && file !== "") appendFileSync(file, `${JSON.stringify(figure)}\n`);
}

/** Numbers from 0 to below 1, the same for a seed everywhere (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
