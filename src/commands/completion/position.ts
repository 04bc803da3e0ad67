/**
 * Where the cursor stands in a command line that is still being typed: at a command's name, a flag, a flag's
 * value or a word. Reads by the same definitions as parse.ts, and refuses nothing: what is unknown is passed over.
 */
import { type ArgumentDefinition, type ArgumentsDefinition, aliasesOf, isFlag, isMany, isNegatable, isRest } from "../argument.ts";
import type { Group, Leaf } from "../command.ts";
import { GLOBAL_FLAGS } from "../global-flags.ts";

export type Place =
  | { readonly kind: "command"; readonly group: Group }
  | { readonly kind: "flag"; readonly definitions: ArgumentsDefinition }
  /** `before`: what of the word at the cursor is not the value, as in `--class=`. */
  | { readonly kind: "value"; readonly name: string; readonly definition: ArgumentDefinition; readonly before: string }
  /** The old call of the server: its words are paths. */
  | { readonly kind: "path" }
  /** After an unknown command, or a word too many. */
  | { readonly kind: "nowhere" };

export interface Position {
  readonly place: Place;
  /** Flags by their full names, with their values. */
  readonly flags: ReadonlyMap<string, readonly string[]>;
  /** Values that stand there already for what the cursor is at: not offered twice. */
  readonly beside: readonly string[];
  /** With nothing else to offer, the flags are. */
  readonly definitions: ArgumentsDefinition;
}

/** @param words without the program and without `current` */
export async function findPosition(root: Group, words: readonly string[], current: string): Promise<Position> {
  const finder = new Finder(root);
  for (const word of words) await finder.take(word);
  return finder.at(current);
}

interface OpenFlag {
  readonly name: string;
  readonly definition: ArgumentDefinition;
}

class Finder {
  #command: Leaf | Group | null;
  #open: OpenFlag | null = null;
  #flagsEnded = false;
  #isOldCall = false;
  readonly #flags = new Map<string, string[]>();
  readonly #words: string[] = [];

  constructor(private readonly root: Group) {
    this.#command = root;
  }

  async take(word: string): Promise<void> {
    if (this.#takeValue(word)) return;
    if (!this.#flagsEnded && word === "--") this.#flagsEnded = true;
    else if (!this.#flagsEnded && word.startsWith("--")) this.#takeLong(word);
    else if (!this.#flagsEnded && word.startsWith("-") && word !== "-") this.#takeShort(word);
    else await this.#takeWord(word);
  }

  at(current: string): Position {
    return { place: this.#place(current), flags: this.#flags, beside: this.#beside(), definitions: this.#definitions() };
  }

  #place(current: string): Place {
    const open = this.#open;
    const flagLike = current.startsWith("-") && current !== "";
    if (open !== null && !(flagLike && (isMany(open.definition) || this.#isFlag(current)))) return { kind: "value", ...open, before: "" };
    if (!this.#flagsEnded && flagLike) return this.#flagPlace(current);
    const command = this.#command;
    if (this.#isOldCall || (command === this.root && current.includes("/"))) return { kind: "path" };
    if (command === null) return { kind: "nowhere" };
    if (command.kind === "group") return { kind: "command", group: command };
    const expected = expectedWord(command, this.#words.length);
    return expected === null ? { kind: "nowhere" } : { kind: "value", ...expected, before: "" };
  }

  #flagPlace(current: string): Place {
    const equals = current.indexOf("=");
    if (equals < 0) return { kind: "flag", definitions: this.#definitions() };
    const found = this.#long(current.slice(0, equals));
    if (found === null || found.definition.type === "boolean") return { kind: "nowhere" };
    return { kind: "value", ...found, before: current.slice(0, equals + 1) };
  }

  #beside(): readonly string[] {
    return this.#open === null ? this.#words : (this.#flags.get(this.#open.name) ?? []);
  }

  /** @returns true when the word belongs to the flag before it */
  #takeValue(word: string): boolean {
    const open = this.#open;
    if (open === null) return false;
    const many = isMany(open.definition);
    if (word === "--" || (many ? word.startsWith("-") && word !== "-" : this.#isFlag(word))) {
      this.#open = null;
      return false;
    }
    this.#add(open.name, word);
    if (!many) this.#open = null;
    return true;
  }

  #takeLong(word: string): void {
    const equals = word.indexOf("=");
    const found = this.#long(equals < 0 ? word : word.slice(0, equals));
    if (found === null) return;
    const { name, definition } = found;
    if (!this.#flags.has(name)) this.#flags.set(name, []);
    if (equals >= 0) this.#add(name, word.slice(equals + 1));
    if (definition.type !== "boolean" && (equals < 0 || isMany(definition))) this.#open = found;
  }

  #takeShort(word: string): void {
    for (let index = 1; index < word.length; index++) {
      const found = this.#short(word.charAt(index));
      if (found === null) return;
      if (!this.#flags.has(found.name)) this.#flags.set(found.name, []);
      if (found.definition.type === "boolean") continue;
      const attached = word.slice(index + 1).replace(/^=/, "");
      if (attached !== "") this.#add(found.name, attached);
      if (attached === "" || isMany(found.definition)) this.#open = found;
      return;
    }
  }

  async #takeWord(word: string): Promise<void> {
    const command = this.#command;
    if (command === this.root && word.includes("/")) this.#isOldCall = true;
    if (command === null || command.kind === "leaf") {
      this.#words.push(word);
      return;
    }
    const entry = command.commands.find((candidate) => candidate.name === word || candidate.alias === word);
    this.#command = entry === undefined || this.#isOldCall ? null : await entry.load();
  }

  #add(name: string, value: string): void {
    this.#flags.set(name, [...(this.#flags.get(name) ?? []), value]);
  }

  #isFlag(word: string): boolean {
    if (word.startsWith("--")) return this.#long(word.split("=")[0] ?? "") !== null;
    return /^-[A-Za-z]$/.test(word) && this.#short(word.charAt(1)) !== null;
  }

  #long(typed: string): OpenFlag | null {
    const definitions = this.#definitions();
    const name = typed.slice(2).replaceAll("_", "-");
    const positive = name.replace(/^no-/, "");
    for (const candidate of [name, positive]) {
      const definition = Object.hasOwn(definitions, candidate) ? definitions[candidate] : undefined;
      if (definition === undefined || !isFlag(definition)) continue;
      if (candidate === name || isNegatable(definition)) return { name: candidate, definition };
    }
    return null;
  }

  #short(letter: string): OpenFlag | null {
    const found = Object.entries(this.#definitions()).find(([, each]) => isFlag(each) && aliasesOf(each).includes(letter));
    return found === undefined ? null : { name: found[0], definition: found[1] };
  }

  #definitions(): ArgumentsDefinition {
    return this.#command?.kind === "leaf" ? { ...this.#command.arguments, ...withoutThose(this.#command.arguments) } : GLOBAL_FLAGS;
  }
}

/** The command's own stand first, and hide global ones of the same name. */
function withoutThose(own: ArgumentsDefinition): ArgumentsDefinition {
  return Object.fromEntries(Object.entries(GLOBAL_FLAGS).filter(([name]) => !Object.hasOwn(own, name)));
}

function expectedWord(command: Leaf, index: number): OpenFlag | null {
  const expected = Object.entries(command.arguments).filter(([, definition]) => !isFlag(definition));
  const last = expected.at(-1);
  const found = expected[index] ?? (last !== undefined && isRest(last[1]) ? last : undefined);
  return found === undefined ? null : { name: found[0], definition: found[1] };
}
