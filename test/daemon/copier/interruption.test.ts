import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { randomFillSync } from "node:crypto";
import { existsSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HASH_SCRIPT, LIST_SCRIPT, STREAM_SCRIPT } from "../../../src/daemon/copier/scripts.ts";
import type { MachineShell } from "../../../src/daemon/machine-shell.ts";
import { SshConnections } from "../../../src/daemon/ssh/connections.ts";
import { CutProxy } from "../../support/cut-proxy.ts";
import { type Sshd, sshdAvailable, startSshd } from "../../support/sshd.ts";
import { waitFor } from "../../support/wait-for.ts";
import { CopyFixture, InterferingShell, mustBeCopied, mustFail, tree } from "./copy-fixture.ts";

// A machine that is busy with other tests.
setDefaultTimeout(120_000);

const MIB = 1024 * 1024;

if (!sshdAvailable()) console.warn("SKIPPED: cut connections, because sshd is not installed");

describe.skipIf(!sshdAvailable())("a connection to sshd", () => {
  async function withProxy(work: (proxy: CutProxy, shell: MachineShell) => Promise<void>): Promise<void> {
    const sshd: Sshd = await startSshd();
    const proxy = await CutProxy.start({ host: sshd.address, port: sshd.port });
    sshd.writeClientConfig([
      "Host through-proxy",
      `  HostName ${sshd.address}`,
      `  Port ${proxy.port}`,
      `  HostKeyAlias [${sshd.address}]:${sshd.port}`,
    ]);
    const connections = new SshConnections({ settings: { configFile: sshd.client.configFile } });
    try {
      await work(proxy, connections.shell("through-proxy"));
    } finally {
      connections.close();
      await proxy.stop();
      await sshd.stop();
    }
  }

  test("that is cut in the middle of a large file goes on where it stopped", async () => {
    await withProxy(async (proxy, shell) => {
      using fixture = new CopyFixture();
      const bytes = 64 * MIB;
      fixture.write({ "exp7/large": randomFillSync(Buffer.alloc(bytes)), "exp7/small": "x" });
      proxy.cutAfterBytes = 40 * MIB;
      const copying = fixture.copy({ shell, limits: { retryDelayMs: 100 } });
      await waitFor(() => proxy.bytesFromTarget >= 40 * MIB, { timeoutMs: 50_000 });
      proxy.cutAfterBytes = null;
      mustBeCopied(await copying);
      expect(tree(fixture.target)).toEqual(tree(fixture.source));
      expect(proxy.connections).toBeGreaterThan(1);
      // What was on its way when it was cut is sent twice, no more.
      expect(proxy.bytesFromTarget).toBeLessThan(bytes + 12 * MIB);
    });
  }, 120_000);

  test("that is cut among many files does not fetch again what is here", async () => {
    await withProxy(async (proxy, shell) => {
      using fixture = new CopyFixture();
      for (let index = 0; index < 320; index += 1) fixture.write({ [`exp7/f${index}`]: randomFillSync(Buffer.alloc(100_000)) });
      proxy.cutAfterBytes = 16 * MIB;
      const copying = fixture.copy({ shell, limits: { retryDelayMs: 100 } });
      await waitFor(() => proxy.bytesFromTarget >= 16 * MIB, { timeoutMs: 50_000 });
      proxy.cutAfterBytes = null;
      mustBeCopied(await copying);
      expect(tree(fixture.target)).toEqual(tree(fixture.source));
      expect(proxy.bytesFromTarget).toBeLessThan(32_000_000 + 6 * MIB);
    });
  }, 120_000);

  test("that swallows bytes ends as stalled, and the next try continues", async () => {
    await withProxy(async (proxy, shell) => {
      using fixture = new CopyFixture();
      fixture.write({ exp7: randomFillSync(Buffer.alloc(64 * MIB)) });
      const freezing = (async () => {
        await waitFor(() => proxy.bytesFromTarget > 10 * MIB, { timeoutMs: 50_000 });
        proxy.freeze();
      })();
      const copying = fixture.copy({ shell, limits: { stallMs: 4000, attemptsMax: 1 } });
      const failure = mustFail(await copying);
      await freezing;
      expect(failure).toMatchObject({ code: "transfer-stalled", retryable: true });
      proxy.cut();
      proxy.thaw();
      const before = proxy.bytesFromTarget;
      mustBeCopied(await fixture.copy({ shell }));
      expect(tree(fixture.target)).toEqual(tree(fixture.source));
      expect(proxy.bytesFromTarget - before).toBeLessThan(58 * MIB);
    });
  }, 120_000);
});

