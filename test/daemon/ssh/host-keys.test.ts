/** What is refused, and that nothing reaches a machine whose key is not right. Needs sshd. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Problem } from "../../../src/core/problem.ts";
import { MachineShellError } from "../../../src/daemon/machine-shell.ts";
import { SshConnections } from "../../../src/daemon/ssh/connections.ts";
import { runToEnd } from "../../contract/machine-shell.ts";
import { HostileSshServer } from "../../support/hostile-ssh-server.ts";
import { problemOf } from "../../support/ssh-connections.ts";
import { generateKey, type Sshd, startSshd } from "../../support/sshd.ts";

// Real servers on a machine that is busy with other tests.
setDefaultTimeout(120_000);

/** What ssh-keygen prints about a public key. */
function fingerprintOf(publicKeyFile: string): string {
  return spawnSync("ssh-keygen", ["-lf", publicKeyFile], { encoding: "utf8" }).stdout.split(" ")[1] ?? "";
}

describe("with a real sshd", () => {
  let sshd: Sshd;
  let folder: string;
  let otherKey: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "expjob-hostkeys-"));
    sshd = await startSshd({ hostKeyTypes: ["ed25519", "rsa"] });
    generateKey(join(folder, "other"), "ed25519");
    otherKey = readFileSync(join(folder, "other.pub"), "utf8").split(" ").slice(0, 2).join(" ");
  });
  afterAll(async () => {
    await sshd.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Runs a script that would leave a mark, with `text` as known_hosts. */
  async function attempt(text: string): Promise<{ problem: Problem; knownHosts: string }> {
    const knownHosts = join(folder, "known_hosts");
    writeFileSync(knownHosts, text);
    const mark = join(folder, "mark");
    const connections = new SshConnections({ settings: { configFile: sshd.client.configFile, knownHostsFile: knownHosts } });
    try {
      const reason = await problemOf(runToEnd(connections.shell(sshd.machine), `cat > ${mark}`, "input"));
      expect(await Bun.file(mark).exists()).toBe(false);
      return { problem: reason, knownHosts };
    } finally {
      connections.close();
    }
  }

  test("an unknown key is refused with its fingerprint, and the command that is named puts it right", async () => {
    const { problem, knownHosts } = await attempt("");
    expect(problem).toMatchObject({
      code: "host-key-unknown",
      data: {
        host: "127.0.0.1",
        port: String(sshd.port),
        keyType: "ssh-ed25519",
        fingerprint: fingerprintOf(`${sshd.hostKeyFile()}.pub`),
        file: knownHosts,
      },
    });
    expect(spawnSync("sh", ["-c", problem.data.command ?? "exit 9"]).status).toBe(0);
    const connections = new SshConnections({ settings: { configFile: sshd.client.configFile, knownHostsFile: knownHosts } });
    expect((await runToEnd(connections.shell(sshd.machine), "echo in")).stdout).toBe("in\n");
    connections.close();
  });

  test("a changed key is refused with both fingerprints, the line, and the command", async () => {
    const { problem, knownHosts } = await attempt(`# mine\n[127.0.0.1]:${sshd.port} ${otherKey}\n`);
    expect(problem).toMatchObject({
      code: "host-key-changed",
      data: {
        fingerprint: fingerprintOf(`${sshd.hostKeyFile()}.pub`),
        fingerprintOnFile: fingerprintOf(join(folder, "other.pub")),
        file: knownHosts,
        line: "2",
      },
    });
    expect(spawnSync("sh", ["-c", problem.data.command ?? "exit 9"]).status).toBe(0);
    const connections = new SshConnections({ settings: { configFile: sshd.client.configFile, knownHostsFile: knownHosts } });
    expect((await runToEnd(connections.shell(sshd.machine), "echo in")).stdout).toBe("in\n");
    connections.close();
  });

  test("a revoked key is refused though another line allows it", async () => {
    const [, type, key] = sshd.knownHostsLine().split(" ");
    const { problem } = await attempt(`${sshd.knownHostsLine()}\n@revoked * ${type} ${key}\n`);
    expect(problem).toMatchObject({ code: "host-key-revoked", data: { line: "2" } });
  });

  test("a machine known only by its certificate authority is refused with that reason", async () => {
    const { problem } = await attempt(`@cert-authority [127.0.0.1]:* ${otherKey}\n`);
    expect(problem).toMatchObject({ code: "host-key-certificate-only", data: { line: "1" } });
  });

  test("the type of key on file is the one that is asked for", async () => {
    const knownHosts = join(folder, "known_rsa");
    writeFileSync(knownHosts, `${sshd.knownHostsLine("rsa")}\n`);
    const connections = new SshConnections({ settings: { configFile: sshd.client.configFile, knownHostsFile: knownHosts } });
    expect((await runToEnd(connections.shell(sshd.machine), "echo in")).stdout).toBe("in\n");
    connections.close();
  });

  test("a hashed file made by ssh-keygen -H serves as well", async () => {
    const knownHosts = join(folder, "known_hashed");
    writeFileSync(knownHosts, `${sshd.knownHostsLine()}\n`);
    spawnSync("ssh-keygen", ["-H", "-f", knownHosts]);
    expect(readFileSync(knownHosts, "utf8")).toStartWith("|1|");
    const connections = new SshConnections({ settings: { configFile: sshd.client.configFile, knownHostsFile: knownHosts } });
    expect((await runToEnd(connections.shell(sshd.machine), "echo in")).stdout).toBe("in\n");
    connections.close();
  });
});

test("to a machine whose key is not known nothing is sent, no key and no script", async () => {
  await using server = await HostileSshServer.start();
  const folder = mkdtempSync(join(tmpdir(), "expjob-hostkeys-"));
  const [identity, knownHosts, config] = [join(folder, "id"), join(folder, "known"), join(folder, "config")];
  generateKey(identity, "ed25519");
  writeFileSync(knownHosts, "");
  writeFileSync(config, "IdentityAgent none\n");
  const connections = new SshConnections({
    settings: { configFile: config, knownHostsFile: knownHosts, identityFiles: [identity] },
    limits: { backoffFirstMs: 0 },
  });
  const shell = connections.shell(server.machine);
  expect((await problemOf(shell.run("echo secret", { input: "secret" }))).code).toBe("host-key-unknown");
  expect([server.connections, server.authenticationAttempts, server.commands, server.input]).toEqual([1, 0, [], []]);

  appendFileSync(knownHosts, server.knownHostsLine);
  expect((await runToEnd(shell, "echo said")).status).toBe(0);
  const inputSoFar = server.input.length;
  expect([server.authenticationAttempts > 0, server.commands.length]).toEqual([true, 1]);

  const attemptsSoFar = server.authenticationAttempts;
  server.changeHostKey();
  server.drop();
  await problemOf(retryUntilRefused(() => shell.run("echo secret", { input: "secret" })));
  expect((await problemOf(shell.run("echo secret"))).code).toBe("host-key-changed");
  expect([server.authenticationAttempts, server.commands.length, server.input.length]).toEqual([attemptsSoFar, 1, inputSoFar]);
  connections.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The old connection may take a moment to be seen dead; what is then refused is the new one. */
async function retryUntilRefused(work: () => Promise<unknown>): Promise<void> {
  for (;;) {
    const reason = await problemOf(work());
    if (reason.code === "host-key-changed") throw new MachineShellError(reason);
  }
}
