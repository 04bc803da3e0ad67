/** Webhooks that are slow, gone, full or rude: tried again, given up in the end, said once, and never in the way of a job. */
import { describe, expect, test } from "bun:test";
import { waitFor } from "../../support/wait-for.ts";
import { hook, Notified } from "./notified.ts";
import { WebhookServer } from "./webhook-server.ts";

const QUIET_MS = 1_000;
const FAIL = { wants: { fail: true } } as const;

async function failing(server: WebhookServer, more: Partial<Parameters<typeof Notified.open>[0]> = {}): Promise<Notified> {
  const notified = await Notified.open({ webhooks: [hook(server.url)], ...FAIL, ...more });
  await notified.daemon.pool("x", "m");
  await notified.ended(1);
  return notified;
}

function warnings({ daemon }: Notified): readonly string[] {
  return daemon.log.lines.filter((line) => line.startsWith("warn: "));
}

/** The message was tried so often, and its queue waits for the next try or has nothing left. */
async function tried(server: WebhookServer, notified: Notified, count: number): Promise<void> {
  await waitFor(
    () => server.received.length === count && (notified.clock.count > 0 || warnings(notified).some((line) => line.includes("given up"))),
    {
      what: () => `${count} tries, not ${server.received.length}: ${JSON.stringify(notified.daemon.log.lines)}`,
    },
  );
}

