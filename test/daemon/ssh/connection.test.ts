/** How connections come about, are shared, and end. Needs sshd. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { localUserName } from "../../../src/daemon/ssh/local-user.ts";
import { readAll, runToEnd } from "../../contract/machine-shell.ts";
import { CutProxy } from "../../support/cut-proxy.ts";
import { freePort } from "../../support/free-port.ts";
import { connectTo, freshSettings, openConnections, problemOf } from "../../support/ssh-connections.ts";
import { generateKey, type Sshd, startSshd } from "../../support/sshd.ts";
import { waitFor } from "../../support/wait-for.ts";

// Real servers on a machine that is busy with other tests.
setDefaultTimeout(120_000);

let folder: string;
let sshd: Sshd;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "expjob-connection-"));
  sshd = await startSshd();
});
afterAll(async () => {
  await sshd.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Our identity and no agent, with `knownHosts` and `configLines` as files. */
function settingsFor(knownHosts: string, configLines: readonly string[] = []) {
  return freshSettings({ folder, knownHosts, identityFile: sshd.client.identityFile, configLines });
}

describe("a machine that cannot be reached", () => {
  test("because nobody listens is named with the system's message", async () => {
    const port = await freePort("127.0.0.1");
    using connections = connectTo(sshd);
    const reason = await problemOf(connections.shell(`127.0.0.1:${port}`).run("true"));
    expect(reason).toMatchObject({ code: "unreachable", data: { host: "127.0.0.1", port: String(port) } });
    expect(reason.data.message).toContain("ECONNREFUSED");
  });

  test("because its name does not exist says so", async () => {
    using connections = connectTo(sshd);
    expect(await problemOf(connections.shell("no-such-host.invalid").run("true"))).toMatchObject({
      code: "unreachable",
      data: { host: "no-such-host.invalid" },
    });
  });

  test("because it never answers is given up after the connect timeout", async () => {
    const held = new Set<Socket>();
    const blackhole = createServer((socket) => held.add(socket));
    const listening = Promise.withResolvers<void>();
    blackhole.listen(0, "127.0.0.1", () => listening.resolve());
    await listening.promise;
    const address = blackhole.address();
    const port = address !== null && typeof address === "object" ? address.port : 0;
    using connections = connectTo(sshd, { connectTimeoutMs: 300 });
    expect(await problemOf(connections.shell(`127.0.0.1:${port}`).run("true"))).toMatchObject({
      code: "unreachable",
      data: { message: "no answer within the connect timeout" },
    });
    for (const socket of held) socket.destroy();
    blackhole.close();
  });

  test("is not tried again at once: the reason is remembered, for longer each time", async () => {
    let attempts = 0;
    const rude = createServer((socket) => {
      attempts += 1;
      socket.destroy();
    });
    const listening = Promise.withResolvers<void>();
    rude.listen(0, "127.0.0.1", () => listening.resolve());
    await listening.promise;
    const address = rude.address();
    const port = address !== null && typeof address === "object" ? address.port : 0;
    using connections = connectTo(sshd, { backoffFirstMs: 60_000 });
    const shell = connections.shell(`127.0.0.1:${port}`);
    const first = await Promise.all([problemOf(shell.run("true")), problemOf(shell.run("true"))]);
    expect(first.map((reason) => reason.code)).toEqual(["unreachable", "unreachable"]);
    const second = await problemOf(shell.run("true"));
    expect(Number(second.data.retryInMs)).toBeWithin(40_000, 76_000);
    expect(attempts).toBe(1);
    connections.forgetFailures();
    await problemOf(shell.run("true"));
    expect(attempts).toBe(2);
    rude.close();
  });
});

