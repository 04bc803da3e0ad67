/**
 * How figures are taken: two subjects in turn, many times, in one run, so that what else the machine does hits both
 * alike. Knows nothing of what is measured and prints nothing.
 */
import type { TestBinary } from "../support/binary.ts";

export type Unit = "ms" | "per second" | "MB" | "%";

/** What is to be reached; `ratio` is ours by the peer's. */
export type Target = { readonly kind: "ratio-at-most" | "ratio-at-least" | "at-most"; readonly value: number };

/** One number that a subject yields each time. */
export interface Part {
  readonly what: string;
  readonly unit: Unit;
  readonly target?: Target;
}

/** Something that can be done again and again, and says how long it took or how much it got. */
export interface Subject extends AsyncDisposable {
  readonly name: string;
  /** How it was driven, where its name does not say it: a line under the table. */
  readonly how?: string;
  /** As many numbers as the figure has parts; null where it has nothing to say. */
  once(): Promise<readonly (number | null)[]>;
}

/** A peer that cannot be measured here, and why. */
export interface Absent {
  readonly name: string;
  readonly absent: string;
}

export interface Figure {
  readonly parts: readonly Part[];
  readonly rounds: number;
  /** false: the executable plays no part, so two of them cannot be compared. */
  readonly usesBinary: boolean;
  ours(binary: TestBinary): Promise<Subject>;
  /** A floor or another program. null: there is none. */
  readonly peer: ((binary: TestBinary) => Promise<Subject | Absent>) | null;
}

/** Median, quartiles and number of what was measured. */
export interface Sample {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  readonly count: number;
}

export interface Row {
  readonly bench: string;
  readonly what: string;
  readonly unit: Unit;
  /** null: not measured, because the peer is not here. */
  readonly ours: Sample | null;
  readonly peer: { readonly name: string; readonly how: string | null; readonly sample: Sample } | Absent | null;
  /** Ours by the peer's, of each pair. */
  readonly ratio: Sample | null;
  readonly target: Target | null;
}

export interface Contestants {
  readonly binary: TestBinary;
  /** Takes the place of every peer. */
  readonly against: TestBinary | null;
}

export async function takeFigure(bench: string, figure: Figure, { binary, against }: Contestants): Promise<readonly Row[]> {
  if (against !== null && !figure.usesBinary) return [];
  const makePeer = against === null ? figure.peer : () => figure.ours(against);
  if (makePeer === null) {
    await using alone = await figure.ours(binary);
    return rowsOf(bench, figure, { pairs: await series(alone, figure.rounds), peer: null });
  }
  const made = await makePeer(binary);
  if ("absent" in made) return rowsOf(bench, figure, { pairs: [], peer: made });
  await using peer = made;
  await using ours = await figure.ours(binary);
  const pairs = await inTurn(ours, peer, figure.rounds);
  return rowsOf(bench, figure, { pairs, peer: against === null ? peer : { name: "the other build" } });
}

/** A subject without anything to clean up. */
export function plainSubject(name: string, once: Subject["once"]): Subject {
  return { name, once, [Symbol.asyncDispose]: () => Promise.resolve() };
}

export function summarize(values: readonly number[]): Sample {
  const sorted = [...values].sort((left, right) => left - right);
  return { median: quantile(sorted, 0.5), low: quantile(sorted, 0.25), high: quantile(sorted, 0.75), count: sorted.length };
}

/** @param sorted ascending. @param share from 0 to 1 */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Milliseconds that it took. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const before = performance.now();
  await work();
  return performance.now() - before;
}

type Numbers = readonly (number | null)[];
interface Pair {
  readonly ours: Numbers;
  readonly peer: Numbers | null;
}

/** Who goes first changes each round: the second finds warmer caches. */
async function inTurn(ours: Subject, peer: Subject, rounds: number): Promise<readonly Pair[]> {
  const pairs: Pair[] = [];
  for (let round = 0; round < rounds; round += 1) {
    if (round % 2 === 0) {
      const first = await ours.once();
      pairs.push({ ours: first, peer: await peer.once() });
    } else {
      const first = await peer.once();
      pairs.push({ ours: await ours.once(), peer: first });
    }
  }
  return pairs;
}

async function series(ours: Subject, rounds: number): Promise<readonly Pair[]> {
  const pairs: Pair[] = [];
  for (let round = 0; round < rounds; round += 1) pairs.push({ ours: await ours.once(), peer: null });
  return pairs;
}

interface Taken {
  readonly pairs: readonly Pair[];
  readonly peer: Pick<Subject, "name" | "how"> | Absent | null;
}

function rowsOf(bench: string, figure: Figure, { pairs, peer }: Taken): readonly Row[] {
  return figure.parts.map(({ what, unit, target }, index) => {
    const ours = pairs.flatMap((pair) => pair.ours[index] ?? []);
    const theirs = pairs.flatMap((pair) => pair.peer?.[index] ?? []);
    const ratios = pairs.flatMap((pair) => ratio(pair.ours[index], pair.peer?.[index]) ?? []);
    return {
      bench,
      what,
      unit,
      ours: ours.length === 0 ? null : summarize(ours),
      peer: shownPeer(peer, theirs),
      ratio: ratios.length === 0 ? null : summarize(ratios),
      target: target ?? null,
    };
  });
}

function shownPeer(peer: Taken["peer"], numbers: readonly number[]): Row["peer"] {
  if (peer === null || "absent" in peer) return peer;
  return numbers.length === 0 ? null : { name: peer.name, how: peer.how ?? null, sample: summarize(numbers) };
}

function ratio(ours: number | null | undefined, peer: number | null | undefined): number | null {
  return typeof ours === "number" && typeof peer === "number" && peer > 0 ? ours / peer : null;
}
