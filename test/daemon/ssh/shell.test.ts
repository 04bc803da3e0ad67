import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEmbeddedSshServer } from "../../../scripts/embedded-ssh-server.ts";
import { SshConnections } from "../../../src/daemon/ssh/connections.ts";
import { localUserName } from "../../../src/daemon/ssh/local-user.ts";
import { machineShellContract } from "../../contract/machine-shell.ts";
import { generateKey, sshdAvailable, startSshd } from "../../support/sshd.ts";

// Without sshd the contract is shown to hold for the embedded server only, and that is said.
if (sshdAvailable()) {
  machineShellContract("OpenSSH", async () => {
    const sshd = await startSshd();
    const connections = new SshConnections({ settings: { configFile: sshd.client.configFile } });
    return {
      shell: connections.shell(sshd.machine),
      close: async () => {
        connections.close();
        await sshd.stop();
      },
    };
  });
}
test.skipIf(!sshdAvailable())("the machine shell contract was tried with OpenSSH (SKIPPED without sshd)", () => {
  expect(sshdAvailable()).toBe(true);
});

machineShellContract("the embedded server", async () => {
  const folder = mkdtempSync(join(tmpdir(), "expjob-embedded-"));
  const identity = join(folder, "id");
  generateKey(identity, "ed25519");
  generateKey(join(folder, "host"), "ed25519");
  const server = await startEmbeddedSshServer({
    address: "127.0.0.1",
    port: 0,
    hostKey: readFileSync(join(folder, "host"), "utf8"),
    user: localUserName(),
    authorizedKeys: [readFileSync(`${identity}.pub`, "utf8")],
  });
  const [type, key] = readFileSync(join(folder, "host.pub"), "utf8").split(" ");
  writeFileSync(join(folder, "known_hosts"), `[127.0.0.1]:${server.port} ${type} ${key}\n`);
  writeFileSync(join(folder, "config"), "IdentityAgent none\nIdentitiesOnly yes\n");
  const connections = new SshConnections({
    settings: { configFile: join(folder, "config"), identityFiles: [identity], knownHostsFile: join(folder, "known_hosts") },
  });
  return {
    shell: connections.shell(`127.0.0.1:${server.port}`),
    close: async () => {
      connections.close();
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
});
