/** What a job is given: its words or its text, and its environment; secrets only there. */
import { describe, expect, test } from "bun:test";
import type { Job, Run } from "../../src/core/job.ts";
import { EMPTY_STATE } from "../../src/core/state.ts";
import { commandLine, runEnvironment, runProgram } from "../../src/daemon/run-program.ts";

const RUN: Run = { runId: "r", machine: "exp1:22", log: "/l", errLog: "/e" };

function job(cmd: string): Job {
  return {
    jid: 7,
    spec: { kind: "job", class: "x", cmd, copyTo: null, retry: null, notify: false, variables: { A: "a b" }, secrets: ["KEY"] },
    matrix: null,
    tag: null,
    attempt: 2,
    retryOf: 3,
    retriedBy: null,
    timeoutSeconds: null,
    created: 0,
    state: { kind: "starting", run: RUN, since: 0, stop: null, bootId: null },
  };
}

const secret = (name: string) => (name === "KEY" ? "s3cret" : undefined);

describe("a job is given", () => {
  test("shell text with its values put in as they are", () => {
    const program = runProgram(EMPTY_STATE, job("run {A} {KEY} {MACHINE} {HOST} {PORT} {JID} {ATTEMPT} {NOPE} ${A}"), RUN, {
      driver: null,
      secret,
    });
    expect(program).toEqual({ kind: "shell", text: "run a b s3cret exp1:22 exp1 22 7 2 {NOPE} ${A}" });
  });

  test("words for a driver, after the driver's own", () => {
    const driver = { path: "/bin/driver", args: ["--print_results_path"] };
    const program = runProgram(EMPTY_STATE, job("{MACHINE} '{A}' {A} \"{KEY}\""), RUN, { driver, secret });
    expect(program).toEqual({ kind: "words", words: ["/bin/driver", "--print_results_path", "exp1:22", "a b", "a", "b", "s3cret"] });
  });

  test("its id, place and variables in the environment, and nothing else", () => {
    expect(runEnvironment(EMPTY_STATE, job("c"), RUN, secret)).toEqual({
      EXPJOB_JID: "7",
      EXPJOB_MACHINE: "exp1:22",
      EXPJOB_CLASS: "x",
      EXPJOB_MATRIX: "",
      EXPJOB_ATTEMPT: "2",
      EXPJOB_VAR_A: "a b",
      EXPJOB_VAR_KEY: "s3cret",
    });
  });
});

test("people see its command with secrets masked, and what is not yet known as typed", () => {
  expect(commandLine(EMPTY_STATE, job("run {A} {KEY} {MACHINE}"), null)).toBe("run a b ******** {MACHINE}");
});
