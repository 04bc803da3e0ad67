/** What people are told of the queue, and when: a real engine on fake machines, a real HTTP server as the webhook, and a clock that the test moves. */
import { describe, expect, test } from "bun:test";
import type { AddMatrix } from "../../../src/core/command.ts";
import { problem } from "../../../src/core/problem.ts";
import { waitFor } from "../../support/wait-for.ts";
import { hook, type ManualClock, Notified, type NotifiedOptions } from "./notified.ts";
import { WebhookServer } from "./webhook-server.ts";

const QUIET_MS = 1_000;

/** With a clock, time goes on meanwhile: a queue that was still busy with the last message sets its alarm when it is through. */
async function told(server: WebhookServer, count: number, clock?: ManualClock): Promise<void> {
  const isTold = (): boolean => {
    if (server.received.length >= count) return true;
    clock?.advance(1_000);
    return false;
  };
  await waitFor(isTold, { what: () => `${count} messages: ${JSON.stringify(server.texts)}` });
}

function slack(server: WebhookServer, more: Omit<NotifiedOptions, "webhooks"> = {}): NotifiedOptions {
  return { webhooks: [hook(server.url)], ...more };
}

describe("at once", () => {
  test("a job that fails is told with its exit code and the last line of its error log", async () => {
    await using server = new WebhookServer();
    await using notified = await Notified.open(slack(server, { wants: { fail: true } }));
    await notified.daemon.pool("x", "m");
    await notified.ended(3, { cmd: "bench --fast" }, "warming up\nno such device\n\n");
    await notified.ended(0);
    notified.clock.advance(QUIET_MS);
    await told(server, 1);
    expect(server.received).toHaveLength(1);
    expect(server.texts[0]).toContain("1 job failed");
    expect(server.texts[0]).toMatch(/Job 0 failed on `m` after \w+: Exited with 3\. `bench --fast`\n {4}`no such device`/);
    expect(server.received[0]?.headers.get("content-type")).toStartWith("application/json");
  });

  test("without a flag only a job with --notify is told, done, failed or canceled, with who is to be mentioned", async () => {
    await using server = new WebhookServer();
    await using notified = await Notified.open({ webhooks: [hook(server.url, { user: "U012AB3CD" })] });
    await notified.daemon.pool("x", "m");
    await notified.ended(0);
    await notified.ended(1, { cmd: "other" });
    expect(notified.clock.count).toBe(0);
    await notified.ended(0, { notify: true, cmd: "a" });
    await notified.ended(2, { notify: true, cmd: "b" });
    const waiting = await notified.daemon.add({ class: "none", notify: true, cmd: "c" });
    await notified.daemon.cancel(waiting);
    notified.clock.advance(QUIET_MS);
    await told(server, 1);
    expect(server.texts[0]).toStartWith("<@U012AB3CD> *expjobserver on ");
    expect(server.texts[0]).toContain("1 job failed, 1 canceled, 1 done");
    for (const said of ["Job 2 is done", "Job 3 failed", "Job 4 was canceled"]) expect(server.texts[0]).toContain(said);
  });

  test("of a job with --notify that is tried again, the last attempt is told", async () => {
    await using server = new WebhookServer();
    await using notified = await Notified.open(slack(server));
    await notified.daemon.pool("x", "m");
    await notified.ended(1, { notify: true, retry: { maxFailures: 2 } });
    expect(notified.clock.count).toBe(0);
    await notified.daemon.engine.observe({ kind: "back-off-over", jid: 1 });
    await notified.daemon.until(1, "running");
    notified.daemon.hosts.finish(notified.daemon.run(1).runId, 1);
    await notified.daemon.until(1, "failed");
    notified.clock.advance(QUIET_MS);
    await told(server, 1);
    expect(server.texts[0]).toContain("Job 1 failed");
  });

  test("each flag selects its own", async () => {
    await using server = new WebhookServer();
    await using notified = await Notified.open(slack(server, { wants: { running: true, copied: true } }));
    await notified.daemon.pool("x", "m");
    const { jid, runId } = await notified.daemon.running({ copyTo: "/results" });
    notified.daemon.printed(jid, "RESULTS: out\n");
    notified.daemon.hosts.finish(runId, 0);
    await notified.daemon.until(jid, "done");
    await notified.ended(1, { cmd: "other" });
    notified.clock.advance(QUIET_MS);
    await told(server, 1);
    expect(server.texts[0]).toContain("1 job with results copied, 2 started");
    expect(server.texts[0]).toContain("Results: `/results`");
    expect(server.texts[0]).not.toContain("failed");
  });

  test("500 failures in a minute are one message, which counts all and names a few", async () => {
    await using server = new WebhookServer();
    await using notified = await Notified.open(slack(server, { wants: { fail: true } }));
    const machines = Array.from({ length: 500 }, (_, index) => `m${index}`);
    await notified.daemon.pool("x", ...machines);
    await notified.daemon.add({ count: 500 });
    await waitFor(() => notified.daemon.hosts.running().length === 500 && notified.daemon.job(499).state.kind === "running");
    for (const runId of notified.daemon.hosts.running()) {
      notified.daemon.hosts.finish(runId, 1);
      notified.clock.advance(100);
    }
    await waitFor(() => notified.daemon.engine.state.counts.failed === 500);
    notified.clock.advance(60_000);
    await told(server, 1);
    expect(server.received).toHaveLength(1);
    expect(server.texts[0]).toContain("500 jobs failed");
    expect(server.texts[0]).toContain("and 490 more");
    expect(server.texts[0]?.length).toBeLessThan(4_000);
  });

  test("a machine is told when it is quarantined, when it was away for ten minutes, and when it is back", async () => {
    await using server = new WebhookServer();
    await using notified = await Notified.open(slack(server, { wants: { machineBroken: true } }));
    const { engine } = notified.daemon;
    await notified.daemon.pool("x", "a", "b", "c");
    const away = (addr: string) =>
      engine.observe({ kind: "machine-unreachable", addr, problem: problem("unreachable", { machine: addr }) });
    // The server looks at it by itself in between.
    notified.daemon.hosts.disconnect("a");
    notified.daemon.hosts.disconnect("c", problem("host-key-changed", { machine: "c" }));
    await away("a");
    await away("b");
    await engine.observe({ kind: "machine-reachable", addr: "b" });
    await engine.observe({ kind: "machine-unreachable", addr: "c", problem: problem("host-key-changed", { machine: "c" }) });
    notified.clock.advance(QUIET_MS);
    await told(server, 1);
    expect(server.texts[0]).toContain("Machine `c` (class `x`) is quarantined: The host key of");
    expect(server.texts[0]).not.toContain("`a`");
    notified.clock.advance(10 * 60_000);
    await told(server, 2, notified.clock);
    expect(server.texts[1]).toContain("Machine `a` (class `x`) has been unreachable for long");
    expect(server.texts[1]).not.toContain("`b`");
    for (const addr of ["a", "c"]) notified.daemon.hosts.reconnect(addr);
    await engine.observe({ kind: "machine-reachable", addr: "a" });
    await engine.submit({ kind: "restore-machines", addrs: ["c"] });
    await told(server, 3, notified.clock);
    expect(server.texts[2]).toContain("2 machines back");
  });
});

