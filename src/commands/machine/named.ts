/** The machines that -m, -c and -f name. */
import { readFileSync } from "node:fs";
import type { Surroundings } from "../../config/client-options.ts";
import { absolutePath } from "../../config/paths.ts";
import { RequestError } from "../../protocol/error.ts";
import { UsageError } from "../failure.ts";

interface Flags {
  readonly machine: readonly string[];
  readonly class: readonly string[];
  readonly file: readonly string[];
}

/** @throws UsageError when nothing is named, or a file cannot be read */
export function namedMachines(flags: Flags, surroundings: Surroundings): { addrs: string[]; classes: string[] } {
  const addrs = namedAddresses(flags, surroundings);
  const classes = [...new Set(flags.class)];
  if (addrs.length === 0 && classes.length === 0)
    throw new UsageError("No machine is named.", "Name some with -m ADDR, -c CLASS or -f FILE.");
  return { addrs, classes };
}

/** Each once, in their order. @throws UsageError when a file cannot be read */
export function namedAddresses({ machine, file }: Pick<Flags, "machine" | "file">, { folder, environment }: Surroundings): string[] {
  const fromFiles = file.flatMap((each) => readAddresses(absolutePath(each, folder, environment)));
  return [...new Set([...machine, ...fromFiles])];
}

/** What was named and is not there: a machine, or a class without machines. */
export function missingMachine(name: string, classes: readonly string[]): RequestError {
  return classes.includes(name) ? new RequestError("no-such-class", { class: name }) : new RequestError("no-such-machine", { addr: name });
}

/** One a line; empty lines and what follows `#` are passed over. */
function readAddresses(file: string): string[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new UsageError(`The file "${file}" cannot be read: ${code}.`, "It holds one machine a line.");
  }
  const lines = text.split(/\r?\n/).map((line) => line.replace(/#.*$/, "").trim());
  return lines.filter((line) => line !== "");
}
