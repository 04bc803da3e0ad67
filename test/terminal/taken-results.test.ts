import { describe, expect, test } from "bun:test";
import type { WireTaken } from "../../src/protocol/methods/job-results.ts";
import { takenErrors, takenWarnings, takenWords } from "../../src/terminal/taken-results.ts";

const taken: WireTaken = {
  jid: 7,
  results_path: "/archive/exp7",
  log: "/archive/7-run",
  err_log: "/archive/7-run.err",
  files: 3,
  bytes: 12_000_000,
  problems: [],
  problem_count: 0,
  warnings: [],
};

describe("where the results of a job are now", () => {
  test("is one line: the place, how many and how large", () => {
    expect(takenWords(taken)).toBe("Job 7: /archive/exp7 (3 files, 12.0 MB)");
    expect(takenWords({ ...taken, files: 1 })).toStartWith("Job 7: /archive/exp7 (1 file, ");
    expect(takenWords({ ...taken, results_path: null, files: 0 })).toBe("Job 7: /archive/7-run (the log; it has no results)");
  });

  test("never acts on the terminal, whatever the folder is called", () => {
    expect(takenWords({ ...taken, results_path: "/a\u001b[2J\n" })).not.toMatch(/[\u001b\n]/);
  });
});

test("each problem and each warning names its job, and how many more there are is said", () => {
  const problems = [
    { code: "results-gone", data: { path: "/r/a" } },
    { code: "results-altered", data: { path: "/r/b" } },
  ];
  const errors = takenErrors({ ...taken, problems, problem_count: 12 });
  expect(errors.map(({ message }) => message)).toEqual([
    'Job 7: The result "/r/a" is not there any more.',
    'Job 7: The result "/r/b" was changed since it was copied here.',
    "Job 7: 10 more files could not be taken.",
  ]);
  expect(errors[0]?.hint).toContain("j job show 7");
  expect(
    takenWarnings({ ...taken, warnings: [{ code: "results-skipped", data: { count: "1", path: "/r/link" } }] })[0]?.message,
  ).toStartWith("Job 7: 1 entry");
});
