/** `notify test` and the condition of `status`, as people see them. */
import { expect, test } from "bun:test";
import { noticeWords } from "../../src/terminal/notice.ts";
import { renderTestedWebhooks } from "../../src/terminal/webhook-test.ts";

test("`notify test` has one row a webhook, in its columns at any width, and what a host says does nothing to the terminal", () => {
  const webhooks = [
    { kind: "slack", host: "hooks.example.org", error: null },
    { kind: "json", host: `${"long.".repeat(20)}example.org`, error: "HTTP 500 \x1b[2J" },
  ];
  for (const width of [60, 80, 200]) {
    const lines = renderTestedWebhooks(webhooks, { width, colours: false }).split("\n");
    expect(lines).toHaveLength(3);
    for (const line of lines) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(width);
    expect(lines[1]).toContain("arrived");
    expect(lines[2]).toContain("failed: HTTP 500");
    expect(lines.join("")).not.toContain("\x1b");
  }
});

test("`status` says which webhook fails, since when, why, and what to do", () => {
  const data = { host: "hooks.example.org", kind: "slack", reason: "HTTP 500", since: "2026-11-23T01:02:03.000Z" };
  expect(noticeWords({ code: "notifications-failing", data })).toEqual({
    message: "Notifications to hooks.example.org (slack) have failed since 2026-11-23 01:02:03 UTC: HTTP 500.",
    hint: "Correct the webhook, then try it with `j notify test`; jobs do not wait for it.",
  });
});
