import { describe, expect, test } from "bun:test";
import type { Fact } from "../../src/core/command.ts";
import { problem } from "../../src/core/problem.ts";
import { kinds, Lab, someResults } from "./lab.ts";

describe("an exit with 0", () => {
  test("without CP_PATH is done; the prefixes are recorded", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running();
    lab.now = 4_000;
    lab.exit(jid, 0, { prefixes: ["/tmp/out"] });
    expect(lab.stateOf(jid, "done")).toMatchObject({
      startedAt: 1_000,
      endedAt: 4_000,
      prefixes: ["/tmp/out"],
      results: null,
      warning: null,
    });
    expect(lab.machine("a").assignment.kind).toBe("free");
  });

  test("with CP_PATH but no RESULTS line is done, with a warning", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running({ copyTo: "/r" });
    lab.exit(jid, 0);
    expect(lab.stateOf(jid, "done").warning?.code).toBe("results-none-named");
  });

  test("with both is copying, and the machine stays busy until the copy is complete", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running({ copyTo: "/r" });
    lab.add();
    lab.exit(jid, 0, { prefixes: ["out"] });
    expect(lab.kind(jid)).toBe("copying");
    expect(lab.dispatch()).toEqual([]);
    lab.command({ kind: "results-copied", jid, runId: lab.runId(jid), results: someResults, warning: null });
    expect(lab.stateOf(jid, "done")).toMatchObject({ results: someResults, prefixes: ["out"] });
    expect(lab.dispatch()).toEqual(["1@a"]);
  });

  test("and a copy that fails is failed with exit code 0: not retried, not held against the machine", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running({ copyTo: "/r", retry: { maxFailures: null } });
    lab.exit(jid, 0, { prefixes: ["out"] });
    lab.command({ kind: "results-failed", jid, runId: lab.runId(jid), problem: problem("results-missing") });
    expect(lab.stateOf(jid, "failed")).toMatchObject({ exitCode: 0, resultsNotCopied: true, problem: { code: "results-missing" } });
    expect(lab.job(jid).retriedBy).toBeNull();
    expect(lab.machine("a").failures).toEqual([]);
    expect(lab.state.templates.get("measure")).toBeUndefined();
  });

  test("and a RESULTS line that cannot be used: not copied with CP_PATH, a warning without", () => {
    const lab = Lab.withMachines("a", "b");
    const invalidLine = problem("results-line-invalid");
    const copied = lab.running({ copyTo: "/r" });
    lab.exit(copied, 0, { prefixes: ["good"], invalidLine });
    expect(lab.stateOf(copied, "failed")).toMatchObject({ exitCode: 0, resultsNotCopied: true, problem: invalidLine });
    const recorded = lab.running();
    lab.exit(recorded, 0, { invalidLine });
    expect(lab.stateOf(recorded, "done").warning).toEqual(invalidLine);
  });

  test("results fetched later make a failed copy done, in memory or from history", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running({ copyTo: "/r" });
    lab.exit(jid, 0, { prefixes: ["out"] });
    lab.command({ kind: "results-failed", jid, runId: lab.runId(jid), problem: problem("transfer-cut") });
    const failed = lab.job(jid);
    lab.command({ kind: "jobs-in-history", jobs: [failed] });
    expect(kinds(lab.command({ kind: "results-changed", job: failed, results: someResults }))).toEqual([
      "job-recalled",
      "job-results-changed",
    ]);
    expect(lab.stateOf(jid, "done").results).toEqual(someResults);
    expect(lab.state.counts).toMatchObject({ failed: 0, done: 1 });
  });

  test("results fetched later do not make a canceled job, or a command that failed, done", () => {
    const lab = Lab.withMachines("a");
    const canceled = lab.add();
    lab.cancel([canceled]);
    const failed = lab.running({ copyTo: "/r" });
    lab.exit(failed, 1, { prefixes: ["partial"] });
    for (const jid of [canceled, failed]) {
      expect(lab.command({ kind: "results-changed", job: lab.job(jid), results: someResults })).toEqual([]);
    }
  });
});

