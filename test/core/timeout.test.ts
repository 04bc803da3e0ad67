/** Timeouts count from the start, and may be set, changed and removed while a job waits or runs. */
import { describe, expect, test } from "bun:test";
import { apply } from "../../src/core/apply.ts";
import { decide } from "../../src/core/decide.ts";
import { type Effect, react } from "../../src/core/react.ts";
import { Lab } from "./lab.ts";

const setTimeoutOf = (jids: readonly number[], timeoutSeconds: number | null, lenient = false) =>
  ({ kind: "set-timeout", jids, lenient, timeoutSeconds }) as const;

/** What the daemon is told to do. */
function effects(lab: Lab, jids: readonly number[], timeoutSeconds: number | null): readonly Effect[] {
  const decision = decide(lab.state, setTimeoutOf(jids, timeoutSeconds), lab.context);
  if (decision.kind === "refused") throw new Error(decision.code);
  let state = lab.state;
  const all: Effect[] = [];
  for (const event of decision.events) {
    const after = apply(state, event);
    all.push(...react(event, state, after));
    state = after;
  }
  return all;
}

describe("settimeout", () => {
  test("is remembered by a job that waits, is held, starts or runs", () => {
    const lab = Lab.withMachines("m");
    const running = lab.running();
    const waiting = lab.add();
    const held = lab.add({ timeoutSeconds: 5 });
    lab.command({ kind: "hold-jobs", jids: [held], lenient: false });
    lab.command(setTimeoutOf([running, waiting, held], 90));
    expect([running, waiting, held].map((jid) => lab.job(jid).timeoutSeconds)).toEqual([90, 90, 90]);
    lab.command(setTimeoutOf([running, waiting, held], null));
    expect([running, waiting, held].map((jid) => lab.job(jid).timeoutSeconds)).toEqual([null, null, null]);
    expect(lab.kind(running)).toBe("running");
  });

  test("arms the timer of a running job anew, also to take it away, and needs none for one that waits", () => {
    const lab = Lab.withMachines("m");
    const running = lab.running({ timeoutSeconds: 60 });
    const waiting = lab.add();
    expect(effects(lab, [running], 5)).toEqual([{ kind: "watch-timeout", jid: running }]);
    expect(effects(lab, [running], null)).toEqual([{ kind: "watch-timeout", jid: running }]);
    expect(effects(lab, [running], 60)).toEqual([]);
    expect(effects(lab, [waiting], 5)).toEqual([]);
  });

  test("refuses a job that has ended, is named one by one, and passes over those of a set", () => {
    const lab = Lab.withMachines("m");
    const jid = lab.running();
    lab.exit(jid, 0);
    expect(lab.answer(setTimeoutOf([jid, 9], 5))).toEqual({
      kind: "per-job",
      failed: [
        { jid, code: "job-over" },
        { jid: 9, code: "no-such-job" },
      ],
    });
    expect(lab.answer(setTimeoutOf([jid], 5, true))).toEqual({ kind: "per-job", failed: [] });
  });

  test("goes on in a retry and a clone", () => {
    const lab = Lab.withMachines("m");
    const jid = lab.running({ retry: { maxFailures: null } });
    lab.command(setTimeoutOf([jid], 77));
    lab.exit(jid, 1);
    expect(lab.job(lab.job(jid).retriedBy ?? -1).timeoutSeconds).toBe(77);
    const clone = lab.answer({ kind: "clone-jobs", jobs: [lab.job(jid)], count: 1, restart: false });
    expect(clone.kind === "jobs" ? lab.job(clone.first).timeoutSeconds : null).toBe(77);
  });
});

test("a timeout that is reached stops the job, which then failed as timed out, whatever it exits with", () => {
  const lab = Lab.withMachines("m");
  const jid = lab.running({ timeoutSeconds: 5 });
  lab.now += 5_000;
  lab.command({ kind: "timeout-reached", jid, runId: lab.runId(jid) });
  expect(lab.stateOf(jid, "running").stop).toMatchObject({ cause: "timeout" });
  lab.exit(jid, 0);
  expect(lab.stateOf(jid, "failed").problem.code).toBe("timed-out");
});
