/** Where the old client looked for the line of listings: a file in the home folder that holds the number of a job. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Environment } from "../../config/paths.ts";

export const OLD_LINE_FILE = ".expjobserver-client-line";

/** null: there is none, or it holds something else. */
export function readOldLine(environment: Environment): number | null {
  const home = environment["HOME"];
  if (home === undefined || home === "") return null;
  let text: string;
  try {
    text = readFileSync(join(home, OLD_LINE_FILE), "utf8").trim();
  } catch {
    // A line is an ornament: a file that cannot be read draws none.
    return null;
  }
  return /^\d{1,15}$/.test(text) ? Number(text) : null;
}
