/**
 * The strict reading of a command line: finds the command, checks every flag and word against its definition,
 * and refuses what it does not know with the nearest names it does. citty would ignore unknown flags, keep only
 * the last of repeated ones and take flags after `--`; here nothing is ignored.
 */

import { nearest } from "../config/nearest.ts";
import {
  type ArgumentDefinition,
  type ArgumentsDefinition,
  aliasesOf,
  hintOf,
  isFlag,
  isMany,
  isNegatable,
  isRepeatable,
  isRest,
  mayBeEmpty,
  usageOf,
  wordName,
} from "./argument.ts";
import { calledName, type Group, type Leaf } from "./command.ts";
import { UsageError } from "./failure.ts";
import { GLOBAL_FLAGS, type GlobalFlags } from "./global-flags.ts";
import { unknownCommand } from "./unknown-command.ts";

export type Parsed =
  | { readonly kind: "version" }
  | { readonly kind: "help"; readonly path: readonly string[]; readonly command: Leaf | Group; readonly wanted: boolean }
  | ParsedCall;

export interface ParsedCall {
  readonly kind: "call";
  readonly path: readonly string[];
  readonly command: Leaf;
  readonly globals: GlobalFlags;
  /** Values by the flag's full name, in the order in which the flags stand: none is a boolean that was given. */
  readonly flags: ReadonlyMap<string, readonly string[]>;
  readonly words: readonly string[];
}

/** @throws UsageError */
export async function parseCommandLine(root: Group, argv: readonly string[]): Promise<Parsed> {
  const reader = new Reader(root, argv);
  try {
    return await reader.read();
  } catch (error) {
    // Who asks for help gets it, whatever else is wrong.
    if (error instanceof UsageError && asksForHelp(argv)) return { kind: "help", path: reader.path, command: reader.command, wanted: true };
    throw error;
  }
}

/** Where the values of globals end up when the command line itself could not be read. */
export function wantsJson(argv: readonly string[]): boolean {
  return beforeDashes(argv).includes("--json");
}

class Reader {
  command: Leaf | Group;
  readonly path: string[] = [];
  readonly #flags = new Map<string, string[]>();
  readonly #words: string[] = [];
  readonly #rest: string[];
  #leafDefinitions: ArgumentsDefinition | null = null;

  constructor(root: Group, argv: readonly string[]) {
    this.command = root;
    this.#rest = [...argv];
  }

  async read(): Promise<Parsed> {
    let flagsEnded = false;
    for (let word = this.#rest.shift(); word !== undefined; word = this.#rest.shift()) {
      if (flagsEnded) await this.#takeWord(word);
      else if (word === "--") flagsEnded = true;
      else if (word.startsWith("--")) this.#takeLong(word);
      else if (word.startsWith("-") && word !== "-") this.#takeShort(word);
      else await this.#takeWord(word);
    }
    const { command, path } = this;
    if (this.#flags.has("version")) return { kind: "version" };
    if (this.#flags.has("help")) return { kind: "help", path, command, wanted: true };
    if (command.kind === "group") return { kind: "help", path, command, wanted: false };
    const words = checkedWords(command, this.#words, this.path);
    return { kind: "call", path, command, globals: globalsFrom(this.#flags), flags: this.#flags, words };
  }

  async #takeWord(word: string): Promise<void> {
    const { command } = this;
    if (command.kind === "leaf") {
      this.#words.push(word);
      return;
    }
    if (word === "help") {
      this.#flags.set("help", []);
      return;
    }
    const entry = command.commands.find((candidate) => candidate.name === word || candidate.alias === word);
    if (entry === undefined) throw await unknownCommand(word, command, this.path);
    this.command = await entry.load();
    if (this.command.kind === "leaf") this.#leafDefinitions = { ...GLOBAL_FLAGS, ...this.command.arguments };
    this.path.push(entry.name);
  }

  #takeLong(word: string): void {
    const equals = word.indexOf("=");
    const typed = equals < 0 ? word : word.slice(0, equals);
    const attached = equals < 0 ? undefined : word.slice(equals + 1);
    const name = typed.slice(2).replaceAll("_", "-");
    const positive = name.startsWith("no-") ? name.slice(3) : "";
    const negated = this.#definition(name) === undefined && isNegatable(this.#definition(positive));
    const definition = this.#definition(negated ? positive : name);
    if (definition === undefined) throw this.#unknownFlag(typed);
    if (definition.type === "boolean") {
      if (attached !== undefined) throw new UsageError(`${typed} takes no value.`, `Leave out "=${attached}".`);
      this.#flags.set(negated ? positive : name, negated ? ["false"] : []);
    } else this.#takeValue({ name, typed, definition, attached });
  }

  /** `-a`, `-ar` (both without values), `-n5`, `-n 5`, `-n=5`. */
  #takeShort(word: string): void {
    for (let index = 1; index < word.length; index++) {
      const letter = word[index] ?? "";
      const typed = `-${letter}`;
      const found = Object.entries(this.#definitions()).find(([, candidate]) => isFlag(candidate) && aliasesOf(candidate).includes(letter));
      if (found === undefined) throw this.#unknownFlag(word.length === 2 ? word : `${typed}" in "${word}`);
      const [name, definition] = found;
      if (definition.type === "boolean") {
        this.#flags.set(name, []);
        continue;
      }
      const attached = index + 1 < word.length ? word.slice(index + 1).replace(/^=/, "") : undefined;
      this.#takeValue({ name, typed, definition, attached });
      return;
    }
  }

  #takeValue(flag: { name: string; typed: string; definition: ArgumentDefinition; attached: string | undefined }): void {
    const { name, typed, definition, attached } = flag;
    const values = this.#flags.get(name) ?? [];
    if (isMany(definition)) {
      const taken = attached === undefined ? [] : [attached];
      while (this.#rest[0] !== undefined && !isFlagLike(this.#rest[0])) taken.push(this.#rest.shift() ?? "");
      if (taken.length === 0) throw new UsageError(`${typed} needs at least one value.`, `Write ${typed} ${hintOf(definition)}.`);
      this.#flags.set(name, [...values, ...taken]);
      return;
    }
    const value = attached ?? this.#nextValue(typed, definition);
    if (value === "" && !mayBeEmpty(definition))
      throw new UsageError(`${typed} needs a value, but it is empty.`, `Write ${typed} ${hintOf(definition)}.`);
    if (values.length > 0 && !isRepeatable(definition)) {
      throw new UsageError(
        `${typed} stands more than once.`,
        `Give it once: it was ${JSON.stringify(values[0])} and ${JSON.stringify(value)}.`,
      );
    }
    this.#flags.set(name, [...values, value]);
  }

  #nextValue(typed: string, definition: ArgumentDefinition): string {
    const next = this.#rest[0];
    if (next === undefined || next === "--") throw new UsageError(`${typed} needs a value.`, `Write ${typed} ${hintOf(definition)}.`);
    if (this.#isKnownFlag(next)) {
      throw new UsageError(`${typed} needs a value, but the flag ${next} follows.`, `If that is the value, write ${typed}=${next}.`);
    }
    return this.#rest.shift() ?? "";
  }

  #isKnownFlag(word: string): boolean {
    if (word.startsWith("--")) {
      const name = word.slice(2).split("=")[0]?.replaceAll("_", "-") ?? "";
      return this.#definition(name) !== undefined;
    }
    return (
      /^-[A-Za-z]$/.test(word) && Object.values(this.#definitions()).some((each) => isFlag(each) && aliasesOf(each).includes(word.slice(1)))
    );
  }

  #definitions(): ArgumentsDefinition {
    return this.#leafDefinitions ?? GLOBAL_FLAGS;
  }

  #definition(name: string): ArgumentDefinition | undefined {
    const definitions = this.#definitions();
    const definition = Object.hasOwn(definitions, name) ? definitions[name] : undefined;
    return definition !== undefined && isFlag(definition) ? definition : undefined;
  }

