import { expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { HASH_SCRIPT, LIST_SCRIPT } from "../../../src/daemon/copier/scripts.ts";
import type { MachineShell } from "../../../src/daemon/machine-shell.ts";
import { HostileSshServer } from "../../support/hostile-ssh-server.ts";
import { freshSettings, openConnections } from "../../support/ssh-connections.ts";
import { generateKey } from "../../support/sshd.ts";
import { CopyFixture, mustFail, sha256, tree } from "./copy-fixture.ts";

setDefaultTimeout(120_000);

/** What the server answers to each of our three scripts; a number cuts the connection after so many bytes. */
interface Answers {
  readonly listing: string;
  readonly hashes: string;
  readonly stream: string;
  readonly cutStreamAfterBytes?: number;
}

async function withServer(
  answers: Answers,
  work: (shell: MachineShell, fixture: CopyFixture, server: HostileSshServer) => Promise<void>,
): Promise<void> {
  await using server = await HostileSshServer.start();
  using fixture = new CopyFixture();
  const identityFile = join(fixture.folder, "id");
  generateKey(identityFile, "ed25519");
  const settings = freshSettings({ folder: fixture.folder, knownHosts: server.knownHostsLine, identityFile });
  using connections = openConnections({ settings, limits: { backoffFirstMs: 0 } });
  const shell = connections.shell(server.machine);
  // The server cannot tell our scripts apart; the one that is about to be run sets the answer.
  const telling: MachineShell = {
    machine: shell.machine,
    run: async (script, options) => {
      const before = turn;
      const done = Promise.withResolvers<void>();
      turn = done.promise;
      await before;
      const isStream = script !== LIST_SCRIPT && script !== HASH_SCRIPT;
      const output = script === LIST_SCRIPT ? answers.listing : isStream ? answers.stream : answers.hashes;
      const dropAfterBytes = isStream ? answers.cutStreamAfterBytes : undefined;
      server.behaviour = dropAfterBytes === undefined ? { output } : { output, dropAfterBytes };
      return await shell.run(script, options).finally(done.resolve);
    },
  };
  let turn: Promise<void> = Promise.resolve();
  await work(telling, fixture, server);
}

const honest = { listing: "P 0 -\0f 4 /out/exp\0E 0 0\0", hashes: `${sha256("good")}\nend\n`, stream: "good" };

test("over SSH, names that lead out of the folder are refused before anything is fetched", async () => {
  for (const name of ["../escape", "exp/../../escape", "/exp", ".expjobserver/1.toml"]) {
    await withServer({ ...honest, listing: `P 0 -\0f 4 /out/${name}\0E 0 0\0` }, async (shell, fixture, server) => {
      expect(mustFail(await fixture.copy({ shell, prefixes: ["/out/"] })).code).toMatch(/^results-(unsafe-name|changed)$/);
      expect(tree(fixture.target)).toEqual({});
      expect(server.commands.length).toBeLessThanOrEqual(2);
    });
  }
});

test("over SSH, bytes that are not what the machine hashed are refused", async () => {
  await withServer({ ...honest, stream: "evil" }, async (shell, fixture) => {
    expect(mustFail(await fixture.copy({ shell, prefixes: ["/out/exp"] }))).toMatchObject({ code: "results-changed", retryable: true });
    expect(tree(fixture.target)).toEqual({});
  });
});

test("over SSH, a machine that cuts every transfer is given up after three", async () => {
  await withServer({ ...honest, cutStreamAfterBytes: 2 }, async (shell, fixture, server) => {
    const failure = mustFail(await fixture.copy({ shell, prefixes: ["/out/exp"], limits: { retryDelayMs: 50 } }));
    expect(failure.retryable).toBe(true);
    expect(["transfer-cut", "unreachable"]).toContain(failure.code);
    expect(server.connections).toBe(3);
    expect(tree(fixture.target)).toEqual({});
  });
});