describe("a failure", () => {
  test.each([
    [1, undefined],
    [127, undefined],
    [137, "SIGKILL"],
    [143, "SIGTERM"],
  ])("with %d has its code and signal", (exitCode, signal) => {
    const lab = Lab.withMachines("a");
    const jid = lab.running();
    lab.exit(jid, exitCode);
    expect(lab.stateOf(jid, "failed")).toMatchObject({ exitCode, resultsNotCopied: false, problem: { code: "nonzero-exit" } });
    expect(lab.stateOf(jid, "failed").problem.data["signal"]).toBe(signal);
  });

  test("is tried again as a new job, after a back-off that doubles, until it failed often enough", () => {
    const lab = Lab.withMachines("a");
    let jid = lab.running({ retry: { maxFailures: 3 }, timeoutSeconds: 60, cmd: "run {JID}", copyTo: "/r" });
    const first = lab.job(jid);
    const waits: number[] = [];
    for (let attempt = 1; attempt < 3; attempt++) {
      lab.exit(jid, 1);
      const retry = lab.job(lab.job(jid).retriedBy ?? -1);
      expect(retry).toMatchObject({ attempt: attempt + 1, retryOf: jid, retriedBy: null, spec: first.spec, timeoutSeconds: 60 });
      waits.push((lab.stateOf(retry.jid, "waiting").notBefore ?? 0) - lab.now);
      expect(lab.dispatch()).toEqual([]);
      jid = retry.jid;
      lab.command({ kind: "back-off-over", jid });
      expect(lab.dispatch()).toEqual([`${jid}@a`]);
      lab.start(jid);
    }
    lab.exit(jid, 1);
    expect(lab.job(jid)).toMatchObject({ attempt: 3, retriedBy: null });
    expect(waits).toEqual([10_000, 20_000]);
    expect(lab.state.counts).toMatchObject({ failed: 3, waiting: 0 });
  });

  test("without --retry is not tried again", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running();
    lab.exit(jid, 1);
    expect(lab.state.jobs.size).toBe(1);
  });

  test("names results of its own, but nothing is copied", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running({ copyTo: "/r" });
    lab.exit(jid, 2, { prefixes: ["partial"] });
    expect(lab.stateOf(jid, "failed")).toMatchObject({ prefixes: ["partial"], resultsNotCopied: false });
  });

  test("a back-off that is over twice, or of a job that is held by now, changes nothing", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running({ retry: { maxFailures: null } });
    lab.exit(jid, 1);
    const retry = lab.job(jid).retriedBy ?? -1;
    expect(lab.command({ kind: "back-off-over", jid: retry })).toHaveLength(1);
    expect(lab.command({ kind: "back-off-over", jid: retry })).toEqual([]);
    lab.command({ kind: "hold-jobs", jids: [retry], lenient: false });
    expect(lab.command({ kind: "back-off-over", jid: retry })).toEqual([]);
  });
});

describe("a timeout", () => {
  test("stops the job; the end that follows is a failure and is retried", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running({ timeoutSeconds: 5, retry: { maxFailures: 2 } });
    lab.command({ kind: "timeout-reached", jid, runId: lab.runId(jid) });
    expect(lab.stateOf(jid, "running").stop?.cause).toBe("timeout");
    lab.exit(jid, 143);
    expect(lab.stateOf(jid, "failed")).toMatchObject({ exitCode: 143, problem: { code: "timed-out", data: { seconds: "5" } } });
    expect(lab.job(jid).retriedBy).toBe(1);
    expect(lab.machine("a").failures).toHaveLength(1);
  });

  test("that ends with 0 is a failure all the same", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running({ timeoutSeconds: 5, copyTo: "/r" });
    lab.command({ kind: "timeout-reached", jid, runId: lab.runId(jid) });
    lab.exit(jid, 0, { prefixes: ["out"] });
    expect(lab.stateOf(jid, "failed")).toMatchObject({ exitCode: 0, resultsNotCopied: false, problem: { code: "timed-out" } });
  });

  test("after a person asked for the end does not make it a failure", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running({ timeoutSeconds: 5 });
    lab.cancel([jid]);
    expect(lab.command({ kind: "timeout-reached", jid, runId: lab.runId(jid) })).toEqual([]);
  });
});

