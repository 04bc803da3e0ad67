import { expect, test } from "bun:test";
import { join } from "node:path";
import { SshConnections } from "../../src/daemon/ssh/connections.ts";
import { runToEnd } from "../contract/machine-shell.ts";
import { sshdAvailable, startSshd } from "../support/sshd.ts";

// A login shell reads files of its home before it runs a command: `pyenv init` in a .bashrc waits for a minute
// when another login was killed in the middle of its own.
test.skipIf(!sshdAvailable())("the sessions of a test's sshd read nothing of this user's", async () => {
  await using sshd = await startSshd({ sessionEnvironment: { COLOUR: "dark blue" } });
  const connections = new SshConnections({ settings: { configFile: sshd.client.configFile } });
  const said = await runToEnd(connections.shell(sshd.machine), 'echo "$HOME|$COLOUR"');
  connections.close();
  expect(said.stdout).toBe(`${join(sshd.folder, "home")}|dark blue\n`);
});
