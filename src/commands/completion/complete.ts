/**
 * `complete`: what the scripts of `completions` call when TAB is pressed. It starts nothing, writes nothing but
 * its offers, ends with 0 whatever is wrong, and looks at what was typed without carrying anything of it out.
 *
 * How it is called is between us and our scripts: `complete [--quoting HOW] [--line TEXT] -- WORD...`.
 * `posix` and `fish`: the words together are the text of the command up to the cursor, as typed. `none`: they are
 * words already, the last one at the cursor; `base64`: the same, each encoded, for a shell that loses empty ones.
 * The answer: `value`, a tab, what it is, one a line; at the end `:` and what to do about files (completion-line.ts).
 */
import type { Surroundings } from "../../config/client-options.ts";
import { completionLines } from "../../terminal/completion-line.ts";
import type { Group } from "../command.ts";
import { createOutput } from "../output.ts";
import { offersAt } from "./offers.ts";
import { findPosition, type Position } from "./position.ts";
import { readTypedCommand, type TypedCommand } from "./typed-text.ts";

/** @returns the exit code */
export async function printCompletions(root: Group, argv: readonly string[], surroundings: Surroundings): Promise<number> {
  try {
    await print(root, argv, surroundings);
  } catch {
    // Whatever it is, somebody who pressed TAB is typing: the command itself says it when it is called.
  }
  return 0;
}

async function print(root: Group, argv: readonly string[], surroundings: Surroundings): Promise<void> {
  const typed = typedCommand(argv, surroundings.environment);
  const position = await findPosition(root, typed.words.slice(1), typed.current);
  const environment = { ...surroundings.environment, ...typed.assignments };
  const { offers, files } = await offersAt(position, typed.current, async (kinds) => {
    const { askForLive } = await import("./live.ts");
    return await askForLive(kinds, sharedFlags(position.flags), { ...surroundings, environment });
  });
  createOutput({ json: false, quiet: false, colour: false }, {}).printLines(completionLines(offers, files));
}

/** Options of ours stand in this order, each with its value. */
function typedCommand(argv: readonly string[], environment: Surroundings["environment"]): TypedCommand {
  const [, quoting = "", , line] = argv[0] === "--quoting" ? argv.slice(0, argv.indexOf("--")) : [];
  const words = argv.slice(argv.indexOf("--") + 1);
  if (quoting === "none") return wordsAlone(words);
  if (quoting === "base64") return wordsAlone(words.map((word) => Buffer.from(word, "base64").toString("utf8")));
  const style = quoting === "fish" ? "fish" : "posix";
  const variable = (name: string): string | undefined => environment[name];
  const typed = readTypedCommand(words.join(" "), style, variable);
  // zsh keeps what stands before the command apart from its words.
  return line === undefined ? typed : { ...typed, assignments: readTypedCommand(line, style, variable).assignments };
}

function wordsAlone(words: readonly string[]): TypedCommand {
  return { assignments: {}, words: words.slice(0, -1), current: words.at(-1) ?? "" };
}

function sharedFlags(flags: Position["flags"]) {
  return { address: flags.get("address")?.at(-1), stateDir: flags.get("state-dir")?.at(-1), config: flags.get("config")?.at(-1) };
}