describe("a key", () => {
  test("that is refused is named, with what the machine accepts", async () => {
    generateKey(join(folder, "stranger"), "ed25519");
    using connections = openConnections({
      settings: { ...settingsFor(`${sshd.knownHostsLine()}\n`), identityFiles: [join(folder, "stranger")] },
    });
    const reason = await problemOf(connections.shell(sshd.machine).run("true"));
    expect(reason).toMatchObject({ code: "authentication-refused", data: { user: localUserName(), accepted: "publickey" } });
    expect(reason.data.tried).toContain(join(folder, "stranger"));
  });

  test("that is encrypted is named as such", async () => {
    generateKey(join(folder, "locked"), "ed25519", "secret words");
    using connections = openConnections({
      settings: { ...settingsFor(`${sshd.knownHostsLine()}\n`), identityFiles: [join(folder, "locked")] },
    });
    const reason = await problemOf(connections.shell(sshd.machine).run("true"));
    expect(reason.code).toBe("authentication-refused");
    expect(reason.data.unusable).toContain(`${join(folder, "locked")} (encrypted`);
  });

  test("of a running agent is used, also with IdentitiesOnly when its public half is named", async () => {
    const socket = join(folder, "agent.sock");
    const agent = spawn("ssh-agent", ["-D", "-a", socket], { stdio: "ignore" });
    try {
      await waitFor(() =>
        Bun.file(socket)
          .exists()
          .then(() => spawnSync("ssh-add", ["-l"], { env: { ...process.env, SSH_AUTH_SOCK: socket } }).status === 1),
      );
      expect(spawnSync("ssh-add", ["-q", sshd.client.identityFile], { env: { ...process.env, SSH_AUTH_SOCK: socket } }).status).toBe(0);
      const publicOnly = join(folder, "public-only");
      writeFileSync(`${publicOnly}.pub`, readFileSync(`${sshd.client.identityFile}.pub`));
      for (const lines of [[], ["IdentitiesOnly yes", `IdentityFile ${publicOnly}`]]) {
        const { configFile, knownHostsFile } = settingsFor(`${sshd.knownHostsLine()}\n`);
        writeFileSync(configFile, [`IdentityAgent ${socket}`, ...lines, ""].join("\n"));
        using connections = openConnections({ settings: { configFile, knownHostsFile } });
        expect((await runToEnd(connections.shell(sshd.machine), "echo in")).stdout).toBe("in\n");
      }
    } finally {
      agent.kill();
    }
  });

  test("of an agent that is dead: the agent is named, unless a file serves as well", async () => {
    const { configFile, knownHostsFile } = settingsFor(`${sshd.knownHostsLine()}\n`);
    writeFileSync(configFile, `IdentityAgent ${join(folder, "nobody.sock")}\nIdentityFile ${join(folder, "none")}\n`);
    using connections = openConnections({ settings: { configFile, knownHostsFile } });
    expect(await problemOf(connections.shell(sshd.machine).run("true"))).toMatchObject({
      code: "agent-unreachable",
      data: { socket: join(folder, "nobody.sock") },
    });
    using served = openConnections({ settings: { configFile, knownHostsFile, identityFiles: [sshd.client.identityFile] } });
    expect((await runToEnd(served.shell(sshd.machine), "echo in")).stdout).toBe("in\n");
  });
});

