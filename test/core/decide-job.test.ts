import { describe, expect, test } from "bun:test";
import { problem } from "../../src/core/problem.ts";
import { addJobs as jobs, kinds, Lab, addMatrix as matrix, someResults } from "./lab.ts";

describe("job add", () => {
  test("queues N jobs in one event, with ids that follow each other", () => {
    const lab = new Lab();
    expect(lab.answer(jobs({ count: 10_000, cmd: "run {JID}" }))).toEqual({ kind: "jobs", first: 0, count: 10_000 });
    expect(lab.journal).toHaveLength(1);
    expect(lab.state.counts.waiting).toBe(10_000);
    expect(lab.add()).toBe(10_000);
  });

  test("draws from the counter of matrices and jobs", () => {
    const lab = new Lab();
    const { id } = lab.addMatrix({ keys: [{ name: "A", values: ["1", "2"] }] });
    expect([id, lab.add()]).toEqual([0, 3]);
  });

  test("refuses a command without words, one with NUL, a bad class and a tag that is not there", () => {
    const lab = new Lab();
    expect(lab.refusal(jobs({ cmd: " \t" }))).toBe("bad-command: empty");
    expect(lab.refusal(jobs({ cmd: "a\0b" }))).toBe("bad-command: nul");
    expect(lab.refusal(jobs({ class: "-x" }))).toBe("bad-class-name: -x");
    expect(lab.refusal(jobs({ tag: 3 }))).toBe("no-such-tag: 3");
    expect(lab.journal).toEqual([]);
  });

  test("refuses a secret in CP_PATH: the name of a folder is seen by everyone", () => {
    const lab = new Lab();
    lab.command({ kind: "set-variable", name: "KEY", value: "k", secret: true });
    expect(lab.refusal(jobs({ copyTo: "/r/{KEY}" }))).toBe("bad-placeholder: KEY secret-in-path");
    expect(lab.refusal(jobs({ cmd: "run {KEY}", copyTo: "/r/${KEY}" }))).toBeNull();
    expect(lab.refusal(matrix({ copyTo: "/r/{KEY}", keys: [{ name: "KEY", values: ["plain"] }] }))).toBeNull();
  });

  test("refuses more than the queue holds, and counts what has not ended only", () => {
    const lab = Lab.withMachines("a");
    lab.limits = { ...lab.limits, queuedJobsMax: 3 };
    const jid = lab.running();
    lab.add();
    expect(lab.refusal(jobs({ count: 2 }))).toBe("limit-exceeded: queued-jobs 3");
    expect(lab.refusal(matrix({ keys: [{ name: "A", values: ["1", "2"] }] }))).toBe("limit-exceeded: queued-jobs 3");
    lab.exit(jid, 0);
    expect(lab.refusal(jobs({ count: 2 }))).toBeNull();
  });

  test("a matrix beyond all measure is refused before it is built", () => {
    const values = Array.from({ length: 1_000 }, (_, index) => String(index));
    const keys = ["A", "B", "C", "D", "E", "F", "G"].map((name) => ({ name, values }));
    expect(new Lab().refusal(matrix({ keys }))).toBe("limit-exceeded: queued-jobs 200000");
  });

  test("a matrix needs keys with values, each once and well named", () => {
    const lab = new Lab();
    const one = { name: "A", values: ["1"] };
    expect(lab.refusal(matrix({ keys: [] }))).toBe("bad-matrix: no-values");
    expect(lab.refusal(matrix({ keys: [one, { name: "B", values: [] }] }))).toBe("bad-matrix: no-values B");
    expect(lab.refusal(matrix({ keys: [one, one] }))).toBe("bad-matrix: name-twice A");
    expect(lab.refusal(matrix({ keys: [{ name: "1", values: ["1"] }] }))).toBe("bad-variable-name: 1");
  });
});

