/** Notifications of the built program: Slack by the environment, webhooks by config.toml, against a real HTTP server. */
import { describe, expect, test } from "bun:test";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { WebhookServer } from "../daemon/notify/webhook-server.ts";
import { TestDaemon } from "../support/daemon.ts";
import { waitFor } from "../support/wait-for.ts";

async function told(server: WebhookServer, what: string): Promise<string> {
  const found = () => server.texts.find((text) => text.includes(what));
  await waitFor(() => found() !== undefined, { what: () => `${what}: ${JSON.stringify(server.texts)}`, timeoutMs: 30_000 });
  return found() ?? "";
}

describe("with SLACK_API and SLACK_USER in the environment", () => {
  test("200 jobs that fail are one message or a few, an ended matrix is told with its counts, and no secret leaves", async () => {
    await using server = new WebhookServer();
    const environment = { SLACK_API: server.url, SLACK_USER: "U012AB3CD" };
    await using daemon = await TestDaemon.start({ environment, args: ["--notify-fail", "--notify-complete"] });
    await daemon.ok("machine", "add", "local/a", "local/b", "local/c", "local/d", "small");
    await daemon.ok("var", "set", "TOKEN", "hunter2-and-more", "--secret");
    expect(daemon.stderr).toContain(`notifications: slack at ${server.host}; --notify-complete --notify-fail`);

    const printing = await daemon.add("small", 'echo "denied: {TOKEN} $SLACK_API" >&2; exit 4');
    expect((await daemon.ended(printing)).status).toBe("failed");
    const text = await told(server, `Job ${printing} failed`);
    expect(text).toStartWith("<@U012AB3CD> *expjobserver on ");
    expect(text).toContain("Exited with 4.");
    // The job has printed its secret; the URL it was never given.
    expect(text).toContain("`denied: ********`");

    const { id } = await daemon.json<{ id: number }>("job", "matrix", "add", "small", "test {A} != 3", "A=1,2,3", "--max-failures", "1");
    expect(await told(server, `*Matrix ${id} has ended*`)).toContain("2 done, 1 failed. `test {A} != 3`");

    const before = server.received.length;
    await daemon.ok("job", "add", "small", "echo no >&2; exit 1", "-x", "200");
    await waitFor(async () => (await daemon.json<{ jobs: { failed: number } }>("status")).jobs.failed >= 202, {
      everyMs: 200,
      timeoutMs: 40_000,
    });
    // One that is told alone is told by its id.
    const failedIn = (said: string): number => Number(/(\d+) jobs? failed/.exec(said)?.[1] ?? (/Job \d+ failed/.test(said) ? 1 : 0));
    const failures = () => server.texts.slice(before).reduce((sum, said) => sum + failedIn(said), 0);
    await waitFor(() => failures() === 200, { what: () => JSON.stringify(server.texts.slice(before)), timeoutMs: 40_000 });
    expect(server.received.length - before).toBeLessThanOrEqual(3);
    for (const { text: body } of server.received) expect(body).not.toContain("hunter2");

    expect(await daemon.stop()).toBe(0);
    expect(daemon.stderr).not.toContain("unspeakable");
  }, 120_000);
});

describe("with [[notify.webhooks]] in config.toml", () => {
  test("a --notify job is told to each, the URL of one comes from a file, and `j notify test` says what arrives", async () => {
    await using slack = new WebhookServer();
    await using json = new WebhookServer();
    await using daemon = await TestDaemon.prepare({
      config: `[[notify.webhooks]]\nkind = "slack"\nurl_file = "hook"\nuser = "ada"\n[[notify.webhooks]]\nkind = "json"\nurl = "${json.url}"\n`,
    });
    writeFileSync(join(daemon.folder, "hook"), `${slack.url}\n`);
    chmodSync(join(daemon.folder, "hook"), 0o600);
    await daemon.start();
    expect(await daemon.json<object[]>("notify", "test")).toEqual([
      { kind: "slack", host: slack.host, error: null },
      { kind: "json", host: json.host, error: null },
    ]);
    expect(slack.texts[0]).toContain("this is a test");
    expect(json.json<object>(0)).toMatchObject({ version: 1, kind: "test", events: [] });

    await daemon.ok("machine", "add", "local", "small");
    await daemon.add("small", "true");
    const jid = await daemon.add("small", "true", "--notify");
    expect(await told(slack, `Job ${jid} is done`)).toStartWith("@ada *expjobserver");
    await waitFor(() => json.received.length === 2);
    expect(json.json<object>(1)).toMatchObject({
      events: [{ kind: "job-done", job: { jid, status: "done", notify: true } }],
      counts: { job_done: 1 },
    });

    slack.answers.push(
      () => new Response("invalid_token", { status: 403 }),
      () => new Response("invalid_token", { status: 403 }),
    );
    const failed = await daemon.j("notify", "test");
    expect(failed.code).toBe(1);
    expect(failed.stdout).toContain("failed: HTTP 403 (invalid_token)");
    const another = await daemon.add("small", "true", "--notify");
    await daemon.ended(another);
    await waitFor(async () => (await daemon.ok("status")).includes(`Notifications to ${slack.host}`), { everyMs: 100 });
    const status = await daemon.ok("status");
    expect(status).toContain("HTTP 403 (invalid_token)");
    expect(status).not.toContain("unspeakable");
  }, 120_000);

  test("a URL that is none is one clear error at the start, which does not show it; without a webhook the flags say that they do nothing", async () => {
    await using daemon = await TestDaemon.prepare({ config: '[[notify.webhooks]]\nkind = "slack"\nurl = "ftp://host/unspeakable"\n' });
    const refused = await daemon.startToFail();
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("notify.webhooks[0].url is no URL that notifications can be sent to.");
    expect(refused.stderr).toContain("It must begin with https:// or http://");
    expect(refused.stderr).not.toContain("unspeakable");
    writeFileSync(join(daemon.folder, "config.toml"), "");
    await daemon.start(["--notify-fail"]);
    expect(daemon.stderr).toContain("--notify-fail has no effect: there is no webhook");
    expect((await daemon.j("notify", "test")).stderr).toContain("The server has no webhook to send to.");
  }, 120_000);
});

test("a server that stops tells what is left, and one whose webhook never answers stops all the same", async () => {
  await using server = new WebhookServer();
  await using daemon = await TestDaemon.start({
    environment: { SLACK_API: server.url },
    args: ["--notify-fail", "--summary-interval", "60"],
  });
  await daemon.ok("machine", "add", "local", "small");
  await daemon.ended(await daemon.add("small", "exit 3"));
  expect(await daemon.stop()).toBe(0);
  expect(server.texts).toEqual([expect.stringContaining("summary: 1 job failed")]);

  server.answers.push(() => new Promise<never>(() => undefined));
  await daemon.start();
  await daemon.ended(await daemon.add("small", "exit 4"));
  expect(await daemon.stop()).toBe(0);
  // What was told before is not told again.
  expect(server.texts[1]).toContain("summary: 1 job failed");
}, 120_000);