  #unknownFlag(typed: string): UsageError {
    const names = Object.entries(this.#definitions())
      .filter(([, definition]) => isFlag(definition))
      .map(([name, definition]) => (isNegatable(definition) ? `--no-${name}` : `--${name}`));
    const close = nearest(typed.replaceAll("_", "-"), names);
    const place = calledName(this.command, this.path);
    // As in `head -5`.
    if (/^-\d+$/.test(typed) && this.#definition("limit") !== undefined) close.unshift(`-n ${typed.slice(1)}`);
    const hint =
      close.length > 0
        ? `Did you mean ${close.join(" or ")}?`
        : `\`${place} --help\` lists its flags; a word that begins with a hyphen goes after "--".`;
    return new UsageError(`There is no flag "${typed}" for \`${place}\`.`, hint);
  }
}

function checkedWords(command: Leaf, words: readonly string[], path: readonly string[]): readonly string[] {
  const expected = Object.entries(command.arguments).filter(([, definition]) => definition.type === "positional");
  const called = calledName(command, path);
  const place = (): string => `Write ${called} ${usageOf(command)}; \`${called} --help\` tells more.`;
  for (const [index, [word, definition]] of expected.entries()) {
    const optional = definition.required === false || definition.default !== undefined;
    if (words[index] === undefined && !optional)
      throw new UsageError(
        `\`${called}\` needs ${wordName(word, definition)}`.replace(/\.*$/, (dots) => dots || "."),
        place(),
      );
  }
  const takesRest = expected.some(([, definition]) => isRest(definition));
  const extra = words[expected.length];
  if (!takesRest && extra !== undefined) {
    const hint =
      expected.length === 0 ? `It takes flags only: \`${called} --help\` lists them.` : `${place()} Words with spaces need quotes.`;
    throw new UsageError(`\`${called}\` does not take another word: ${JSON.stringify(extra)}.`, hint);
  }
  return words;
}

function isFlagLike(word: string): boolean {
  return word.startsWith("-") && word !== "-";
}

function beforeDashes(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf("--");
  return end < 0 ? argv : argv.slice(0, end);
}

function asksForHelp(argv: readonly string[]): boolean {
  return beforeDashes(argv).some((word) => word === "--help" || word === "-h");
}

function globalsFrom(flags: ReadonlyMap<string, readonly string[]>): GlobalFlags {
  return {
    address: flags.get("address")?.[0],
    stateDir: flags.get("state-dir")?.[0],
    config: flags.get("config")?.[0],
    json: flags.has("json"),
    quiet: flags.has("quiet"),
    colour: flags.get("color")?.[0] !== "false",
  };
}