describe("a command that falls silent", () => {
  for (const [name, silent] of [
    ["listing", LIST_SCRIPT],
    ["hashing", HASH_SCRIPT],
    ["transfer", STREAM_SCRIPT],
  ]) {
    test(`in the ${name} is ended after the stall time, three times in all`, async () => {
      using fixture = new CopyFixture();
      fixture.write({ exp7: "x" });
      const shell = new InterferingShell((script) => (script === silent ? "exec sleep 1000" : undefined));
      const failure = mustFail(await fixture.copy({ shell, limits: { stallMs: 1_000, retryDelayMs: 1 } }));
      expect(failure).toMatchObject({ code: "transfer-stalled", retryable: true, data: { machine: "local" } });
      expect(shell.scripts.filter((script) => script === silent)).toHaveLength(3);
    });

    test(`in the ${name} is ended at once when the copy is canceled`, async () => {
      using fixture = new CopyFixture();
      fixture.write({ exp7: "x" });
      const controller = new AbortController();
      const shell = new InterferingShell((script) => (script === silent ? "exec sleep 1000" : undefined));
      const copying = fixture.copy({ shell, signal: controller.signal });
      await waitFor(() => shell.scripts.includes(silent ?? ""));
      controller.abort();
      expect(mustFail(await copying)).toMatchObject({ code: "canceled", retryable: true });
    });
  }

  test("a copy that is canceled before it begins asks the machine nothing", async () => {
    using fixture = new CopyFixture();
    const shell = new InterferingShell(() => undefined);
    expect(mustFail(await fixture.copy({ shell, signal: AbortSignal.abort() })).code).toBe("canceled");
    expect(shell.scripts).toEqual([]);
  });
});

describe("what an earlier copy left", () => {
  /** A copy that stops when this many bytes of the stream have come. */
  async function interrupted(fixture: CopyFixture, bytes: number): Promise<void> {
    const cut = STREAM_SCRIPT.replace("exec xargs", "set -o pipefail 2>/dev/null; xargs").replace(
      `"$@"' sh`,
      `"$@"' sh | head -c ${bytes}; sleep 1000`,
    );
    const shell = new InterferingShell((script) => (script === STREAM_SCRIPT ? cut : undefined));
    mustFail(await fixture.copy({ shell, limits: { stallMs: 1_500, attemptsMax: 1 } }));
  }

  test("is continued when it is right: only the rest is asked for", async () => {
    using fixture = new CopyFixture();
    fixture.write({ exp7: randomFillSync(Buffer.alloc(20 * MIB)) });
    await interrupted(fixture, 10 * MIB);
    expect(existsSync(join(fixture.target, "exp7"))).toBe(false);
    const withoutFirst = new InterferingShell((script) =>
      script === STREAM_SCRIPT ? script.replace("+$offset", "+$((offset > 8000000 ? offset : 1))") : undefined,
    );
    mustBeCopied(await fixture.copy({ shell: withoutFirst }));
    expect(tree(fixture.target)).toEqual(tree(fixture.source));
    expect(withoutFirst.scripts.filter((script) => script === STREAM_SCRIPT)).toHaveLength(1);
  });

  test("is fetched anew when its bytes are wrong, and other leftovers go", async () => {
    using fixture = new CopyFixture();
    fixture.write({ "exp7/a": randomFillSync(Buffer.alloc(2 * MIB)), "exp7/b": randomFillSync(Buffer.alloc(8 * MIB)), "exp7/c": "c" });
    await interrupted(fixture, 6 * MIB);
    const left = join(fixture.target, ".expjobserver/incoming/7.run1/tree/exp7");
    writeFileSync(join(left, "stranger"), "x");
    writeFileSync(join(left, "a"), randomFillSync(Buffer.alloc(2 * MIB)));
    writeFileSync(join(left, "b"), randomFillSync(Buffer.alloc(7 * MIB)));
    mustBeCopied(await fixture.copy());
    expect(tree(fixture.target)).toEqual(tree(fixture.source));
  });

  test("is cut down when the file has become smaller since", async () => {
    using fixture = new CopyFixture();
    fixture.write({ exp7: randomFillSync(Buffer.alloc(20 * MIB)) });
    await interrupted(fixture, 10 * MIB);
    truncateSync(join(fixture.source, "exp7"), 5 * MIB);
    mustBeCopied(await fixture.copy());
    expect(tree(fixture.target)).toEqual(tree(fixture.source));
  });
});