describe("a run that is lost", () => {
  test("is unknown, never ended; its machine is free only when nothing of it runs", () => {
    const lab = Lab.withMachines("a", "b");
    lab.add({ count: 3, retry: { maxFailures: null } });
    lab.dispatch();
    lab.start(0);
    lab.start(1);
    lab.lose(0, true);
    lab.lose(1, false);
    expect(lab.stateOf(0, "unknown")).toMatchObject({ holdsMachine: false, startedAt: 1_000, problem: { code: "rebooted" } });
    expect(lab.stateOf(1, "unknown").holdsMachine).toBe(true);
    expect(lab.dispatch()).toEqual(["2@a"]);
    expect(lab.state.counts.waiting).toBe(0);
  });

  test("when a person had asked for its end and nothing of it runs, is canceled", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running();
    lab.cancel([jid], { forget: true });
    lab.lose(jid, true);
    expect(kinds(lab.journal.slice(-2))).toEqual(["job-canceled", "job-forgotten"]);
  });

  test("when a person had asked for its end but processes may live, is unknown", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running();
    lab.cancel([jid]);
    lab.lose(jid, false);
    expect(lab.stateOf(jid, "unknown").holdsMachine).toBe(true);
  });

  test("after a timeout is unknown: nobody asked for it to be canceled", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running({ timeoutSeconds: 1 });
    lab.command({ kind: "timeout-reached", jid, runId: lab.runId(jid) });
    lab.lose(jid, true);
    expect(lab.kind(jid)).toBe("unknown");
  });

  test("and proven gone later frees its machine and stays unknown", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running();
    lab.lose(jid, false);
    expect(lab.lose(jid, false)).toEqual([]);
    lab.lose(jid, true);
    expect(lab.stateOf(jid, "unknown")).toMatchObject({ holdsMachine: false, startedAt: 1_000 });
    expect(lab.machine("a").assignment.kind).toBe("free");
    expect(lab.lose(jid, true)).toEqual([]);
    expect(lab.exit(jid, 0)).toEqual([]);
    expect(lab.command({ kind: "run-found", jid, runId: lab.runId(jid), startedAt: 1 })).toEqual([]);
  });

  test("and found alive runs on; found ended has its true end", () => {
    const lab = Lab.withMachines("a", "b");
    lab.add({ count: 2, retry: { maxFailures: null } });
    lab.dispatch();
    lab.start(0);
    lab.start(1);
    lab.lose(0, false);
    lab.lose(1, false);
    lab.command({ kind: "run-found", jid: 0, runId: lab.runId(0), startedAt: 900 });
    expect(lab.stateOf(0, "running").startedAt).toBe(900);
    lab.exit(1, 9, { startedAt: 800 });
    expect(lab.stateOf(1, "failed")).toMatchObject({ startedAt: 800, exitCode: 9 });
    expect(lab.job(1).retriedBy).not.toBeNull();
  });
});

describe("a start", () => {
  test("that was missed is filled in by the exit", () => {
    const lab = Lab.withMachines("a");
    lab.add();
    lab.dispatch();
    lab.exit(0, 0, { startedAt: 500 });
    expect(lab.stateOf(0, "done").startedAt).toBe(500);
  });

  test("that was missed is filled in when the run is found after a restart", () => {
    const lab = Lab.withMachines("a");
    lab.add();
    lab.dispatch();
    lab.command({ kind: "run-found", jid: 0, runId: lab.runId(0), startedAt: 500 });
    expect(lab.stateOf(0, "running").startedAt).toBe(500);
  });

  test("proven not to have happened is repeated under a new run id", () => {
    const lab = Lab.withMachines("a");
    lab.add();
    lab.dispatch();
    const before = lab.runId(0);
    lab.command({ kind: "run-not-started", jid: 0, runId: before, problem: problem("no-space") });
    expect(lab.job(0)).toMatchObject({ attempt: 1, state: { kind: "waiting", notBefore: null } });
    lab.dispatch();
    expect(lab.runId(0)).not.toBe(before);
  });
});

