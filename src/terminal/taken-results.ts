/** `job cpresults` and `mvresults`: where the results of a job are now, and what could not be taken. */
import type { WireTaken } from "../protocol/methods/job-results.ts";
import type { WireProblem } from "../protocol/problem.ts";
import { printable } from "./printable.ts";
import { problemWords } from "./problem.ts";
import { formatBytes } from "./size.ts";
import { forJob, type Words } from "./wording.ts";

/** `Job 7: /archive/exp7 (3 files, 12 MB)`. */
export function takenWords({ jid, results_path: path, log, files, bytes }: WireTaken): string {
  if (path === null) return `Job ${jid}: ${printable(log ?? "")} (the log; it has no results)`;
  return `Job ${jid}: ${printable(path)} (${files === 1 ? "1 file" : `${files} files`}, ${formatBytes(bytes)})`;
}

/** One for each problem, the job named. */
export function takenErrors({ jid, problems, problem_count: count }: WireTaken): (Words & { readonly code: string })[] {
  const errors = problems.map((problem) => ({ code: problem.code, ...wordsOf(problem, jid) }));
  const untold = count - problems.length;
  if (untold <= 0) return errors;
  return [
    ...errors,
    { code: "more-problems", message: `Job ${jid}: ${untold} more ${untold === 1 ? "file" : "files"} could not be taken.`, hint: "" },
  ];
}

/** One for each warning, the job named. */
export function takenWarnings({ jid, warnings }: WireTaken): Words[] {
  return warnings.map((warning) => wordsOf(warning, jid));
}

function wordsOf(problem: WireProblem, jid: number): Words {
  const { message, hint } = problemWords(problem);
  return { message: `Job ${jid}: ${message}`, hint: forJob(hint, jid) };
}
