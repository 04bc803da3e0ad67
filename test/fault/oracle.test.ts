/** The judge itself: each kind of lie is planted once and must be found. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type JudgedJob, Oracle, type Verdict, violationsIn } from "./oracle.ts";

let folder: string;
let oracle: Oracle;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "expjob-oracle-"));
  oracle = new Oracle(folder);
});
afterEach(() => {
  oracle.close();
  rmSync(folder, { recursive: true, force: true });
});

const job = (jid: number, more: Partial<JudgedJob> = {}): JudgedJob => ({
  jid,
  status: "done",
  exit_code: 0,
  attempt: 1,
  retry_of: null,
  machine: "local/1",
  ...more,
});

/** Lets the job run as the shell would. */
function runs(jid: number, command = "true"): number {
  return Bun.spawnSync(["sh", "-c", oracle.command(command)], {
    env: { PATH: process.env["PATH"], EXPJOB_JID: String(jid), EXPJOB_MACHINE: "local/1" },
  }).exitCode;
}

function acknowledged(...jids: readonly number[]): void {
  oracle.acknowledged(oracle.asks({ count: jids.length, exitCode: 0, maxFailures: 1 }), jids);
}

const nothing: Verdict = {
  acknowledgedAndAbsent: [],
  ranTwice: [],
  attemptsWithoutPolicy: [],
  neverRequested: [],
  wrongExitCode: [],
  untrueEnds: [],
  overCommitted: [],
};

describe("the oracle", () => {
  test("finds nothing where all is well, also a job whose acknowledgement was lost", () => {
    acknowledged(0, 1);
    oracle.asks({ count: 1, exitCode: 0, maxFailures: 1 });
    for (const jid of [0, 1, 2]) expect(runs(jid)).toBe(0);
    expect(oracle.judge([job(0), job(1), job(2)])).toEqual(nothing);
  });

  test("keeps the exit code of what it wraps", () => {
    expect(runs(0, "exit 7")).toBe(7);
  });

  test("finds an acknowledged job that is absent", () => {
    acknowledged(0, 1);
    runs(0);
    expect(oracle.judge([job(0)])).toEqual({ ...nothing, acknowledgedAndAbsent: [1] });
  });

  test("finds a job that ran twice", () => {
    acknowledged(0);
    runs(0);
    runs(0);
    expect(oracle.judge([job(0)])).toEqual({ ...nothing, ranTwice: [0] });
  });

  test("finds a job that nobody asked for", () => {
    acknowledged(0);
    runs(0);
    runs(5);
    expect(oracle.judge([job(0), job(5)])).toEqual({ ...nothing, neverRequested: [5] });
  });

  test("finds a second attempt that no policy asked for", () => {
    acknowledged(0);
    runs(0, "exit 1");
    runs(1);
    const verdict = oracle.judge([job(0, { status: "failed", exit_code: 1 }), job(1, { attempt: 2, retry_of: 0 })]);
    expect(verdict.attemptsWithoutPolicy).toEqual([1]);
  });

  test("finds two jobs on one machine", () => {
    acknowledged(0, 1);
    runs(0, "kill -9 $$");
    runs(1);
    expect(oracle.judge([job(0), job(1)]).overCommitted).toEqual([1]);
  });

  test("finds a wrong exit code, and an end without a beginning", () => {
    acknowledged(0, 1);
    runs(0);
    expect(oracle.judge([job(0, { status: "failed", exit_code: 3 }), job(1)])).toEqual({ ...nothing, wrongExitCode: [0], untrueEnds: [1] });
    expect(violationsIn(oracle.judge([job(0), job(1)]))).toBe(1);
  });
});
