/**
 * The words and flags of a command as light data: citty's definitions, with repeated flags and rest words added,
 * and how they are read. No command line is read here: that is parse.ts.
 */
import type { BooleanArgDef, PositionalArgDef, StringArgDef } from "citty";

/** What a shell offers for a value. `jid`: jobs, `last`, matrices and tags. */
export type CompletionSort = "jid" | "matrix" | "tag" | "machine" | "class" | "variable" | "file" | "directory" | "nothing";

interface Completable {
  /** Told apart by the hint or name when it is left out: JID, ADDR, CLASS, FILE, DIR and the like (completion/sorts.ts). */
  readonly completes?: CompletionSort | readonly CompletionSort[];
  /** The words it may be, where they are known. */
  readonly choices?: readonly string[];
}

export type ArgumentDefinition =
  | BooleanArgDef
  /** `repeat`: may stand more than once. `many`: takes all words up to the next flag. `empty`: "" is a value too. */
  | (StringArgDef & Completable & { readonly repeat?: true; readonly many?: true; readonly empty?: true })
  /** `rest`: takes all words that are left; it stands last. */
  | (PositionalArgDef & Completable & { readonly rest?: true });
export type ArgumentsDefinition = Readonly<Record<string, ArgumentDefinition>>;

type ValueOf<D> = D extends { rest: true } | { repeat: true } | { many: true }
  ? readonly string[]
  : D extends { type: "boolean" }
    ? boolean | undefined
    : D extends { default: string }
      ? string
      : D extends { type: "positional"; required: false }
        ? string | undefined
        : D extends { type: "positional" }
          ? string
          : string | undefined;
export type Arguments<A extends ArgumentsDefinition> = { readonly [K in keyof A]: ValueOf<A[K]> };

/** How a positional word is called in help and errors. */
export function wordName(name: string, definition: ArgumentDefinition): string {
  return definition.valueHint ?? name.toUpperCase().replaceAll("-", "_");
}

/** How a flag's value is called in help and errors. */
export function hintOf(definition: ArgumentDefinition): string {
  return definition.valueHint ?? "VALUE";
}

export function aliasesOf(definition: ArgumentDefinition): readonly string[] {
  if (!("alias" in definition) || definition.alias === undefined) return [];
  return typeof definition.alias === "string" ? [definition.alias] : definition.alias;
}

export function isNegatable(definition: ArgumentDefinition | undefined): boolean {
  return definition?.type === "boolean" && definition.default === true;
}

export function isRest(definition: ArgumentDefinition): boolean {
  return "rest" in definition && definition.rest === true;
}

export function isMany(definition: ArgumentDefinition): boolean {
  return "many" in definition && definition.many === true;
}

export function isRepeatable(definition: ArgumentDefinition): boolean {
  return isMany(definition) || ("repeat" in definition && definition.repeat === true);
}

export function mayBeEmpty(definition: ArgumentDefinition): boolean {
  return "empty" in definition && definition.empty === true;
}

export function isFlag(definition: ArgumentDefinition): boolean {
  return definition.type !== "positional";
}

/** The positional words as they are typed: `CLASS CMD [CP_PATH]`. */
export function usageOf(command: { readonly usage?: string; readonly arguments: ArgumentsDefinition }): string {
  if (command.usage !== undefined) return command.usage;
  const words = Object.entries(command.arguments).filter(([, definition]) => !isFlag(definition));
  return words
    .map(([name, definition]) => {
      const word = `${wordName(name, definition)}${isRest(definition) ? "..." : ""}`;
      return definition.required === false ? `[${word}]` : word;
    })
    .join(" ");
}
