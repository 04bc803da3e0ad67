/** Tags: groups made by hand, by ids of the same counter. */
import { describe, expect, test } from "bun:test";
import { problem } from "../../src/core/problem.ts";
import { Lab } from "./lab.ts";

function newTag(lab: Lab): number {
  const answer = lab.answer({ kind: "add-tag" });
  if (answer.kind !== "tag") throw new Error(`answered with ${answer.kind}`);
  return answer.id;
}

const put = (jids: readonly number[], tag: number | null) => ({ kind: "tag-jobs", jids, recalled: [], lenient: false, tag }) as const;

describe("a tag", () => {
  test("draws its id from the counter of the jobs, and holds what is put in by hand or queued into it", () => {
    const lab = new Lab();
    const jid = lab.add();
    const tag = newTag(lab);
    expect(tag).toBe(jid + 1);
    const queued = lab.add({ tag });
    lab.command(put([jid], tag));
    expect(lab.state.tags.get(tag)?.jids).toEqual([
      { first: jid, last: jid },
      { first: queued, last: queued },
    ]);
  });

  test("gives a job up to another tag, and to none", () => {
    const lab = new Lab();
    const [a, b] = [newTag(lab), newTag(lab)];
    const jid = lab.add({ tag: a });
    lab.command(put([jid], b));
    expect([lab.state.tags.get(a)?.jids, lab.state.tags.get(b)?.jids]).toEqual([[], [{ first: jid, last: jid }]]);
    lab.command(put([jid], null));
    expect(lab.job(jid).tag).toBeNull();
    expect(lab.state.tags.get(b)?.jids).toEqual([]);
  });

  test("takes jobs in every state, those of the past too", () => {
    const lab = Lab.withMachines("m");
    const tag = newTag(lab);
    const done = lab.running();
    lab.exit(done, 0);
    const past = lab.job(done);
    lab.command({ kind: "jobs-in-history", jobs: [past] });
    expect(lab.state.jobs.has(done)).toBe(false);
    const running = lab.running();
    lab.command({ ...put([done, running], tag), recalled: [past] });
    expect([lab.job(done).tag, lab.job(running).tag]).toEqual([tag, tag]);
    lab.command({ kind: "run-lost", jid: running, runId: lab.runId(running), problem: problem("rebooted"), sessionEmpty: false });
    lab.command(put([running], null));
    expect(lab.job(running).tag).toBeNull();
  });

  test("is joined by retries", () => {
    const lab = Lab.withMachines("m");
    const tag = newTag(lab);
    const jid = lab.running({ tag, retry: { maxFailures: 2 } });
    lab.exit(jid, 1);
    expect(lab.job(lab.job(jid).retriedBy ?? -1).tag).toBe(tag);
  });

  test("that is none refuses; jobs that are none are named", () => {
    const lab = new Lab();
    const jid = lab.add();
    expect(lab.refusal(put([jid], 9))).toBe("no-such-tag: 9");
    expect(lab.answer(put([jid, 7], null))).toEqual({ kind: "per-job", failed: [{ jid: 7, code: "no-such-job" }] });
  });

  test("forgets a job that is forgotten, and stays when it is empty", () => {
    const lab = new Lab();
    const tag = newTag(lab);
    const jid = lab.add({ tag });
    lab.cancel([jid], { forget: true });
    expect(lab.state.tags.get(tag)?.jids).toEqual([]);
  });
});

describe("the line", () => {
  test("stands after one job, moves, and goes with it", () => {
    const lab = new Lab();
    const jid = lab.add({ count: 2 });
    lab.command({ kind: "set-line", jid });
    expect(lab.state.line).toBe(jid);
    lab.command({ kind: "set-line", jid: jid + 1 });
    lab.cancel([jid + 1], { forget: true });
    expect(lab.state.line).toBeNull();
    expect(lab.refusal({ kind: "set-line", jid: 99 })).toBe("no-such-job: 99");
  });
});
