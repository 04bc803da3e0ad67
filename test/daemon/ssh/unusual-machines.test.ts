/** Login shells that talk, hang or end, and servers that lie. Needs sshd. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SshLimits } from "../../../src/daemon/ssh/connection.ts";
import type { SshConnections } from "../../../src/daemon/ssh/connections.ts";
import { readAll, runToEnd } from "../../contract/machine-shell.ts";
import { HostileSshServer } from "../../support/hostile-ssh-server.ts";
import { connectTo, freshSettings, openConnections, problemOf } from "../../support/ssh-connections.ts";
import { generateKey, type Sshd, startSshd } from "../../support/sshd.ts";

// Real servers on a machine that is busy with other tests.
setDefaultTimeout(120_000);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "expjob-unusual-"));
  generateKey(join(folder, "id"), "ed25519");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("a login shell", () => {
  async function behindShell(body: string): Promise<Sshd> {
    const wrapper = join(folder, `login-${crypto.randomUUID()}`);
    writeFileSync(wrapper, body, { mode: 0o755 });
    chmodSync(wrapper, 0o755);
    return startSshd({ configLines: [`ForceCommand ${wrapper}`] });
  }

  test("that talks before the script begins is not mistaken for it, on either output", async () => {
    await using noisy = await behindShell(
      '#!/bin/sh\necho "Welcome! 你好"\nprintf "no newline"\nhead -c 300000 /dev/zero\nhead -c 300000 /dev/zero >&2\necho warning >&2\nset -vx\nexec /bin/sh -c "$SSH_ORIGINAL_COMMAND"\n',
    );
    using connections = connectTo(noisy);
    expect(await runToEnd(connections.shell(noisy.machine), "cat; echo err >&2; exit 4", "input")).toEqual({
      stdout: "input",
      stderr: "err\n",
      status: 4,
    });
  });

  test("that traces what it executes is not mistaken for the script either", async () => {
    await using tracing = await behindShell(
      '#!/bin/sh\nexport SHELLOPTS=xtrace BASH_ENV=/dev/null\nexec /bin/sh -vxc "$SSH_ORIGINAL_COMMAND"\n',
    );
    using connections = connectTo(tracing);
    const { stdout, status } = await runToEnd(connections.shell(tracing.machine), "cat; exit 4", "input");
    expect([stdout, status]).toEqual(["input", 4]);
  });

  test("that never starts our script is unusable, with what it said", async () => {
    await using silent = await behindShell("#!/bin/sh\necho This account is for backups only\nexec cat > /dev/null\n");
    using connections = connectTo(silent, { shellStartTimeoutMs: 3_000 });
    const reason = await problemOf(connections.shell(silent.machine).run("true", { input: "secret" }));
    expect(reason).toMatchObject({
      code: "shell-unusable",
      data: { message: "it began none within 3 s", said: "This account is for backups only" },
    });
  });

  test("that ends at once is unusable, with what it said", async () => {
    await using closed = await behindShell("#!/bin/sh\necho This account is currently not available. >&2\nexit 1\n");
    using connections = connectTo(closed);
    const reason = await problemOf(connections.shell(closed.machine).run("true"));
    expect(reason).toMatchObject({ code: "shell-unusable", data: { said: "This account is currently not available." } });
  });

  test("that floods without end is given up", async () => {
    await using flood = await behindShell("#!/bin/sh\nexec yes\n");
    using connections = connectTo(flood);
    expect((await problemOf(connections.shell(flood.machine).run("true"))).code).toBe("shell-unusable");
  });

  const shells = ["bash", "dash", "zsh", "fish", "csh", "tcsh", "ksh", "busybox"].flatMap((name) => Bun.which(name) ?? []);
  test.each(shells)("%s takes the reader command", async (shell) => {
    const words = shell.endsWith("busybox") ? `${shell} sh` : shell;
    await using other = await behindShell(`#!/bin/sh\nexec ${words} -c "$SSH_ORIGINAL_COMMAND"\n`);
    using connections = connectTo(other);
    expect(await runToEnd(connections.shell(other.machine), "cat; exit 4", "a'b\\c\n")).toEqual({
      stdout: "a'b\\c\n",
      stderr: "",
      status: 4,
    });
  });
});

describe("a machine that misbehaves", () => {
  async function withHostile(
    check: (server: HostileSshServer, connections: SshConnections) => Promise<void>,
    limits: Partial<SshLimits> = {},
  ): Promise<void> {
    await using server = await HostileSshServer.start();
    using connections = openConnections({
      settings: freshSettings({ folder, knownHosts: server.knownHostsLine, identityFile: join(folder, "id") }),
      limits,
    });
    await check(server, connections);
  }

  test("by closing the channel without a status is never taken for success", () =>
    withHostile(async (server, connections) => {
      server.behaviour = { output: "some", exit: null };
      const process = await connections.shell(server.machine).run("true");
      expect((await readAll(process.stdout)).toString()).toBe("some");
      expect((await problemOf(process.exited)).code).toBe("transfer-cut");
    }));

  test("by dropping the connection in the middle is found out", () =>
    withHostile(async (server, connections) => {
      server.behaviour = { output: Buffer.alloc(1_000_000), dropAfterBytes: 300_000 };
      const process = await connections.shell(server.machine).run("true");
      expect((await problemOf(readAll(process.stdout))).code).toBe("transfer-cut");
      expect((await problemOf(process.exited)).code).toBe("transfer-cut");
    }));

  test("by never answering the request to execute is given up", () =>
    withHostile(
      async (server, connections) => {
        server.behaviour = { ignoreExec: true };
        expect((await problemOf(connections.shell(server.machine).run("true"))).code).toBe("shell-unusable");
        server.behaviour = { output: "fine" };
        expect((await runToEnd(connections.shell(server.machine), "true")).stdout).toBe("fine");
      },
      { shellStartTimeoutMs: 4_000 },
    ));

  test("by refusing to execute, or every channel, is unusable", () =>
    withHostile(async (server, connections) => {
      server.behaviour = { refuseExec: true };
      expect((await problemOf(connections.shell(server.machine).run("true"))).code).toBe("shell-unusable");
      server.behaviour = { refuseChannels: true };
      expect((await problemOf(connections.shell(server.machine).run("true"))).code).toBe("shell-unusable");
    }));

  test("by ending with a signal's name gives 128 and its number", () =>
    withHostile(async (server, connections) => {
      for (const [exit, status] of [
        ["SEGV", 139],
        [200, 200],
      ] as const) {
        server.behaviour = { exit };
        expect((await runToEnd(connections.shell(server.machine), "true")).status).toBe(status);
      }
    }));

  test("by being slow is waited for", () =>
    withHostile(async (server, connections) => {
      server.behaviour = { delayMs: 100, output: "slow" };
      expect((await runToEnd(connections.shell(server.machine), "true")).stdout).toBe("slow");
      expect(server.commands).toEqual([`exec /bin/sh -c 'IFS= read -r s; eval "$s"'`]);
    }));
});
