/** The logs of a job as files on this host: which they are, and under which name they are there now. */
import { stat } from "node:fs/promises";
import { allLogsOf, type Job } from "../core/job.ts";

/** What retention puts after the name of a log that it has gzipped. */
export const COMPRESSED_SUFFIX = ".gz";

/** Every log that the record of the job names, as it was named when it was written. None: it never started. */
export function logPathsOf({ state }: Job): readonly string[] {
  return allLogsOf(state);
}

/** The name under which a log is there: its own, or that of its gzipped form. null: neither is. */
export async function presentLog(path: string): Promise<string | null> {
  for (const name of [path, `${path}${COMPRESSED_SUFFIX}`]) if (await isThere(name)) return name;
  return null;
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    // Whatever the reason is, who asked cannot read it; opening it says why.
    return false;
  }
}