describe("a matrix", () => {
  const matrix: AddMatrix = {
    kind: "add-matrix",
    class: "x",
    cmd: "run {A}",
    copyTo: null,
    count: 1,
    retry: { maxFailures: 2 },
    timeoutSeconds: null,
    notify: false,
    keys: [{ name: "A", values: ["1", "2", "3"] }],
  };

  test("that has ended is told with its counts, retries apart from failures", async () => {
    await using server = new WebhookServer();
    await using notified = await Notified.open({
      webhooks: [hook(server.url), hook(`${server.url}/json`, { kind: "json" })],
      wants: { fail: true },
    });
    const { daemon, clock } = notified;
    await daemon.pool("x", "a", "b", "c");
    await daemon.engine.submit(matrix);
    await waitFor(() => daemon.hosts.running().length === 3 && [1, 2, 3].every((jid) => daemon.job(jid).state.kind === "running"));
    for (const [jid, code] of [
      [1, 0],
      [2, 1],
      [3, 1],
    ] as const) {
      daemon.hosts.finish(daemon.run(jid).runId, code);
      await daemon.until(jid, code === 0 ? "done" : "failed");
    }
    for (const [jid, code] of [
      [4, 0],
      [5, 1],
    ] as const) {
      await daemon.engine.observe({ kind: "back-off-over", jid });
      await daemon.until(jid, "running");
      daemon.hosts.finish(daemon.run(jid).runId, code);
      await daemon.until(jid, code === 0 ? "done" : "failed");
    }
    clock.advance(QUIET_MS);
    await told(server, 2);
    const text = server.received.map(({ text: body }) => JSON.parse(body)).find((body) => "text" in body)?.text as string;
    expect(text).toContain("1 matrix ended, 3 jobs failed");
    expect(text).toContain("*Matrix 0 has ended*: 2 done, 1 failed; 2 failures retried. `run {A}`");
    expect(text).toContain("Of matrix 0: 3 jobs failed");
    const json = server.received.map(({ text: body }) => JSON.parse(body)).find((body) => "version" in body);
    const ended = json.events.find((event: { kind: string }) => event.kind === "matrix-ended");
    expect(ended).toMatchObject({ matrix: { id: 0, counts: { done: 2, failed: 3 } }, retried_failures: 2 });
    expect(json.matrices).toEqual([{ id: 0, counts: { job_failed: 3 } }]);
  });

  test("nobody asked about is not told", async () => {
    await using server = new WebhookServer();
    await using notified = await Notified.open(slack(server));
    await notified.daemon.pool("x", "a", "b", "c");
    await notified.daemon.engine.submit({ ...matrix, retry: null });
    await waitFor(
      () => notified.daemon.hosts.running().length === 3 && [1, 2, 3].every((jid) => notified.daemon.job(jid).state.kind === "running"),
    );
    for (const runId of notified.daemon.hosts.running()) notified.daemon.hosts.finish(runId, 0);
    await waitFor(() => notified.daemon.engine.state.counts.done === 3);
    expect(notified.clock.count).toBe(0);
  });
});