describe("a webhook that fails", () => {
  test("is tried again with a growing pause until it takes the message; one line says so, one that it arrives", async () => {
    await using server = new WebhookServer();
    server.answers.push(...[500, 503, 500].map((status) => () => new Response("", { status })));
    await using notified = await failing(server);
    notified.clock.advance(QUIET_MS);
    await tried(server, notified, 1);
    notified.clock.advance(1_000);
    await tried(server, notified, 2);
    notified.clock.advance(1_999);
    expect(server.received).toHaveLength(2);
    notified.clock.advance(1);
    await tried(server, notified, 3);
    expect(notified.notifications.conditions).toEqual([]);
    notified.clock.advance(4_000);
    await waitFor(() => notified.daemon.log.lines.some((line) => line.includes("arrive again")));
    expect(new Set(server.texts).size).toBe(1);
    expect(warnings(notified).map((line) => line.replace(server.host, "HOST"))).toEqual([
      "warn: notifications to HOST fail: HTTP 500",
      "warn: notifications to HOST fail: HTTP 503",
      "warn: notifications to HOST fail: HTTP 500",
    ]);
  });

  test("with 429 is left alone for as long as Retry-After says", async () => {
    await using server = new WebhookServer();
    server.answers.push(() => new Response("", { status: 429, headers: { "retry-after": "30" } }));
    await using notified = await failing(server);
    notified.clock.advance(QUIET_MS);
    await tried(server, notified, 1);
    notified.clock.advance(29_999);
    expect(server.received).toHaveLength(1);
    notified.clock.advance(1);
    await waitFor(() => server.received.length === 2);
    expect(server.received).toHaveLength(2);
  });

  test("that asks for a longer pause than a message lives has it for the messages behind it too", async () => {
    await using server = new WebhookServer();
    server.answers.push(() => new Response("", { status: 429, headers: { "retry-after": "1800" } }));
    await using notified = await failing(server);
    notified.clock.advance(QUIET_MS);
    await waitFor(() => warnings(notified).some((line) => line.includes("given up")));
    await notified.ended(1, { cmd: "later" });
    notified.clock.advance(1_700_000);
    expect(server.received).toHaveLength(1);
    notified.clock.advance(100_000);
    await waitFor(() => server.received.length === 2);
    expect(server.texts[1]).toContain("1 earlier event could not be sent");
  });

  test("for long is a condition with its host and reason, never its URL, until one arrives; what was given up is counted", async () => {
    await using server = new WebhookServer();
    let isDown = true;
    for (let index = 0; index < 100; index++) server.answers.push(() => new Response("", { status: isDown ? 502 : 200 }));
    await using notified = await failing(server, { limits: { giveUpMs: 120_000 } });
    const { clock, daemon, notifications } = notified;
    for (let tries = 1; !warnings(notified).some((line) => line.includes("given up")); tries++) {
      clock.advance(60_000);
      await tried(server, notified, tries);
    }
    expect(notifications.conditions).toMatchObject([
      { code: "notifications-failing", data: { host: server.host, kind: "slack", reason: "HTTP 502" } },
    ]);
    expect(warnings(notified).at(-1)).toBe(`warn: 1 notices to ${server.host} were given up: HTTP 502`);
    isDown = false;
    await notified.ended(1, { cmd: "later" });
    clock.advance(60_000);
    await waitFor(() => notifications.conditions.length === 0);
    expect(server.texts.at(-1)).toContain("1 earlier event could not be sent");
    expect(daemon.log.lines.join("\n")).not.toContain("unspeakable");
  });

  test("that refuses is not asked again with the same, and shown at once with its own word", async () => {
    await using server = new WebhookServer();
    server.answers.push(() => new Response("no_service", { status: 404 }));
    await using notified = await failing(server);
    notified.clock.advance(QUIET_MS);
    await waitFor(() => notified.notifications.conditions.length === 1);
    expect(notified.notifications.conditions[0]?.data).toMatchObject({ reason: "HTTP 404 (no_service)" });
    notified.clock.advance(600_000);
    expect(server.received).toHaveLength(1);
  });

  test("that redirects to another host gets no message carried there", async () => {
    await using elsewhere = new WebhookServer();
    await using server = new WebhookServer();
    server.answers.push(() => new Response("", { status: 307, headers: { location: elsewhere.url } }));
    await using notified = await failing(server);
    notified.clock.advance(QUIET_MS);
    await waitFor(() => notified.notifications.conditions.length === 1);
    expect(notified.notifications.conditions[0]?.data["reason"]).toBe(`HTTP 307: it redirects to ${elsewhere.host}, which is not followed`);
    expect(elsewhere.received).toHaveLength(0);
  });

  test("that never answers, cuts the connection or is not there is tried again", async () => {
    await using server = new WebhookServer();
    server.answers.push(() => new Promise<never>(() => undefined));
    await using cutting = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: { data: (socket) => void socket.terminate() },
    }) as never as {
      port: number;
    } & AsyncDisposable;
    const gone = new WebhookServer();
    const goneUrl = gone.url;
    await gone[Symbol.asyncDispose]();
    await using notified = await failing(server, {
      webhooks: [hook(server.url), hook(`http://127.0.0.1:${cutting.port}/unspeakable`), hook(goneUrl)],
      limits: { answerTimeoutMs: 3_000 },
    });
    notified.clock.advance(QUIET_MS);
    await waitFor(() => warnings(notified).length === 3, { what: () => JSON.stringify(warnings(notified)) });
    const said = warnings(notified)
      .map((line) => line.replace(/^.* fail: /, ""))
      .sort();
    expect(said).toEqual(["no answer within 3 seconds", "nothing listens there", "the connection was cut"]);
    expect(warnings(notified).join()).not.toContain("unspeakable");
    await notified.ended(0, { cmd: "meanwhile" });
    notified.clock.advance(1_000);
    await waitFor(() => server.received.length === 2);
  });
});

test("a webhook that keeps its answer to itself holds up no job", async () => {
  await using server = new WebhookServer();
  server.answers.push(() => new Promise<never>(() => undefined));
  await using notified = await failing(server, { limits: { answerTimeoutMs: 600_000 } });
  notified.clock.advance(QUIET_MS);
  await waitFor(() => server.received.length === 1);
  await notified.ended(0, { cmd: "meanwhile" });
  // Nobody has given it up either.
  expect(warnings(notified)).toEqual([]);
  await notified.notifications.stop(1);
});