describe("a connection", () => {
  test("is shared by all who ask at once, and by those who come later", async () => {
    await using proxy = await CutProxy.start({ host: sshd.address, port: sshd.port });
    const settings = settingsFor(sshd.knownHostsLine().replace(`:${sshd.port} `, `:${proxy.port} `).concat("\n"));
    using connections = openConnections({ settings });
    const shell = connections.shell(`127.0.0.1:${proxy.port}`);
    await Promise.all(Array.from({ length: 10 }, () => runToEnd(shell, "true")));
    await runToEnd(connections.shell(`127.0.0.1:${proxy.port}`), "true");
    expect(proxy.connections).toBe(1);
  });

  test("that is cut is learned at once by what runs on it, and opened again by the next", async () => {
    await using proxy = await CutProxy.start({ host: sshd.address, port: sshd.port });
    const lost: string[] = [];
    const settings = settingsFor(sshd.knownHostsLine().replace(`:${sshd.port} `, `:${proxy.port} `).concat("\n"));
    using connections = openConnections({ settings, onDisconnect: (machine) => lost.push(machine) });
    const shell = connections.shell(`127.0.0.1:${proxy.port}`);
    const process = await shell.run("echo begun; cat", { keepInputOpen: true });
    const output = process.stdout[Symbol.asyncIterator]();
    await output.next();
    proxy.cut();
    expect((await problemOf(process.exited)).code).toBe("transfer-cut");
    expect((await problemOf(output.next())).code).toBe("transfer-cut");
    expect((await problemOf(process.collectStderr(10))).code).toBe("transfer-cut");
    expect((await problemOf(process.write("x"))).code).toBe("transfer-cut");
    process.kill();
    expect(lost).toEqual([`127.0.0.1:${proxy.port}`]);
    expect((await runToEnd(shell, "echo again")).stdout).toBe("again\n");
  });

  test("that is cut in the middle of an output never looks like its end", async () => {
    await using proxy = await CutProxy.start({ host: sshd.address, port: sshd.port });
    const settings = settingsFor(sshd.knownHostsLine().replace(`:${sshd.port} `, `:${proxy.port} `).concat("\n"));
    using connections = openConnections({ settings });
    const shell = connections.shell(`127.0.0.1:${proxy.port}`);
    await runToEnd(shell, "true");
    proxy.cutAfterBytes = proxy.bytesFromTarget + 1_000_000;
    const process = await shell.run("head -c 30000000 /dev/zero");
    expect((await problemOf(readAll(process.stdout))).code).toBe("transfer-cut");
    expect((await problemOf(process.exited)).code).toBe("transfer-cut");
  });

  test("to a machine that hangs is given up after the keepalives", async () => {
    await using frozen = await startSshd();
    using connections = connectTo(frozen, { keepaliveIntervalMs: 300, keepaliveCountMax: 3 });
    const process = await connections.shell(frozen.machine).run("cat", { keepInputOpen: true });
    frozen.freeze();
    expect(await problemOf(process.exited)).toMatchObject({ code: "unreachable", data: { message: "no answer to keepalives" } });
    frozen.thaw();
  });

  test("outlives a long silence of what runs on it", async () => {
    using connections = connectTo(sshd, { keepaliveIntervalMs: 200, keepaliveCountMax: 3 });
    expect((await runToEnd(connections.shell(sshd.machine), "sleep 2; echo still")).stdout).toBe("still\n");
  });

  test("that nothing uses is closed, and one with something running is not", async () => {
    const lost: string[] = [];
    using connections = openConnections({
      settings: { configFile: sshd.client.configFile },
      limits: { idleCloseMs: 500 },
      onDisconnect: (machine) => lost.push(machine),
    });
    const shell = connections.shell(sshd.machine);
    expect((await runToEnd(shell, "sleep 1; echo in")).stdout).toBe("in\n");
    expect(lost).toEqual([]);
    await waitFor(() => lost.length === 1);
    expect((await runToEnd(shell, "echo again")).stdout).toBe("again\n");
  });

  test("that is closed here ends what runs on it and opens no more", async () => {
    using connections = connectTo(sshd);
    const shell = connections.shell(sshd.machine);
    const process = await shell.run("cat", { keepInputOpen: true });
    connections.close();
    expect((await problemOf(process.exited)).code).toBe("unreachable");
    expect((await problemOf(shell.run("true"))).code).toBe("unreachable");
  });

  test("to a machine that crashes is lost, and works when it is back", async () => {
    await using crashing = await startSshd();
    using connections = connectTo(crashing, { backoffFirstMs: 1 });
    const shell = connections.shell(crashing.machine);
    const process = await shell.run("cat", { keepInputOpen: true });
    await crashing.kill();
    expect((await problemOf(process.exited)).code).toBe("transfer-cut");
    expect((await problemOf(shell.run("true"))).code).toBe("unreachable");
    await crashing.start();
    await waitFor(() =>
      runToEnd(shell, "echo back").then(
        (result) => result.stdout === "back\n",
        () => false,
      ),
    );
  });
});

describe("MaxSessions", () => {
  test.each([1, 3])("%d is found out, and nine scripts at once all run", async (sessions) => {
    await using narrow = await startSshd({ configLines: [`MaxSessions ${sessions}`] });
    using connections = connectTo(narrow);
    const shell = connections.shell(narrow.machine);
    const results = await Promise.all(Array.from({ length: 9 }, (_, index) => runToEnd(shell, `sleep 0.05; echo ${index}`)));
    expect(results.map((result) => result.stdout)).toEqual(Array.from({ length: 9 }, (_, index) => `${index}\n`));
  });

  test("1 that is in use for good is said to be too few", async () => {
    await using narrow = await startSshd({ configLines: ["MaxSessions 1"] });
    using connections = connectTo(narrow, { shellStartTimeoutMs: 4_000 });
    const shell = connections.shell(narrow.machine);
    const standing = await shell.run("cat", { keepInputOpen: true });
    const reason = await problemOf(shell.run("true"));
    expect(reason).toMatchObject({ code: "shell-unusable" });
    expect(reason.data.message).toContain("MaxSessions");
    standing.closeInput();
    expect(await standing.exited).toBe(0);
    expect((await runToEnd(shell, "echo in")).stdout).toBe("in\n");
  });

  test("0 is said to be so", async () => {
    await using closed = await startSshd({ configLines: ["MaxSessions 0"] });
    using connections = connectTo(closed);
    expect(await problemOf(connections.shell(closed.machine).run("true"))).toMatchObject({ code: "shell-unusable" });
  });
});

