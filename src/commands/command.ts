/**
 * What a command is: its words and flags as light data (for parsing, help and completions), and a module that
 * is loaded only when it runs.
 */
import type { Arguments, ArgumentsDefinition } from "./argument.ts";
import type { Context } from "./context.ts";

/** Sends, prints and answers with the exit code. */
export type Run<A extends ArgumentsDefinition> = (args: Arguments<A>, context: Context) => Promise<number>;

export interface Leaf {
  readonly kind: "leaf";
  readonly name: string;
  readonly summary: string;
  /** How the positional words are written in help, when their names alone do not say it. */
  readonly usage?: string;
  readonly details?: string;
  /** The name it is called by in help: j unless told otherwise. */
  readonly program?: "expjobserver";
  readonly example: string;
  readonly arguments: ArgumentsDefinition;
  readonly run: (args: Readonly<Record<string, unknown>>, context: Context) => Promise<number>;
}

export interface Group {
  readonly kind: "group";
  readonly name: string;
  readonly summary: string;
  readonly example: string;
  readonly commands: readonly Entry[];
}

/** A line of a group's help; the command behind it is loaded when it is named. */
export interface Entry {
  readonly name: string;
  readonly alias?: string;
  readonly summary: string;
  readonly load: () => Promise<Leaf | Group>;
}

export interface LeafDefinition<A extends ArgumentsDefinition> extends Omit<Leaf, "kind" | "run" | "arguments"> {
  readonly arguments: A;
  readonly load: () => Promise<{ readonly run: Run<A> }>;
}

/** One place where the types of a command's arguments are tied to its definition. */
export function leaf<const A extends ArgumentsDefinition>(definition: LeafDefinition<A>): Leaf {
  const { load, ...rest } = definition;
  return {
    ...rest,
    kind: "leaf",
    run: async (args, context) => (await load()).run(args as Arguments<A>, context),
  };
}

/** `expjobserver serve`, `j job ls`: how help and errors write it. */
export function calledName(command: Leaf | Group, path: readonly string[]): string {
  const program = (command.kind === "leaf" ? command.program : undefined) ?? "j";
  return [program, ...path].join(" ");
}

/** For a leaf that is at hand already. */
export function entryOf(command: Leaf | Group, alias?: string): Entry {
  const entry = { name: command.name, summary: command.summary, load: () => Promise.resolve(command) };
  return alias === undefined ? entry : { ...entry, alias };
}
