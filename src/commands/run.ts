/** From a command line to an exit code: parse, call, and put every error into words. Nothing here ends the process. */
import type { Environment } from "../config/paths.ts";
import { type Context, createContext, type Offline, type Serve } from "./context.ts";
import { UsageError } from "./failure.ts";
import { isOldCall, readOldCall } from "./old-call.ts";
import { createOutput, type Output } from "./output.ts";
import { type Parsed, type ParsedCall, parseCommandLine, wantsJson } from "./parse.ts";
import { root } from "./root.ts";

export interface Program {
  readonly environment: Environment;
  /** The working directory. */
  readonly folder: string;
  readonly serve: Serve;
  readonly offline: Offline;
  /** By the name `j`: then the words are never the old call of the server. */
  readonly calledAsClient: boolean;
  /** What starts this program again: the executable, and a script when it is not compiled. */
  readonly executable: readonly string[];
}

/** @returns the exit code of cli.md */
export async function runCommandLine(argv: readonly string[], program: Program): Promise<number> {
  if (argv[0] === COMPLETE) return await offerCompletions(argv.slice(1), program);
  let output = createOutput({ json: wantsJson(argv), quiet: false, colour: true }, program.environment);
  try {
    const { argv: words, notes } = !program.calledAsClient && isOldCall(argv) ? readOldCall(argv) : { argv, notes: [] };
    const parsed = await parseCommandLine(root, words);
    if (parsed.kind === "call") {
      output = createOutput(parsed.globals, program.environment);
      return await call(parsed, createContext(contextParts(parsed, program, { output, notes, argv })));
    }
    return await inform(parsed, output);
  } catch (error) {
    const { reportError } = await import("./report-error.ts");
    return reportError(error, output);
  }
}

/** Called by the shell when TAB is pressed, never by people: it is in no help, and has no errors. */
const COMPLETE = "complete";

async function offerCompletions(words: readonly string[], { environment, folder }: Program): Promise<number> {
  const { printCompletions } = await import("./completion/complete.ts");
  return await printCompletions(root, words, { environment, folder });
}

async function inform(parsed: Exclude<Parsed, { kind: "call" }>, output: Output): Promise<number> {
  if (parsed.kind === "version") {
    const { VERSION } = await import("../config/version.ts");
    output.print(output.json ? JSON.stringify({ version: VERSION }) : `expjobserver ${VERSION}`);
    return 0;
  }
  const { path, command, wanted } = parsed;
  if (!wanted) throw missingCommand(path, command.kind === "group" ? command.commands.map((entry) => entry.name) : []);
  const { renderHelp } = await import("./help.ts");
  output.print(renderHelp(command, path, (await output.screen()).width));
  return 0;
}

function missingCommand(path: readonly string[], names: readonly string[]): UsageError {
  const place = ["j", ...path].join(" ");
  return new UsageError(`\`${place}\` needs a command.`, `The commands are: ${names.join(", ")}; \`${place} --help\` tells more.`);
}

async function call(parsed: ParsedCall, context: Context): Promise<number> {
  const { callCommand } = await import("./citty-call.ts");
  return callCommand(parsed, context);
}

function contextParts(
  parsed: ParsedCall,
  program: Program,
  parts: Pick<Context, "output" | "notes" | "argv">,
): Omit<Context, "withClient"> {
  const { address, stateDir, config } = parsed.globals;
  return {
    ...parts,
    surroundings: { environment: program.environment, folder: program.folder },
    shared: { address, stateDir, config },
    serve: program.serve,
    offline: program.offline,
    executable: program.executable,
    givenFlags: [...parsed.flags.keys()],
  };
}