test("what is observed of an earlier run, of a job that is gone, or in the wrong state changes nothing", () => {
  const lab = Lab.withMachines("a");
  lab.add();
  lab.dispatch();
  const stale = lab.runId(0);
  lab.command({ kind: "run-not-started", jid: 0, runId: stale, problem: problem("start-failed") });
  lab.dispatch();
  lab.start(0);
  const of = (runId: string, jid = 0): readonly Fact[] => [
    { kind: "run-started", jid, runId, at: 1 },
    { kind: "run-not-started", jid, runId, problem: problem("start-failed") },
    { kind: "run-exited", jid, runId, startedAt: null, at: 1, exitCode: 0, prefixes: [], invalidLine: null },
    { kind: "run-lost", jid, runId, problem: problem("rebooted"), sessionEmpty: true },
    { kind: "run-found", jid, runId, startedAt: 1 },
    { kind: "results-copied", jid, runId, results: someResults, warning: null },
    { kind: "results-failed", jid, runId, problem: problem("transfer-cut") },
    { kind: "timeout-reached", jid, runId },
  ];
  for (const fact of [...of(stale), ...of("any", 42)]) expect(lab.command(fact)).toEqual([]);
  const current = lab.runId(0);
  lab.exit(0, 0);
  for (const fact of of(current)) expect(lab.command(fact)).toEqual([]);
});

test("an unknown job whose machine was left keeps no other job from it", () => {
  const lab = Lab.withMachines("a");
  const jid = lab.running();
  lab.lose(jid, true);
  const next = lab.running();
  expect(lab.machine("a").assignment).toMatchObject({ kind: "busy", jid: next });
  lab.cancel([jid]);
  expect(lab.machine("a").assignment).toMatchObject({ kind: "busy", jid: next });
});

describe("a stop that was asked for", () => {
  test("is still wanted when a run that was lost from sight is found again", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running();
    lab.command({ kind: "cancel-jobs", jids: [jid], recalled: [], forget: false, lenient: false });
    lab.command({ kind: "run-lost", jid, runId: lab.runId(jid), problem: problem("supervisor-gone"), sessionEmpty: false });
    expect(lab.kind(jid)).toBe("unknown");
    lab.command({ kind: "run-found", jid, runId: lab.runId(jid), startedAt: lab.now });
    expect(lab.job(jid).state).toMatchObject({ kind: "running", stop: { cause: "user" } });
  });

  test("a second time does not put off the KILL of the first", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running();
    const cancel = { kind: "cancel-jobs", jids: [jid], recalled: [], forget: false, lenient: false } as const;
    lab.command(cancel);
    const first = lab.now;
    lab.now += 5_000;
    lab.command(cancel);
    expect(lab.job(jid).state).toMatchObject({ stop: { at: first } });
  });
});

test("what is known of a command goes from memory with its last job", () => {
  const lab = Lab.withMachines("a");
  const jid = lab.running({ cmd: "once" });
  lab.exit(jid, 0);
  expect(lab.state.templates.size).toBe(1);
  lab.command({ kind: "jobs-in-history", jobs: [lab.job(jid)] });
  expect(lab.state.templates.size).toBe(0);
});

test("the past leaves the memory in pieces, and with the last of them the answers that are old by then", () => {
  const lab = Lab.withMachines("a");
  const jids = [lab.running({ cmd: "once" })];
  lab.exit(jids[0] ?? -1, 0);
  jids.push(lab.running({ cmd: "once" }));
  lab.exit(jids[1] ?? -1, 0);
  const [one, other] = jids.map((jid) => lab.job(jid));
  if (one === undefined || other === undefined) throw new Error("no jobs");
  lab.happen([{ kind: "request-answered", at: lab.now, id: "old", answer: { kind: "done" } }]);
  lab.now += 8 * 86_400_000;
  lab.happen([{ kind: "request-answered", at: lab.now, id: "young", answer: { kind: "done" } }]);
  const requests = ["old", "young", "unheard-of"];
  lab.command({ kind: "jobs-in-history", jobs: [one], more: true, requests });
  expect([...lab.state.jobs.keys(), ...lab.state.requests.keys()].sort()).toEqual([other.jid, "old", "young"].sort());
  expect(lab.state.templates.size).toBe(1);
  lab.command({ kind: "jobs-in-history", jobs: [other], more: false, requests });
  expect([...lab.state.jobs.keys(), ...lab.state.requests.keys()]).toEqual(["young"]);
  expect(lab.state.templates.size).toBe(0);
});