describe("a summary", () => {
  test("comes every interval, with what the flags select; --notify jobs do not wait for it; without news there is none", async () => {
    await using server = new WebhookServer();
    await using notified = await Notified.open(slack(server, { summaryIntervalMs: 30 * 60_000, wants: { complete: true } }));
    await notified.daemon.pool("x", "m");
    await notified.ended(0);
    await notified.ended(0, { cmd: "two" });
    await notified.ended(0, { cmd: "mine", notify: true });
    notified.clock.advance(QUIET_MS);
    await told(server, 1);
    expect(server.texts[0]).toContain("Job 2 is done");
    expect(server.texts[0]).not.toContain("Job 0");
    notified.clock.advance(29 * 60_000);
    notified.clock.advance(60_000);
    await told(server, 2, notified.clock);
    expect(server.texts[1]).toContain("summary: 2 jobs done");
    expect(server.texts[1]).toContain("Now: 0 waiting");
    // Let the queue settle, then an hour without news: no alarm is set at all.
    await waitFor(() => notified.clock.count === 0);
  });

  test("alone, --summary-interval means ends and broken machines", async () => {
    await using server = new WebhookServer();
    await using notified = await Notified.open(slack(server, { summaryIntervalMs: 60_000 }));
    await notified.daemon.pool("x", "m");
    await notified.ended(0);
    await notified.ended(1, { cmd: "two" });
    notified.clock.advance(60_000);
    notified.clock.advance(QUIET_MS);
    await told(server, 1);
    expect(server.texts[0]).toContain("summary: 1 job failed, 1 done");
  });
});

