/**
 * Masks the values of secrets in what is about to leave this host, also where a job has printed them itself (C3). Knows
 * every value that a secret variable has had since the server started, and the URLs of the webhooks.
 */
import type { Event } from "../../core/event.ts";
import type { State } from "../../core/state.ts";
import { SECRET_MASK } from "../../core/variables.ts";

/** A shorter value is masked only in what its own job has printed: elsewhere it would blot out ordinary words. */
const ELSEWHERE_MIN = 4;
/** Values remembered of one variable. */
const VALUES_MAX = 100;

export interface KnownSecretsOptions {
  readonly state: () => State;
  readonly secret: (name: string) => string | undefined;
  /** Values without a variable. */
  readonly others: readonly string[];
}

export class KnownSecrets {
  readonly #options: KnownSecretsOptions;
  readonly #values = new Map<string, Set<string>>();
  /** All values, the longest first; null: to be made again. */
  #sorted: readonly string[] | null = null;

  constructor(options: KnownSecretsOptions) {
    this.#options = options;
    for (const variable of options.state().variables.values()) if (variable.kind === "secret") this.#note(variable.name);
  }

  /** A value that is replaced stays known: a job that was given it may print it later. */
  changed(events: readonly Event[]): void {
    for (const event of events) {
      if (event.kind === "variable-set" && event.variable.kind === "secret") this.#note(event.variable.name);
    }
  }

  /** The longest value, characters. */
  get longest(): number {
    return this.#all[0]?.length ?? 0;
  }

  /** For text that people have written: commands, names, variables. */
  mask(text: string): string {
    let masked = text;
    for (const value of this.#all) {
      if (value.length < ELSEWHERE_MIN) break;
      if (masked.includes(value)) masked = masked.replaceAll(value, SECRET_MASK);
    }
    return masked;
  }

  /** For text that a job has printed, which was given these secrets. */
  maskPrinted(text: string, names: readonly string[]): string {
    const own = names.flatMap((name) => [...(this.#values.get(name) ?? [])]).flatMap(pieces);
    let masked = text;
    for (const value of own.sort(longestFirst)) masked = masked.replaceAll(value, SECRET_MASK);
    return this.mask(masked);
  }

  get #all(): readonly string[] {
    this.#sorted ??= [
      ...new Set(
        [...this.#values.values()]
          .flatMap((values) => [...values])
          .concat(this.#options.others)
          .flatMap(pieces),
      ),
    ].sort(longestFirst);
    return this.#sorted;
  }

  #note(name: string): void {
    const value = this.#options.secret(name);
    if (value === undefined || value === "") return;
    const values = this.#values.get(name) ?? new Set();
    values.add(value);
    const oldest = values.size > VALUES_MAX ? values.values().next().value : undefined;
    if (oldest !== undefined) values.delete(oldest);
    this.#values.set(name, values);
    this.#sorted = null;
  }
}

/** A value of several lines is printed as lines: each of them is as secret as the whole. */
function pieces(value: string): string[] {
  const lines = value.split(/[\r\n]+/).filter((line) => line.trim() !== "");
  return lines.length > 1 ? [value, ...lines] : [value.trim() === "" ? value : value.trim()].concat(value.trim() === value ? [] : [value]);
}

function longestFirst(a: string, b: string): number {
  return b.length - a.length;
}