describe("ProxyJump", () => {
  test("leads through a gateway whose own key is checked, over one connection for all behind it", async () => {
    await using behind = await startSshd();
    const knownHosts = `${sshd.knownHostsLine()}\n${behind.knownHostsLine()}\n`;
    const lines = ["Host inner1 inner2", `  HostName ${behind.address}`, `  Port ${behind.port}`, `  ProxyJump ${sshd.machine}`];
    writeFileSync(join(behind.folder, "authorized_keys"), readFileSync(`${sshd.client.identityFile}.pub`));
    const sessionsBefore = sshd.sessionProcesses().length;
    using connections = openConnections({ settings: settingsFor(knownHosts, lines) });
    const results = await Promise.all(["inner1", "inner2"].map((machine) => runToEnd(connections.shell(machine), "echo in")));
    expect(results.map((result) => result.stdout)).toEqual(["in\n", "in\n"]);
    const gatewayProcesses = sshd.sessionProcesses().length - sessionsBefore;
    expect(gatewayProcesses).toBeWithin(1, 3);

    using untrusting = openConnections({ settings: settingsFor(`${behind.knownHostsLine()}\n`, lines) });
    expect(await problemOf(untrusting.shell("inner1").run("true"))).toMatchObject({
      code: "host-key-unknown",
      data: { port: String(sshd.port) },
    });
    using other = openConnections({ settings: settingsFor(`${sshd.knownHostsLine()}\n`, lines) });
    expect(await problemOf(other.shell("inner1").run("true"))).toMatchObject({
      code: "host-key-unknown",
      data: { port: String(behind.port) },
    });
  });

  test("over two gateways, and the death of the first is seen behind it", async () => {
    await using first = await startSshd();
    await using behind = await startSshd();
    for (const server of [first, behind])
      writeFileSync(join(server.folder, "authorized_keys"), readFileSync(`${sshd.client.identityFile}.pub`));
    const knownHosts = [first, sshd, behind].map((server) => `${server.knownHostsLine()}\n`).join("");
    const settings = settingsFor(knownHosts, [
      "Host inner",
      `  HostName ${behind.address}`,
      `  Port ${behind.port}`,
      `  ProxyJump ${first.machine},${sshd.machine}`,
    ]);
    using connections = openConnections({ settings });
    const process = await connections.shell("inner").run("echo in; cat", { keepInputOpen: true });
    expect(Buffer.from((await process.stdout[Symbol.asyncIterator]().next()).value ?? []).toString()).toBe("in\n");
    await first.kill();
    expect((await problemOf(process.exited)).code).toBe("transfer-cut");
  });

  test("to a gateway that cannot reach the machine says where from", async () => {
    const port = await freePort("127.0.0.1");
    const settings = settingsFor(`${sshd.knownHostsLine()}\n`, [
      "Host inner",
      "  HostName 127.0.0.1",
      `  Port ${port}`,
      `  ProxyJump ${sshd.machine}`,
    ]);
    using connections = openConnections({ settings });
    const reason = await problemOf(connections.shell("inner").run("true"));
    expect(reason).toMatchObject({ code: "unreachable", data: { port: String(port) } });
    expect(reason.data.message).toContain(`jump host ${sshd.machine}`);
  });

  test("that leads in a circle is refused", async () => {
    const settings = settingsFor("", ["Host a", "  ProxyJump b", "Host b", "  ProxyJump a"]);
    using connections = openConnections({ settings });
    expect(await problemOf(connections.shell("a").run("true"))).toMatchObject({ code: "ssh-config-invalid" });
  });
});

describe("ProxyCommand", () => {
  test("of plain words carries the connection", async () => {
    const script = join(folder, "through");
    writeFileSync(script, `#!/bin/sh\nexec ssh -F ${sshd.client.configFile} -W "$1:$2" ${sshd.machine.replace(":", " -p ")}\n`);
    chmodSync(script, 0o755);
    const settings = settingsFor(`${sshd.knownHostsLine()}\n`, [
      "Host inner",
      `  HostName ${sshd.address}`,
      `  Port ${sshd.port}`,
      `  ProxyCommand ${script} %h %p`,
    ]);
    using connections = openConnections({ settings });
    expect((await runToEnd(connections.shell("inner"), "echo in")).stdout).toBe("in\n");
  });

  test("that fails is told with its message", async () => {
    const settings = settingsFor("", [
      "Host inner",
      "  ProxyCommand sh -c 'echo no way >&2 && exit 3'",
      "Host gone",
      "  ProxyCommand /no/such/program",
    ]);
    using connections = openConnections({ settings });
    expect((await problemOf(connections.shell("gone").run("true"))).code).toBe("unreachable");
    expect((await problemOf(connections.shell("inner").run("true"))).code).toBe("ssh-config-invalid");
  });
});