describe("what must not be told", () => {
  test("the value of a secret that a job printed, in whatever disguise, also after it was changed", async () => {
    await using server = new WebhookServer();
    await using notified = await Notified.open({
      webhooks: [hook(server.url), hook(`${server.url}/json`, { kind: "json" })],
      wants: { fail: true },
    });
    await notified.secret("TOKEN", "hunter2&co");
    await notified.secret("KEY", "first line of it\nsecond line of it");
    await notified.secret("PIN", "7");
    await notified.daemon.pool("x", "m");
    const cmd = "login {TOKEN} {KEY} {PIN}";
    const { jid, runId } = await notified.daemon.running({ cmd });
    await notified.secret("TOKEN", "changed-later");
    await Bun.write(
      notified.daemon.run(jid).errLog,
      "ok\nhunter2&co and hun\x1b[31mter2&co and second line of it and 7 and changed-later\n",
    );
    notified.daemon.hosts.finish(runId, 1);
    await notified.daemon.until(jid, "failed");
    await notified.ended(1, { cmd: "typed changed-later in the open", class: "x" });
    notified.clock.advance(QUIET_MS);
    await told(server, 2);
    const all = server.received.map(({ text }) => text).join("\n");
    for (const value of ["hunter2", "second line", "first line", "changed-later", " and 7"]) expect(all).not.toContain(value);
    expect(all).toContain("login ******** ******** ********");
    expect(all).toContain("******** and ******** and ********");
  });

  test("the URL of a webhook, which a job printed", async () => {
    await using server = new WebhookServer();
    await using notified = await Notified.open(slack(server, { wants: { fail: true } }));
    await notified.daemon.pool("x", "m");
    await notified.ended(1, {}, `curl ${server.url}\n`);
    notified.clock.advance(QUIET_MS);
    await told(server, 1);
    expect(server.texts[0]).toContain("`curl ********`");
  });

  test("markup, mentions and controls of a job's own text", async () => {
    await using server = new WebhookServer();
    await using notified = await Notified.open(slack(server, { wants: { fail: true } }));
    await notified.daemon.pool("x", "m");
    const hostile = "\x1b[2J<!channel> & @channel `@here` me@example.org \u202ereversed";
    await notified.ended(1, { cmd: `echo ${hostile}` }, `${hostile}\n`);
    notified.clock.advance(QUIET_MS);
    await told(server, 1);
    const [text = ""] = server.texts;
    expect(text).toContain("&lt;!channel&gt; &amp; @\u200bchannel '@\u200bhere' me@example.org reversed");
    expect(text).not.toMatch(/<!|@channel|@here|\u202e|\x1b/);
  });

  test("what had happened before a restart", async () => {
    await using server = new WebhookServer();
    const before = await Notified.open(slack(server));
    await before.daemon.pool("x", "m");
    await before.ended(1, { notify: true });
    const daemon = await before.daemon.restart();
    await using after = Notified.on(daemon, slack(server, { wants: { fail: true, complete: true } }));
    await daemon.begin();
    await after.ended(0, { cmd: "new" });
    after.clock.advance(QUIET_MS);
    await told(server, 1);
    expect(server.texts).toHaveLength(1);
    expect(server.texts[0]).toContain("1 job done");
    expect(server.texts[0]).not.toContain("failed");
  });
});

test("the JSON hook gets version, kind, time, server, and events with the job's keys", async () => {
  await using server = new WebhookServer();
  await using notified = await Notified.open({ webhooks: [hook(server.url, { kind: "json" })], wants: { fail: true } });
  await notified.daemon.pool("x", "m");
  const jid = await notified.ended(137, { cmd: "bench" }, "Killed\n");
  notified.clock.advance(QUIET_MS);
  await told(server, 1);
  expect(server.json<Record<string, unknown>>(0)).toMatchObject({
    version: 1,
    kind: "events",
    at: expect.stringMatching(/^\d{4}-.*Z$/),
    server: { name: expect.any(String), version: "1.2.3" },
    events: [
      {
        kind: "job-failed",
        at: expect.any(String),
        job: {
          jid,
          status: "failed",
          machine: "m",
          exit_code: 137,
          signal: "SIGKILL",
          error: "Killed by SIGKILL.",
          cmd: "bench",
          notify: false,
        },
        error_line: "Killed",
      },
    ],
    counts: { job_failed: 1 },
    matrices: [],
    omitted: 0,
    unsent: 0,
    jobs: { failed: 1 },
  });
});
