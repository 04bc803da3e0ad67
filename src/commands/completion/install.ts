/** `completions`: the script of a shell, printed or written where the shell looks for it. It replaces no file but an older script. */
import { lstatSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { absolutePath } from "../../config/paths.ts";
import { completionScript, SCRIPT_MARK, SHELL_NAMES, SHELLS, type ShellName } from "../../terminal/completion/shells.ts";
import type { Arguments } from "../argument.ts";
import type { Run } from "../command.ts";
import { Failure, UsageError } from "../failure.ts";
import type { completionsArguments } from "./arguments.ts";

/** Goes into scripts as it is. */
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}$/;

export const run: Run<typeof completionsArguments> = async (args, { output, surroundings, executable }) => {
  const shell = shellOf(args);
  if (!NAME.test(args.bin)) {
    throw new UsageError(`${JSON.stringify(args.bin)} is no name of a program.`, "Give --bin the bare name that you type, as in --bin j.");
  }
  const { fileName, activation } = SHELLS[shell];
  const text = completionScript(shell, { name: args.bin, program: executable });
  if (args.outdir === undefined) {
    if (output.json) output.printJson({ shell, script: text });
    else output.print(text.trimEnd());
    return 0;
  }
  const folder = absolutePath(args.outdir, surroundings.folder, surroundings.environment);
  const path = join(folder, fileName(args.bin));
  writeScript(folder, path, text);
  const { line, file } = activation(path);
  if (output.json) output.printJson({ shell, file: path, activate: line });
  else if (output.quiet) output.print(path);
  else output.print(`Wrote ${path}\nTo activate it, put this line into ${file}:\n  ${line}`);
  return 0;
};

function shellOf(args: Arguments<typeof completionsArguments>): ShellName {
  const named = SHELL_NAMES.filter((name) => args[name] === true);
  const [shell] = named;
  if (shell !== undefined && named.length === 1) return shell;
  const hint = `Write one of ${SHELL_NAMES.map((name) => `--${name}`).join(", ")}.`;
  throw new UsageError(
    shell === undefined ? "`j completions` needs the shell it is for." : "`j completions` writes for one shell at a time.",
    hint,
  );
}

function writeScript(folder: string, path: string, text: string): void {
  try {
    mkdirSync(folder, { recursive: true });
    if (!isReplaceable(path)) {
      throw new Failure("file-exists", `"${path}" exists and is no completion script of ours.`, "Remove it, or name another folder.");
    }
    // In one step: a shell that starts at this moment reads the old one or the new one.
    const draft = `${path}.${process.pid}.tmp`;
    writeFileSync(draft, text, { mode: 0o644, flag: "wx" });
    renameSync(draft, path);
  } catch (error) {
    if (error instanceof Failure) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new Failure("not-written", `"${path}" cannot be written: ${code}.`, "Name a folder that you may write to.");
  }
}

function isReplaceable(path: string): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return true;
  return stats.isFile() && stats.size < 100_000 && readFileSync(path, "utf8").includes(SCRIPT_MARK);
}
