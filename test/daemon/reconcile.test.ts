/** What a restart takes up, and that nothing waits for what does not answer. */
import { describe, expect, test } from "bun:test";
import type { Job, Run } from "../../src/core/job.ts";
import { problem } from "../../src/core/problem.ts";
import type { State } from "../../src/core/state.ts";
import { EMPTY_STATE } from "../../src/core/state.ts";
import { isLeftover, reconcile } from "../../src/daemon/reconcile.ts";
import { FakeHosts, FakeRunner } from "../fakes/runner.ts";
import { Assembly, MemoryLog } from "./assembly.ts";

test("a machine that never answers holds up neither the runs on this host nor new jobs", async () => {
  const hosts = new FakeHosts();
  const fake = new FakeRunner(hosts);
  const first = await Assembly.open({ runners: { local: fake, ssh: fake } });
  await first.pool("x", "far", "local");
  const far = await first.running();
  const near = await first.running();
  expect([first.run(far.jid).machine, first.run(near.jid).machine]).toEqual(["far", "local"]);
  hosts.finish(near.runId, 0);
  await first.until(near.jid, "done");
  const second = await first.running();
  await first.pool("x", "local/free");
  const silent = Object.assign(Object.create(fake) as FakeRunner, { attach: () => new Promise<never>(() => undefined) });
  await using daemon = await first.restart({ runners: { local: fake, ssh: silent } });
  hosts.finish(second.runId, 7);
  const waiting = await daemon.add();
  void daemon.begin();
  await daemon.until(second.jid, "failed");
  await daemon.until(waiting, "running");
  expect(daemon.job(far.jid).state.kind).toBe("running");
});

test("a thousand runs of this host are classified in less than 5 s of processor time", async () => {
  const first = await Assembly.open();
  const addrs = Array.from({ length: 1_000 }, (_, index) => `local/${index}`);
  await first.pool("x", ...addrs);
  const jid = await first.add({ count: 1_000 });
  await first.until(jid + 999, "running");
  await using daemon = await first.restart();
  const before = process.cpuUsage();
  for (const runId of daemon.hosts.running().slice(0, 500)) daemon.hosts.finish(runId, 1);
  await daemon.begin();
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1_000).toBeLessThan(5_000);
  expect(daemon.engine.state.counts).toMatchObject({ running: 500, failed: 500 });
});

test("what waits, what is away and what copies is each handed to who takes care of it", async () => {
  const daemon = await Assembly.open();
  await using _ = daemon;
  await daemon.pool("x", "a", "b");
  daemon.hosts.disconnect("b");
  await daemon.engine.observe({ kind: "machine-unreachable", addr: "b", problem: problem("unreachable") });
  const { jid, runId } = await daemon.running({ retry: { maxFailures: null } });
  // As it is at that moment: the back-off of a test is short.
  let failed: State | null = null;
  daemon.engine.subscribe(({ after }) => {
    if (after.jobs.get(jid)?.state.kind === "failed") failed ??= after;
  });
  daemon.hosts.finish(runId, 1);
  await daemon.until(jid, "failed");
  const seen: string[] = [];
  await reconcile({
    state: failed ?? daemon.engine.state,
    attach: async (job) => `attach ${job}`,
    isHere: () => true,
    copy: (job) => seen.push(`copy ${job}`),
    watchBackOff: (job) => seen.push(`back-off ${job}`),
    probe: (addr) => seen.push(`probe ${addr}`),
    log: new MemoryLog(),
  });
  expect(seen).toEqual(["back-off 1", "probe b"]);
});

describe("a run directory of this host is a leftover", () => {
  const run: Run = { runId: "r", machine: "local", log: "/l", errLog: "/e" };
  const spec: Job["spec"] = { kind: "job", class: "x", cmd: "c", copyTo: null, retry: null, notify: false, variables: {}, secrets: [] };
  const job = (state: Job["state"]): Job => ({
    jid: 0,
    spec,
    matrix: null,
    tag: null,
    attempt: 1,
    retryOf: null,
    retriedBy: null,
    timeoutSeconds: null,
    created: 0,
    state,
  });
  const ended = { startedAt: 0, endedAt: 1, exitCode: 0, prefixes: [] };
  const state = { ...EMPTY_STATE, nextId: 1 };
  const failed = { kind: "failed", run, ...ended, problem: problem("results-missing") } as const;
  test.each([
    ["of a job that is forgotten", undefined, true],
    ["of a job that is done", job({ kind: "done", run, ...ended, results: null, warning: null }), true],
    ["of an earlier run", job({ kind: "done", run: { ...run, runId: "s" }, ...ended, results: null, warning: null }), true],
    ["but not of a job that runs", job({ kind: "running", run, startedAt: 0, stop: null }), false],
    ["but not when its results were not copied", job({ ...failed, resultsNotCopied: true }), false],
    [
      "but not when its processes may still run",
      job({ kind: "canceled", run, startedAt: 0, endedAt: 1, exitCode: null, problem: problem("processes-may-still-run") }),
      false,
    ],
  ] as const)("%s", (_name, past, expected) => {
    expect(isLeftover(state, { jid: 0, runId: "r" }, past)).toBe(expected);
  });

  test("but not when its id was never given: another server's, or of a state that was set aside", () => {
    expect(isLeftover(state, { jid: 5, runId: "r" }, undefined)).toBe(false);
  });
});
