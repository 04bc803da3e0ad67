import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { parseSshAddress } from "../../../src/daemon/ssh/address.ts";
import { resolveSshTarget, type SshTarget } from "../../../src/daemon/ssh/config.ts";
import type { SshSettings } from "../../../src/daemon/ssh/options.ts";

describe("a machine's address", () => {
  test.each([
    ["lab1", { user: null, host: "lab1", port: null }],
    ["lab1:2222", { user: null, host: "lab1", port: 2222 }],
    ["me@lab1.org:22", { user: "me", host: "lab1.org", port: 22 }],
    ["me@corp@gw", { user: "me@corp", host: "gw", port: null }],
    ["[::1]:2222", { user: null, host: "::1", port: 2222 }],
    ["me@[fe80::1%eth0]", { user: "me", host: "fe80::1%eth0", port: null }],
    ["fe80::1", { user: null, host: "fe80::1", port: null }],
  ])("%s is understood", (text, parts) => {
    expect(parseSshAddress(text)).toEqual(parts);
  });

  test.each([
    "",
    "-oProxyCommand=x",
    "a b",
    "a;b",
    "$(x)",
    "`x`",
    "a'b",
    "me@-x",
    "-l@x",
    "@x",
    "x@",
    "x:0",
    "x:65536",
    "x:ssh",
    "[x",
    "[]:22",
    "a\nb",
    "a*",
    "é",
  ])("%j is refused", (text) => {
    expect(parseSshAddress(text)).toBeNull();
  });
});

describe.each([
  ["asking ssh -G", {}],
  ["reading the files", { sshProgram: null }],
] as const)("ssh_config, %s", (_, how) => {
  let folder: string;
  let settings: SshSettings;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "expjob-config-"));
    settings = { ...how, configFile: join(folder, "config") };
    writeFileSync(join(folder, "more"), "Host included\n  HostName included.example\n");
    writeFileSync(
      join(folder, "config"),
      [
        `Include ${join(folder, "more")}`,
        "Host box",
        "  HostName 192.0.2.7",
        "  Port 2200",
        "  User alice",
        `  IdentityFile ${folder}/id_%h_%r`,
        "  IdentityFile ~/.ssh/id_lab",
        "  IdentitiesOnly yes",
        "  HostKeyAlias the-box",
        "  ConnectTimeout 7",
        "Host *.lab",
        "  HostName %h.example.org",
        "  ProxyJump gw1,bob@gw2:2022",
        "Host nc",
        "  ProxyCommand nc -q0 %h %p",
        "Host shellish",
        "  ProxyCommand cat $(secret) | nc %h %p",
        "Host noagent",
        "  IdentityAgent none",
        "Host agent",
        "  IdentityAgent ~/agent.sock",
        "Host *",
        `  UserKnownHostsFile ${folder}/known_a ${folder}/known_b`,
        "  GlobalKnownHostsFile /etc/expjob_known",
        "",
      ].join("\n"),
    );
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const target = async (machine: string, more: Partial<SshSettings> = {}): Promise<SshTarget> => {
    const resolved = await resolveSshTarget(machine, { ...settings, ...more });
    if (resolved.kind === "invalid") throw new Error(JSON.stringify(resolved.problem));
    return resolved.target;
  };

  test("gives an alias its host, port, user, keys and known hosts", async () => {
    expect(await target("box")).toMatchObject({
      machine: "box",
      hostName: "192.0.2.7",
      port: 2200,
      user: "alice",
      identityFiles: [
        { path: `${folder}/id_192.0.2.7_alice`, explicit: false },
        { path: `${homedir()}/.ssh/id_lab`, explicit: false },
      ],
      identitiesOnly: true,
      hostKeyAlias: "the-box",
      connectTimeoutMs: 7000,
      knownHostsFiles: [`${folder}/known_a`, `${folder}/known_b`, "/etc/expjob_known"],
      proxy: { kind: "none" },
    });
  });

  test("lets user and port of the address go first", async () => {
    expect(await target("carol@box:99")).toMatchObject({ hostName: "192.0.2.7", port: 99, user: "carol" });
    expect(await target("[::1]:99")).toMatchObject({ hostName: "::1", port: 99 });
  });

  test("lets the files of the command line take their place", async () => {
    const { identityFiles, knownHostsFiles } = await target("box", { identityFiles: ["/k/id", "/k/other"], knownHostsFile: "/k/known" });
    expect(identityFiles.slice(0, 2)).toEqual([
      { path: "/k/id", explicit: true },
      { path: "/k/other", explicit: true },
    ]);
    expect(knownHostsFiles).toEqual(["/k/known", "/etc/expjob_known"]);
  });

  test("names the jump hosts in order", async () => {
    expect(await target("a.lab")).toMatchObject({ hostName: "a.lab.example.org", proxy: { kind: "jump", hops: ["gw1", "bob@gw2:2022"] } });
  });

  test("takes a plain ProxyCommand as words and refuses one that needs a shell", async () => {
    expect((await target("nc:2222")).proxy).toEqual({ kind: "command", words: ["nc", "-q0", "nc", "2222"] });
    const refused = await resolveSshTarget("shellish", settings);
    expect(refused).toMatchObject({ kind: "invalid", problem: { code: "ssh-config-invalid" } });
  });

  test("knows the agent, or that none is wanted", async () => {
    expect((await target("noagent")).agentSocket).toBeNull();
    expect((await target("agent")).agentSocket).toBe(`${homedir()}/agent.sock`);
    expect((await target("box")).agentSocket).toBe(process.env.SSH_AUTH_SOCK || null);
  });

  test("follows Include", async () => {
    expect((await target("included")).hostName).toBe("included.example");
  });

  test("says why a configuration cannot be used", async () => {
    expect(await resolveSshTarget("-oProxyCommand=touch", settings)).toMatchObject({
      kind: "invalid",
      problem: { code: "ssh-config-invalid" },
    });
    expect(await resolveSshTarget("box", { ...settings, configFile: join(folder, "missing") })).toMatchObject({
      kind: "invalid",
      problem: { code: "ssh-config-invalid" },
    });
  });
});
