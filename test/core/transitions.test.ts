import { describe, expect, test } from "bun:test";
import { jobStatesPage, jobStatesPath } from "../../scripts/state-diagram.ts";
import { apply, IllegalEvent } from "../../src/core/apply.ts";
import type { Job, JobState, JobStateKind } from "../../src/core/job.ts";
import { problem } from "../../src/core/problem.ts";
import type { State } from "../../src/core/state.ts";
import { type JobEvent, type JobEventKind, nextKind, TRANSITIONS } from "../../src/core/transitions.ts";
import { Lab, someResults } from "./lab.ts";

/** The one job of a lab in each state, reached by commands and facts. */
const reached: Readonly<Record<JobStateKind, (lab: Lab) => number>> = {
  waiting: (lab) => lab.add(),
  held: (lab) => {
    const jid = lab.add();
    lab.command({ kind: "hold-jobs", jids: [jid], lenient: false });
    return jid;
  },
  starting: (lab) => {
    const jid = lab.add();
    lab.dispatch();
    return jid;
  },
  running: (lab) => lab.running(),
  copying: (lab) => {
    const jid = lab.running({ copyTo: "/results" });
    lab.exit(jid, 0, { prefixes: ["out"] });
    return jid;
  },
  unknown: (lab) => {
    const jid = lab.running();
    lab.lose(jid, false);
    return jid;
  },
  done: (lab) => {
    const jid = lab.running();
    lab.exit(jid, 0);
    return jid;
  },
  failed: (lab) => {
    const jid = lab.running();
    lab.exit(jid, 3);
    return jid;
  },
  canceled: (lab) => {
    const jid = lab.add();
    lab.cancel([jid]);
    return jid;
  },
};

const at = 2_000;
const eventOf: Readonly<Record<JobEventKind, (jid: number) => JobEvent>> = {
  "job-held": (jid) => ({ kind: "job-held", at, jid }),
  "job-unheld": (jid) => ({ kind: "job-unheld", at, jid }),
  "job-due": (jid) => ({ kind: "job-due", at, jid }),
  "job-starting": (jid) => ({ kind: "job-starting", at, jid, run: { runId: "r", machine: "a", log: "/l", errLog: "/e" }, bootId: null }),
  "job-host-known": (jid) => ({ kind: "job-host-known", at, jid, machineBootId: "boot" }),
  "job-started": (jid) => ({ kind: "job-started", at, jid }),
  "job-not-started": (jid) => ({ kind: "job-not-started", at, jid, notBefore: null, problem: problem("start-failed") }),
  "job-stop-requested": (jid) => ({ kind: "job-stop-requested", jid, stop: { cause: "user", at, forget: false } }),
  "job-advanced": (jid) => ({ kind: "job-advanced", at, jid, run: { runId: "r2", machine: "a", log: "/l", errLog: "/e" }, bootId: null }),
  "job-timeout-set": (jid) => ({ kind: "job-timeout-set", at, jid, timeoutSeconds: 60 }),
  "job-tagged": (jid) => ({ kind: "job-tagged", at, jid, tag: null }),
  "job-copying": (jid) => ({ kind: "job-copying", at, jid, prefixes: ["out"] }),
  "job-done": (jid) => ({ kind: "job-done", at, jid, prefixes: [], results: null, warning: null }),
  "job-failed": (jid) => ({
    kind: "job-failed",
    at,
    jid,
    exitCode: 1,
    prefixes: [],
    problem: problem("nonzero-exit"),
    resultsNotCopied: false,
    countsAgainstMachine: true,
    retry: null,
  }),
  "job-canceled": (jid) => ({ kind: "job-canceled", at, jid, exitCode: null, problem: problem("canceled") }),
  "job-lost": (jid) => ({ kind: "job-lost", at, jid, problem: problem("rebooted"), machineFree: true }),
  "job-found": (jid) => ({ kind: "job-found", at, jid, startedAt: at }),
  "job-forgotten": (jid) => ({ kind: "job-forgotten", jid }),
  "job-results-changed": (jid) => ({ kind: "job-results-changed", at, jid, results: someResults }),
  "job-logs-moved": (jid) => ({ kind: "job-logs-moved", at, jid, moves: [{ from: "/logs/0", to: "/elsewhere/0" }] }),
};

const stateKinds = Object.keys(reached) as JobStateKind[];
const eventKinds = Object.keys(eventOf) as JobEventKind[];

describe.each(stateKinds)("a job that is %s", (from) => {
  test.each(eventKinds)("takes %s as the table says", (kind) => {
    const lab = Lab.withMachines("a");
    const jid = reached[from](lab);
    expect(lab.kind(jid)).toBe(from);
    const before = lab.state;
    const frozen = Bun.inspect(before, { depth: 20 });
    const to = nextKind(from, kind);
    if (to === null) {
      expect(() => apply(before, eventOf[kind](jid))).toThrow(IllegalEvent);
    } else {
      lab.happen([eventOf[kind](jid)]);
      expect(lab.state.jobs.get(jid)?.state.kind ?? "gone").toBe(to);
    }
    expect(Bun.inspect(before, { depth: 20 })).toBe(frozen);
  });
});

