/** The words and flags of a command as light data: citty's definitions, with repeated flags and rest words added. */
import type { BooleanArgDef, PositionalArgDef, StringArgDef } from "citty";

export type ArgumentDefinition =
  | BooleanArgDef
  /** `repeat`: may stand more than once. `many`: takes all words up to the next flag. */
  | (StringArgDef & { readonly repeat?: true; readonly many?: true })
  /** `rest`: takes all words that are left; it stands last. */
  | (PositionalArgDef & { readonly rest?: true });
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
