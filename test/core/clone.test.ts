/** A clone has the same properties and joins the same matrix and tag; a restart stops first. */
import { describe, expect, test } from "bun:test";
import { decide } from "../../src/core/decide.ts";
import type { Job } from "../../src/core/job.ts";
import { cellVariables } from "../../src/core/matrix.ts";
import { Lab } from "./lab.ts";

function again(lab: Lab, jobs: readonly Job[], how: { count?: number; restart?: boolean } = {}): number[] {
  const answer = lab.answer({ kind: "clone-jobs", jobs, count: how.count ?? 1, restart: how.restart ?? false });
  if (answer.kind !== "jobs") throw new Error(`answered with ${answer.kind}`);
  return Array.from({ length: answer.count }, (_, index) => answer.first + index);
}

describe("a clone", () => {
  test("has command, class, folder, timeout, retries and variables of its job, as they were when that was queued", () => {
    const lab = new Lab();
    lab.command({ kind: "set-variable", name: "SIZE", value: "4", secret: false });
    const jid = lab.add({ cmd: "run {SIZE}", copyTo: "/r", retry: { maxFailures: 2 }, timeoutSeconds: 60, notify: true });
    lab.command({ kind: "set-variable", name: "SIZE", value: "8", secret: false });
    const [clone = -1] = again(lab, [lab.job(jid)]);
    expect(lab.job(clone).spec).toEqual(lab.job(jid).spec);
    expect(lab.job(clone)).toMatchObject({ timeoutSeconds: 60, attempt: 1, retryOf: null, retriedBy: null, state: { kind: "waiting" } });
  });

  test("joins the matrix, at the same cell, and the tag", () => {
    const lab = new Lab();
    const { id, first } = lab.addMatrix({ cmd: "run {A}", keys: [{ name: "A", values: ["x", "y"] }], count: 1 });
    const tag = lab.answer({ kind: "add-tag" });
    if (tag.kind !== "tag") throw new Error(`answered with ${tag.kind}`);
    lab.command({ kind: "tag-jobs", jids: [first + 1], recalled: [], lenient: false, tag: tag.id });
    const [clone = -1] = again(lab, [lab.job(first + 1)]);
    const { matrix } = lab.job(clone);
    const of = lab.state.matrices.get(id);
    if (matrix === null || of === undefined) throw new Error("it is in no matrix");
    expect(cellVariables(of, matrix.cell)).toEqual({ A: "y" });
    expect(lab.job(clone).tag).toBe(tag.id);
    expect(of.jids).toEqual([
      { first, last: first + 1 },
      { first: clone, last: clone },
    ]);
    expect(of.counts.waiting).toBe(3);
  });

  test("of many, N times each, follows their order", () => {
    const lab = new Lab();
    const a = lab.add({ cmd: "a" });
    const b = lab.add({ cmd: "b" });
    expect(again(lab, [lab.job(a), lab.job(b)], { count: 2 }).map((jid) => lab.job(jid).spec.cmd)).toEqual(["a", "a", "b", "b"]);
  });

  test("of one whose matrix and tag are gone is a job of its own", () => {
    const lab = new Lab();
    const { first } = lab.addMatrix({ cmd: "run", keys: [{ name: "A", values: ["x"] }], count: 1 });
    const job = lab.job(first);
    lab.cancel([first], { forget: true });
    const [clone = -1] = again(lab, [job]);
    expect(lab.job(clone)).toMatchObject({ matrix: null, state: { kind: "waiting" } });
  });

  test("is refused when the queue would be too long, and then nothing is stopped", () => {
    const lab = new Lab();
    const jid = lab.add({ count: 3 });
    lab.limits = { ...lab.limits, queuedJobsMax: 4 };
    const jobs = [lab.job(jid)];
    expect(lab.refusal({ kind: "clone-jobs", jobs, count: 2, restart: false })).toBe("limit-exceeded: queued-jobs 4");
    expect(lab.refusal({ kind: "clone-jobs", jobs, count: 5, restart: true })).toBe("limit-exceeded: queued-jobs 4");
    expect(lab.kind(jid)).toBe("waiting");
    // What a restart stops makes room.
    lab.command({ kind: "clone-jobs", jobs, count: 2, restart: true });
    expect(lab.state.counts).toMatchObject({ waiting: 4, canceled: 1 });
  });
});

describe("a restart", () => {
  test("of a job that another client has forgotten meanwhile, or that has left the memory, stops nothing and queues it again", () => {
    const lab = Lab.withMachines("m");
    const jid = lab.add({ cmd: "run" });
    // As the request read it, before the other client came first.
    const stale = lab.job(jid);
    lab.cancel([jid], { forget: true });
    const [clone = -1] = again(lab, [stale], { restart: true });
    expect(lab.job(clone)).toMatchObject({ spec: { cmd: "run" }, retryOf: null });
    expect(lab.state.jobs.has(jid)).toBe(false);
  });

  test("cancels what waits and stops what runs; the clone waits", () => {
    const lab = Lab.withMachines("m");
    const running = lab.running();
    const waiting = lab.add();
    const clones = again(lab, [lab.job(running), lab.job(waiting)], { restart: true });
    expect(lab.stateOf(running, "running").stop).toMatchObject({ cause: "user" });
    expect(lab.kind(waiting)).toBe("canceled");
    expect(clones.map((jid) => lab.kind(jid))).toEqual(["waiting", "waiting"]);
    lab.exit(running, 143);
    expect(lab.kind(running)).toBe("canceled");
    expect(lab.dispatch()).toEqual([`${clones[0]}@m`]);
  });

  test("of an ended job is a clone, and cancels the retry that goes on in its name", () => {
    const lab = Lab.withMachines("m");
    const jid = lab.running({ retry: { maxFailures: null } });
    lab.exit(jid, 1);
    const retry = lab.job(jid).retriedBy ?? -1;
    expect(lab.kind(retry)).toBe("waiting");
    const [clone = -1] = again(lab, [lab.job(jid)], { restart: true });
    expect(lab.kind(retry)).toBe("canceled");
    expect(lab.kind(clone)).toBe("waiting");
  });

  test("of 100,000 waiting jobs, as many as the queue takes, is one event", () => {
    const lab = new Lab();
    lab.limits = { ...lab.limits, queuedJobsMax: 100_000 };
    const { first, count } = lab.addMatrix({ cmd: "run {A}", keys: [{ name: "A", values: ["x", "y"] }], count: 50_000 });
    const jobs = Array.from({ length: count }, (_, index) => lab.job(first + index));
    const decision = decide(lab.state, { kind: "clone-jobs", jobs, count: 1, restart: true }, lab.context);
    if (decision.kind === "refused") throw new Error(decision.code);
    expect(decision.events.filter((event) => event.kind === "jobs-added")).toHaveLength(1);
  });
});
