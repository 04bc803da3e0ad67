/** `link`: makes the symlink `j`; it replaces nothing but an older link to expjobserver. */
import { lstatSync, readlinkSync, statSync, symlinkSync, unlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { absolutePath } from "../../config/paths.ts";
import type { Run } from "../command.ts";
import { Failure } from "../failure.ts";
import type { linkArguments } from "./arguments.ts";

export const run: Run<typeof linkArguments> = async (args, { output, surroundings, executable: [executable = "", script] }) => {
  if (script !== undefined) {
    throw new Failure("not-an-executable", "This is not the compiled executable.", "Build it with `npm run build`, and call its `link`.");
  }
  const folder = args.dir === undefined ? dirname(executable) : absolutePath(args.dir, surroundings.folder, surroundings.environment);
  const link = join(folder, "j");
  const target = folder === dirname(executable) ? basename(executable) : executable;
  makeLink(link, target);
  if (output.json) output.printJson({ link, target });
  else output.print(output.quiet ? link : `${link} -> ${target}`);
  const onPath = (surroundings.environment["PATH"] ?? "").split(":").includes(folder);
  if (!onPath) output.warn(`"${folder}" is not in PATH.`, `Add it: export PATH="${folder}:$PATH"`);
  return 0;
};

function makeLink(link: string, target: string): void {
  const folder = dirname(link);
  if (!isFolder(folder)) throw new Failure("no-such-folder", `There is no folder "${folder}".`, "Make it first.");
  const existing = linkTarget(link);
  if (existing === target) return;
  if (existing !== null && basename(existing) !== "expjobserver") {
    throw new Failure("file-exists", `"${link}" exists and is not a link to expjobserver.`, "Remove it, or name another folder.");
  }
  try {
    if (existing !== null) unlinkSync(link);
    symlinkSync(target, link);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new Failure("link-failed", `"${link}" cannot be made: ${code}.`, "Name a folder that you may write to.");
  }
}

/** null: nothing is there; empty: something that is no link. */
function linkTarget(path: string): string | null {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return null;
  return stats.isSymbolicLink() ? readlinkSync(path) : "";
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