test("messages that follow each other are gathered for longer and longer, so that nobody is flooded", async () => {
  await using server = new WebhookServer();
  await using notified = await Notified.open({ webhooks: [hook(server.url)], wants: { complete: true } });
  await notified.daemon.pool("x", "m");
  const { clock } = notified;
  for (let event = 0; event < 60; event++) {
    await notified.ended(0);
    const before = server.received.length;
    clock.advance(1_500);
    // One that is due goes out before the clock moves on.
    await waitFor(() => clock.count > 0 || server.received.length > before);
  }
  clock.advance(60_000);
  await waitFor(() => server.texts.reduce((sum, text) => sum + Number(/(\d+) jobs? done/.exec(text)?.[1]), 0) === 60);
  expect(server.received.length).toBeLessThan(10);
});

test("what is left when the server stops is sent within its bound, also to one that never answers", async () => {
  await using server = new WebhookServer();
  await using silent = new WebhookServer();
  silent.answers.push(() => new Promise<never>(() => undefined));
  await using notified = await failing(server, {
    webhooks: [hook(server.url), hook(silent.url)],
    summaryIntervalMs: 3_600_000,
    limits: { answerTimeoutMs: 600_000 },
  });
  await notified.notifications.stop(5_000);
  expect(server.texts).toEqual([expect.stringContaining("summary: 1 job failed")]);
  expect(silent.received).toHaveLength(1);
});

test("HTTP_PROXY is used, and the proxy's refusal is a failure like any other", async () => {
  await using proxy = new WebhookServer();
  const program = `
    const { post } = await import(${JSON.stringify(`${import.meta.dir}/../../../src/daemon/notify/webhook.ts`)});
    const webhook = { kind: "json", url: "http://user:word@hook.invalid/unspeakable", host: "hook.invalid", user: null };
    const signal = new AbortController().signal;
    console.log(JSON.stringify(await post(webhook, { body: "{}", userAgent: "x", timeoutMs: 5000, signal, now: Date.now })));`;
  const child = Bun.spawn([process.execPath, "-e", program], {
    env: { ...process.env, HTTP_PROXY: `http://${proxy.host}`, http_proxy: `http://${proxy.host}`, NO_PROXY: "", no_proxy: "" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  expect(JSON.parse(await child.stdout.text())).toEqual({ kind: "sent" });
  expect(proxy.received).toHaveLength(1);
  expect(proxy.received[0]?.headers.get("authorization")).toBe(`Basic ${btoa("user:word")}`);
});

test("one message tells of at most some hundred events and counts the rest", async () => {
  await using server = new WebhookServer();
  await using notified = await Notified.open({ webhooks: [hook(server.url, { kind: "json" })], wants: { complete: true, fail: true } });
  const { daemon, clock } = notified;
  await daemon.pool("x", ...Array.from({ length: 600 }, (_, index) => `m${index}`));
  await daemon.add({ count: 600, cmd: `echo ${"x".repeat(20_000)}` });
  await waitFor(() => daemon.hosts.running().length === 600 && daemon.job(599).state.kind === "running");
  daemon.hosts.running().forEach((runId, index) => void daemon.hosts.finish(runId, index === 599 ? 1 : 0));
  await waitFor(() => daemon.engine.state.counts.done === 599 && daemon.engine.state.counts.failed === 1);
  clock.advance(QUIET_MS);
  await waitFor(() => server.received.length === 1);
  const message = server.json<{ counts: object; events: { kind: string }[]; omitted: number }>(0);
  expect(message.counts).toEqual({ job_done: 599, job_failed: 1 });
  expect(message.events.length + message.omitted).toBe(600);
  expect(message.events.length).toBeLessThanOrEqual(500);
  expect(message.events.filter(({ kind }) => kind === "job-failed")).toHaveLength(1);
  expect(server.received[0]?.text.length).toBeLessThan(1_048_576);
});
