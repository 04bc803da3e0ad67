/** An idle server wakes once an interval for all its machines, and learns of each by itself that it is silent. Needs sshd. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SshConnections } from "../../../src/daemon/ssh/connections.ts";
import { runToEnd } from "../../contract/machine-shell.ts";
import { CutProxy } from "../../support/cut-proxy.ts";
import { freshSettings, openConnections, problemOf } from "../../support/ssh-connections.ts";
import { type Sshd, startSshd } from "../../support/sshd.ts";
import { waitFor } from "../../support/wait-for.ts";

// Real servers on a machine that is busy with other tests.
setDefaultTimeout(120_000);

let folder: string;
let sshd: Sshd;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "expjob-keepalives-"));
  sshd = await startSshd();
});
afterAll(async () => {
  await sshd.stop();
  rmSync(folder, { recursive: true, force: true });
});

const INTERVAL_MS = 1_000;

/** Two machines that are one sshd, each reached through a proxy of its own. */
function connectThrough(...proxies: readonly CutProxy[]): SshConnections & Disposable {
  const knownHosts = proxies.map(({ port }) => `${sshd.knownHostsLine().replace(`:${sshd.port} `, `:${port} `)}\n`).join("");
  const settings = freshSettings({ folder, knownHosts, identityFile: sshd.client.identityFile });
  return openConnections({ settings, limits: { keepaliveIntervalMs: INTERVAL_MS, keepaliveCountMax: 3 } });
}

/** When something last went to the machine, and how often by now. */
class Sendings {
  at = Number.NEGATIVE_INFINITY;
  count = 0;
  #bytes: number;

  constructor(private readonly proxy: CutProxy) {
    this.#bytes = proxy.bytesToTarget;
  }

  look(): void {
    if (this.proxy.bytesToTarget === this.#bytes) return;
    this.#bytes = this.proxy.bytesToTarget;
    this.at = performance.now();
    this.count += 1;
  }
}

test("machines that connected at different times are asked at the same time", async () => {
  await using one = await CutProxy.start({ host: sshd.address, port: sshd.port });
  await using two = await CutProxy.start({ host: sshd.address, port: sshd.port });
  using connections = connectThrough(one, two);
  await runToEnd(connections.shell(`127.0.0.1:${one.port}`), `sleep ${INTERVAL_MS / 2_000}`);
  await runToEnd(connections.shell(`127.0.0.1:${two.port}`), "true");
  const sendings = [new Sendings(one), new Sendings(two)] as const;
  await waitFor(
    () => {
      for (const sending of sendings) sending.look();
      return sendings.every(({ count }) => count >= 3) && Math.abs(sendings[0].at - sendings[1].at) < INTERVAL_MS / 8;
    },
    { everyMs: 5, timeoutMs: 20_000 },
  );
  expect(Math.abs(sendings[0].at - sendings[1].at)).toBeLessThan(INTERVAL_MS / 8);
});

test("a machine that falls silent is given up, and what runs on another goes on", async () => {
  await using silent = await CutProxy.start({ host: sshd.address, port: sshd.port });
  await using other = await CutProxy.start({ host: sshd.address, port: sshd.port });
  using connections = connectThrough(silent, other);
  const lost = await connections.shell(`127.0.0.1:${silent.port}`).run("cat", { keepInputOpen: true });
  const kept = await connections.shell(`127.0.0.1:${other.port}`).run("cat", { keepInputOpen: true });
  silent.freeze();
  const began = performance.now();
  expect(await problemOf(lost.exited)).toMatchObject({ code: "unreachable", data: { message: "no answer to keepalives" } });
  // Asked twice, and the last interval to wait; the first may be nearly over when it falls silent.
  expect(performance.now() - began).toBeGreaterThan(1.9 * INTERVAL_MS);
  await kept.write("still here\n");
  const { value } = await kept.stdout[Symbol.asyncIterator]().next();
  expect(Buffer.from(value ?? new Uint8Array()).toString()).toBe("still here\n");
  silent.thaw();
});