test("an event of a job that is not there is refused", () => {
  const lab = Lab.withMachines("a");
  for (const kind of eventKinds) expect(() => apply(lab.state, eventOf[kind](7))).toThrow(IllegalEvent);
});

test("every event of the table stands somewhere in it, and every state can be left", () => {
  const named = new Set(Object.values(TRANSITIONS).flatMap((targets) => Object.keys(targets)));
  expect([...named].sort()).toEqual([...eventKinds].sort());
  for (const kind of stateKinds) expect(Object.keys(TRANSITIONS[kind])).not.toEqual([]);
});

describe("what a transition keeps", () => {
  const stateAfter = (lab: Lab, ...events: readonly JobEvent[]): JobState => {
    lab.happen(events);
    return lab.job(0).state;
  };

  test("a stop asked for while starting is still asked for when it runs", () => {
    const lab = Lab.withMachines("a");
    reached.starting(lab);
    const stop = { cause: "user", at, forget: true } as const;
    expect(stateAfter(lab, { kind: "job-stop-requested", jid: 0, stop }, eventOf["job-started"](0))).toMatchObject({
      kind: "running",
      stop,
    });
  });

  test("the time of the exit is the end, not the end of the copy", () => {
    const lab = Lab.withMachines("a");
    lab.now = 5_000;
    reached.copying(lab);
    const done = stateAfter(lab, { kind: "job-done", at: 9_000, jid: 0, prefixes: ["out"], results: someResults, warning: null });
    expect(done).toMatchObject({ kind: "done", startedAt: 5_000, endedAt: 5_000 });
  });

  test("a job that is done after its results were fetched keeps its run and times", () => {
    const lab = Lab.withMachines("a");
    reached.copying(lab);
    const { run, startedAt, exitedAt } = lab.stateOf(0, "copying");
    lab.command({ kind: "results-failed", jid: 0, runId: run.runId, problem: problem("transfer-cut") });
    const done = stateAfter(lab, eventOf["job-results-changed"](0));
    expect(done).toMatchObject({ kind: "done", run, startedAt, endedAt: exitedAt, results: someResults });
  });

  test("forgetting takes the job out of the counts and of its matrix, and the last job takes the matrix along", () => {
    const lab = new Lab();
    const { id, first } = lab.addMatrix({ keys: [{ name: "A", values: ["1", "2"] }] });
    lab.cancel([first, first + 1]);
    lab.happen([eventOf["job-forgotten"](first)]);
    expect(lab.state.matrices.get(id)?.counts.canceled).toBe(1);
    lab.happen([eventOf["job-forgotten"](first + 1)]);
    expect(lab.state.matrices.has(id)).toBe(false);
    expect(lab.state.counts.canceled).toBe(0);
  });
});

describe("history", () => {
  const lab = (): { lab: Lab; ended: Job } => {
    const made = Lab.withMachines("a");
    reached.done(made);
    return { lab: made, ended: made.job(0) };
  };

  test("an archived job leaves the memory and stays counted; recalled, it is back as it was", () => {
    const { lab: made, ended } = lab();
    made.command({ kind: "jobs-in-history", jobs: [ended] });
    expect(made.state.jobs.has(0)).toBe(false);
    expect(made.state.counts.done).toBe(1);
    made.happen([{ kind: "job-recalled", job: ended }]);
    expect(made.job(0)).toBe(ended);
    expect(made.state.counts.done).toBe(1);
  });

  test("a job that changed since it was written stays in memory", () => {
    const { lab: made, ended } = lab();
    made.happen([eventOf["job-results-changed"](0)]);
    made.command({ kind: "jobs-in-history", jobs: [ended] });
    expect(made.state.jobs.has(0)).toBe(true);
  });

  test("recalling changes nothing for a job that is in memory or has not ended", () => {
    const { lab: made, ended } = lab();
    const before: State = made.state;
    made.happen([{ kind: "job-recalled", job: ended }]);
    const waiting: JobState = { kind: "waiting", since: 0, notBefore: null, problem: null };
    made.happen([{ kind: "job-recalled", job: { ...ended, jid: 99, state: waiting } }]);
    expect(made.state).toBe(before);
  });

  test("answers older than a week go with the jobs that are archived", () => {
    const { lab: made } = lab();
    const week = 7 * 86_400_000;
    made.happen([
      { kind: "request-answered", at: 1_000, id: "old", answer: { kind: "done" } },
      { kind: "request-answered", at: 2_000, id: "new", answer: { kind: "done" } },
    ]);
    made.now = week + 1_500;
    made.command({ kind: "jobs-in-history", jobs: [] });
    expect([...made.state.requests.keys()]).toEqual(["new"]);
  });
});

test("docs/job-states.md is what the table says: run `bun scripts/state-diagram.ts`", async () => {
  expect(await Bun.file(jobStatesPath).text()).toBe(jobStatesPage());
});
