/** Where notifications go, as config.toml and the environment say it; what is wrong is one error that shows no URL. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resolveClientOptions } from "../../src/config/client-options.ts";
import { ConfigError } from "../../src/config/config-error.ts";
import { resolveServeOptions } from "../../src/config/serve-options.ts";

const folder = mkdtempSync(join(tmpdir(), "expjobserver-webhooks-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const config = join(folder, "config.toml");

async function webhooks(text: string, environment: Record<string, string> = {}) {
  writeFileSync(config, text);
  return (await resolveServeOptions({ config }, { environment: { HOME: folder, ...environment }, folder: "/lab" })).webhooks;
}

async function refusal(text: string, environment: Record<string, string> = {}): Promise<string> {
  const error = await webhooks(text, environment).then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConfigError)) throw new Error(`not refused: ${text}`);
  expect(`${error.message} ${error.hint}`).not.toContain("unspeakable");
  return `${error.message} ${error.hint}`.replaceAll(folder, "");
}

const hook = (lines: string): string => `[[notify.webhooks]]\n${lines}\n`;

describe("webhooks", () => {
  test("come from the file, from files it names, and from SLACK_API; each URL once", async () => {
    writeFileSync(join(folder, "hook"), "https://example.org:8443/b\n");
    const text = [
      hook('kind = "slack"\nurl = "https://hooks.example.org/a"\nuser = "U012AB3CD"'),
      hook('kind = "json"\nurl_file = "~/hook"'),
    ].join("");
    const ours = { SLACK_API: "https://hooks.example.org/c", SLACK_USER: "@ada" };
    expect(await webhooks(text, ours)).toEqual([
      { kind: "slack", url: "https://hooks.example.org/a", host: "hooks.example.org", user: "U012AB3CD" },
      { kind: "json", url: "https://example.org:8443/b", host: "example.org:8443", user: null },
      { kind: "slack", url: "https://hooks.example.org/c", host: "hooks.example.org", user: "@ada" },
    ]);
    expect(await webhooks(text, { SLACK_API: "https://hooks.example.org/a" })).toHaveLength(2);
    expect(await webhooks("", { SLACK_API: "", SLACK_USER: "ada" })).toEqual([]);
  });

  test.each([
    [hook('kind = "slack"\nurl = "ftp://host/unspeakable"'), "notify.webhooks[0].url is no URL that notifications can be sent to."],
    [hook('kind = "slack"\nurl = "unspeakable"'), "It must begin with https:// or http://"],
    [hook('kind = "slack"\nurl = ["unspeakable"]'), "notify.webhooks[0].url is no URL"],
    [hook('kind = "irc"\nurl = "https://a/unspeakable"'), 'It must be "slack" or "json".'],
    [hook('kind = "json"'), "notify.webhooks[0] needs one of url and url_file."],
    [hook('kind = "json"\nurl = "https://a/unspeakable"\nurl_file = "x"'), "needs one of url and url_file."],
    [hook('kind = "json"\nurl_file = "missing"'), "cannot be read: ENOENT."],
    [hook('kind = "json"\nurl = "https://a/unspeakable"\nuser = "ada"'), 'user is for kind "slack" only.'],
    [hook('kind = "slack"\nurl = "https://a/unspeakable"\nuser = "<!channel>"'), "notify.webhooks[0].user is no user."],
    [hook('kind = "slack"\nurl = "https://a/unspeakable"\nusr = "x"'), 'has no key "usr". Did you mean user?'],
    ["[notify]\nfail = true\n", 'there is no key "notify.fail".'],
    ["[notify]\nwebhooks = 3\n", "Write each as [[notify.webhooks]]."],
    ["notify = 3\n", "It must be a table: [notify]."],
  ])("refuse %j", async (text, said) => {
    expect(await refusal(text)).toContain(said);
  });

  test("of the environment are checked too", async () => {
    expect(await refusal("", { SLACK_API: "unspeakable" })).toContain("SLACK_API is no URL");
    expect(await refusal("", { SLACK_API: "https://a/unspeakable", SLACK_USER: "a b" })).toContain("SLACK_USER is no user.");
  });

  test("do not stand in the way of the client, which reads none of their files", async () => {
    writeFileSync(config, hook('kind = "json"\nurl_file = "/nonexistent"'));
    const options = await resolveClientOptions({ config }, { environment: { HOME: folder, SLACK_API: "nonsense" }, folder });
    expect(options.address.port).toBe(3030);
  });
});
