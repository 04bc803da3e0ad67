/** A job as it is sent: in every state, only what is true of it, and no secret. */
import { describe, expect, test } from "bun:test";
import { parse } from "valibot";
import type { Job, JobState, Run } from "../../../src/core/job.ts";
import { problem } from "../../../src/core/problem.ts";
import { EMPTY_STATE } from "../../../src/core/state.ts";
import { jobView } from "../../../src/daemon/views/job.ts";
import { machineView } from "../../../src/daemon/views/machine.ts";
import { jobSchema } from "../../../src/protocol/methods/job.ts";
import { machineSchema } from "../../../src/protocol/methods/machine.ts";

const run: Run = { runId: "r", machine: "m", log: "/l", errLog: "/e" };
const cause = problem("nonzero-exit", { exit_code: "137" });
const results = { path: "/r/a", fileCount: 1, bytes: 2, files: [{ path: "a", bytes: 2, sha256: "00" }], record: "/r/.expjobserver/1.toml" };

const STATES: readonly (readonly [JobState, object])[] = [
  [
    { kind: "waiting", since: 0, notBefore: 9, problem: cause },
    { status: "waiting", machine: null, log: null, warning: cause, duration: null },
  ],
  [
    { kind: "held", since: 0 },
    { status: "held", machine: null, error: null },
  ],
  [
    { kind: "starting", run, since: 0, stop: null, bootId: null },
    { status: "running", machine: "m", log: "/l", started: null, duration: null },
  ],
  [
    { kind: "running", run, startedAt: 1_000, stop: null },
    { status: "running", duration: 9, ended: null, exit_code: null },
  ],
  [
    { kind: "copying", run, startedAt: 1_000, exitedAt: 3_000, prefixes: ["a"] },
    { status: "copying", duration: 2, exit_code: 0, results: ["a"], results_path: null },
  ],
  [
    { kind: "done", run, startedAt: 1_000, endedAt: 4_000, prefixes: ["a"], results, warning: null },
    { status: "done", duration: 3, exit_code: 0, signal: null, results_path: "/r/a", files: results.files, error: null },
  ],
  [
    { kind: "failed", run, startedAt: 1_000, endedAt: 4_000, exitCode: 137, prefixes: [], problem: cause, resultsNotCopied: false },
    { status: "failed", exit_code: 137, signal: "SIGKILL", error: cause, results_path: null },
  ],
  [
    { kind: "failed", run, startedAt: 1_000, endedAt: 4_000, exitCode: 0, prefixes: ["a"], problem: cause, resultsNotCopied: true },
    { status: "failed", exit_code: 0, results: ["a"], error: { code: cause.code, data: { ...cause.data, results_not_copied: "yes" } } },
  ],
  [
    { kind: "canceled", run: null, startedAt: null, endedAt: 5, exitCode: null, problem: problem("canceled") },
    { status: "canceled", machine: null, log: null, duration: null, exit_code: null },
  ],
  [
    { kind: "unknown", run, startedAt: 1_000, since: 2, problem: problem("rebooted"), holdsMachine: false, stop: null },
    { status: "unknown", machine: "m", exit_code: null, error: problem("rebooted") },
  ],
];

function job(state: JobState): Job {
  return {
    jid: 1,
    spec: {
      kind: "job",
      class: "x",
      cmd: "c {A} {KEY}",
      copyTo: "/r/{JID}",
      retry: null,
      notify: true,
      variables: { A: "1" },
      secrets: ["KEY"],
    },
    matrix: null,
    tag: 4,
    attempt: 1,
    retryOf: null,
    retriedBy: null,
    timeoutSeconds: 60,
    created: 0,
    state,
  };
}

describe("the view of a job", () => {
  test.each(STATES)("that is %j fits its schema and says what is true", (state, expected) => {
    const view = jobView(EMPTY_STATE, job(state), 10_000);
    expect(parse(jobSchema, view)).toEqual(view);
    expect(view).toMatchObject({
      jid: 1,
      command_line: "c 1 ********",
      cp_results: "/r/1",
      variables: { A: "1", KEY: "********" },
      created: "1970-01-01T00:00:00.000Z",
      ...expected,
    });
  });
});

test("the view of a machine fits its schema in every state of health and work", () => {
  const base = { slot: 0, addr: "m", class: "x", failures: [] };
  const assignments = [
    { kind: "free", since: 0, order: 0 },
    { kind: "busy", since: 0, jid: 3 },
    { kind: "leaving", since: 0, jid: 3 },
  ] as const;
  const healths = [
    { kind: "ok" },
    { kind: "unreachable", since: 1, problem: problem("unreachable") },
    { kind: "quarantined", since: 1, reason: { kind: "failures", failures: [{ jid: 7, at: 0, exitCode: 1 }] } },
    { kind: "quarantined", since: 1, reason: { kind: "problem", problem: problem("host-key-changed") } },
  ] as const;
  const seen = assignments.flatMap((assignment) =>
    healths.map((health) => {
      const view = machineView({ ...base, assignment, health });
      expect(parse(machineSchema, view)).toEqual(view);
      return `${view.state} ${view.running} ${view.reason?.code ?? "-"}`;
    }),
  );
  const rest = (running: number | null) => [
    `unreachable ${running} unreachable`,
    `quarantined ${running} failures-in-a-row`,
    `quarantined ${running} host-key-changed`,
  ];
  expect(seen).toEqual(["free null -", ...rest(null), "busy 3 -", ...rest(3), "busy 3 -", ...rest(3)]);
});