describe("job rm", () => {
  test("ends at once what does not run", () => {
    const lab = Lab.withMachines("a");
    lab.add({ count: 2 });
    lab.command({ kind: "hold-jobs", jids: [1], lenient: false });
    expect(lab.cancel([0, 1])).toEqual({ kind: "per-job", failed: [] });
    expect(lab.stateOf(0, "canceled")).toMatchObject({ run: null, startedAt: null, problem: { code: "canceled" } });
    expect(lab.kind(1)).toBe("canceled");
    expect(lab.dispatch()).toEqual([]);
  });

  test("asks a running job to stop and waits for its death before it frees the machine", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running({ retry: { maxFailures: null } });
    lab.cancel([jid]);
    expect(lab.stateOf(jid, "running").stop).toEqual({ cause: "user", at: lab.now, forget: false });
    expect(lab.machine("a").assignment.kind).toBe("busy");
    lab.exit(jid, 143);
    expect(lab.stateOf(jid, "canceled")).toMatchObject({ exitCode: 143, problem: { code: "canceled" } });
    expect(lab.machine("a").assignment.kind).toBe("free");
    expect(lab.job(jid).retriedBy).toBeNull();
  });

  test("of a job that exits with 0 all the same still cancels it", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running({ copyTo: "/r" });
    lab.cancel([jid]);
    lab.exit(jid, 0, { prefixes: ["out"] });
    expect(lab.stateOf(jid, "canceled").exitCode).toBe(0);
  });

  test("of a job that is being started holds when the start is seen, and ends it when there was none", () => {
    const lab = Lab.withMachines("a", "b");
    lab.add({ count: 2 });
    lab.dispatch();
    lab.cancel([0, 1]);
    expect(lab.stateOf(0, "starting").stop?.cause).toBe("user");
    lab.start(0);
    expect(lab.stateOf(0, "running").stop?.cause).toBe("user");
    lab.command({ kind: "run-not-started", jid: 1, runId: lab.runId(1), problem: problem("start-failed") });
    expect(lab.kind(1)).toBe("canceled");
    expect(lab.machine("b").assignment.kind).toBe("free");
  });

  test("of a copying job ends it at once", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running({ copyTo: "/r" });
    lab.exit(jid, 0, { prefixes: ["out"] });
    lab.cancel([jid]);
    expect(lab.kind(jid)).toBe("canceled");
    expect(lab.command({ kind: "results-copied", jid, runId: lab.runId(jid), results: someResults, warning: null })).toEqual([]);
  });

  test("of an ended job named alone fails; in a set it is passed over", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running();
    lab.exit(jid, 0);
    expect(lab.cancel([jid, 99])).toEqual({
      kind: "per-job",
      failed: [
        { jid, code: "job-ended" },
        { jid: 99, code: "no-such-job" },
      ],
    });
    expect(lab.cancel([jid, 99], { lenient: true })).toEqual({ kind: "per-job", failed: [] });
  });

  test("of a failed job stops the retry that goes on in its name, however far down", () => {
    const lab = Lab.withMachines("a");
    const first = lab.running({ retry: { maxFailures: null } });
    lab.exit(first, 1);
    const second = lab.job(first).retriedBy ?? -1;
    lab.command({ kind: "back-off-over", jid: second });
    lab.dispatch();
    lab.start(second);
    lab.exit(second, 1);
    const third = lab.job(second).retriedBy ?? -1;
    expect(lab.cancel([first])).toEqual({ kind: "per-job", failed: [] });
    expect([first, second, third].map((jid) => lab.kind(jid))).toEqual(["failed", "failed", "canceled"]);
  });

  test.each([
    { order: [0, 1], forget: false },
    { order: [1, 0], forget: false },
    { order: [0, 1], forget: true },
    { order: [1, 0], forget: true },
  ])("of a failed job and its retry together stops the retry once: %j", ({ order, forget }) => {
    const lab = Lab.withMachines("a");
    const jid = lab.running({ retry: { maxFailures: null } });
    lab.exit(jid, 1);
    expect(lab.job(jid).retriedBy).toBe(1);
    expect(lab.cancel(order, { forget })).toEqual({ kind: "per-job", failed: [] });
    expect(lab.journal.filter(({ kind }) => kind === "job-canceled")).toHaveLength(1);
    if (forget) expect(lab.state.jobs.size).toBe(0);
    else expect(lab.kind(1)).toBe("canceled");
  });

  test("again, when the machine cannot be reached, ends it: its processes may still run", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running();
    lab.unreachable("a");
    lab.cancel([jid]);
    expect(lab.kind(jid)).toBe("running");
    lab.cancel([jid]);
    expect(lab.stateOf(jid, "canceled").problem.code).toBe("processes-may-still-run");
    expect(lab.machine("a").assignment.kind).toBe("free");
  });

  test("again, while the machine can be reached, waits on", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running();
    lab.cancel([jid]);
    lab.cancel([jid]);
    expect(lab.kind(jid)).toBe("running");
  });

  test("again, when nothing is sent to the machine because of its host key, ends it too", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running();
    lab.unreachable("a", problem("host-key-changed"));
    lab.cancel([jid]);
    lab.cancel([jid]);
    expect(lab.kind(jid)).toBe("canceled");
  });

  test("a timeout that came first does not make a person's first request the second", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running({ timeoutSeconds: 1 });
    lab.command({ kind: "timeout-reached", jid, runId: lab.runId(jid) });
    lab.unreachable("a");
    lab.cancel([jid]);
    expect(lab.stateOf(jid, "running").stop?.cause).toBe("user");
  });

  test("of an unknown job ends it and frees the machine", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running();
    lab.lose(jid, false);
    expect(lab.machine("a").assignment.kind).toBe("busy");
    lab.cancel([jid]);
    expect(lab.stateOf(jid, "canceled").problem.code).toBe("processes-may-still-run");
    expect(lab.machine("a").assignment.kind).toBe("free");
  });

  test("with -f forgets what has ended, and what runs once its end is seen", () => {
    const lab = Lab.withMachines("a", "b");
    lab.add({ count: 3 });
    lab.dispatch();
    lab.start(0);
    lab.exit(0, 0);
    lab.start(1);
    lab.cancel([0, 1, 2], { forget: true });
    expect([...lab.state.jobs.keys()]).toEqual([1]);
    lab.exit(1, 143);
    expect(lab.state.jobs.size).toBe(0);
    expect(Object.values(lab.state.counts)).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  });

  test.each(["a person", "the machine's removal"])("what was to be forgotten is, though %s asks again without it", (who) => {
    const lab = Lab.withMachines("a");
    const jid = lab.running();
    lab.cancel([jid], { forget: true });
    if (who === "a person") lab.cancel([jid]);
    else lab.command({ kind: "remove-machines", addrs: ["a"] });
    lab.exit(jid, 143);
    expect(lab.state.jobs.has(jid)).toBe(false);
  });

  test("brings a job back from history before it forgets it", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running();
    lab.exit(jid, 0);
    const ended = lab.job(jid);
    lab.command({ kind: "jobs-in-history", jobs: [ended] });
    expect(lab.cancel([jid])).toMatchObject({ failed: [{ code: "no-such-job" }] });
    lab.cancel([jid], { forget: true, recalled: [ended] });
    expect(kinds(lab.journal.slice(-2))).toEqual(["job-recalled", "job-forgotten"]);
    expect(lab.state.counts.done).toBe(0);
  });

  test("finds the retry of a job that is in history", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running({ retry: { maxFailures: null } });
    lab.exit(jid, 1);
    const failed = lab.job(jid);
    lab.command({ kind: "jobs-in-history", jobs: [failed] });
    expect(lab.cancel([jid], { recalled: [failed] })).toEqual({ kind: "per-job", failed: [] });
    expect(lab.kind(failed.retriedBy ?? -1)).toBe("canceled");
  });
});

describe("job hold and unhold", () => {
  test("keep a waiting job from starting and let it go", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.add();
    lab.command({ kind: "hold-jobs", jids: [jid], lenient: false });
    expect(lab.dispatch()).toEqual([]);
    lab.command({ kind: "unhold-jobs", jids: [jid], lenient: false });
    expect(lab.dispatch()).toEqual(["0@a"]);
  });

  test("name each job that they do not fit, unless it came with a set", () => {
    const lab = Lab.withMachines("a");
    const running = lab.running();
    const waiting = lab.add();
    expect(lab.answer({ kind: "hold-jobs", jids: [running, waiting, 77], lenient: false })).toEqual({
      kind: "per-job",
      failed: [
        { jid: running, code: "job-not-waiting" },
        { jid: 77, code: "no-such-job" },
      ],
    });
    expect(lab.answer({ kind: "unhold-jobs", jids: [running], lenient: false })).toMatchObject({ failed: [{ code: "job-not-held" }] });
    expect(lab.answer({ kind: "hold-jobs", jids: [running, waiting], lenient: true })).toEqual({ kind: "per-job", failed: [] });
  });
});
