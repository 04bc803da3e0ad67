/** What a value is, for a shell that completes it: said by its definition, else told from how help calls it. */
import { type ArgumentDefinition, type CompletionSort, hintOf, isFlag, wordName } from "../argument.ts";

/** By the name in help. What is not here is completed with nothing unless its definition says more. */
const BY_HINT: Readonly<Record<string, CompletionSort | readonly CompletionSort[]>> = {
  JID: "jid",
  ADDR: "machine",
  MACHINE: "machine",
  "ADDR... CLASS": ["machine", "class"],
  CLASS: "class",
  NEW_CLASS: "class",
  TAG: "tag",
  FILE: "file",
  PATH: "file",
  PROG: "file",
  DIR: "directory",
  OUTDIR: "directory",
  CP_PATH: "directory",
  TO: "directory",
};

export function sortsOf(name: string, definition: ArgumentDefinition): readonly CompletionSort[] {
  const told = "completes" in definition ? definition.completes : undefined;
  const hint = isFlag(definition) ? hintOf(definition) : wordName(name, definition);
  const sorts = told ?? (Object.hasOwn(BY_HINT, hint) ? BY_HINT[hint] : undefined) ?? [];
  return typeof sorts === "string" ? [sorts] : sorts;
}

export function choicesOf(definition: ArgumentDefinition): readonly string[] {
  return ("choices" in definition ? definition.choices : undefined) ?? [];
}
