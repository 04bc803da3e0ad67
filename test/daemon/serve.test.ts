/** `serve` from start to stop, in a process of its own: every end closes the store, and says how it was. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStore } from "../../src/store/recovery.ts";
import { freePort } from "../support/free-port.ts";
import { waitFor } from "../support/wait-for.ts";

const ROOT = join(import.meta.dir, "../..");

class Served implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "expjob-serve-"));
  private readonly children: Bun.Subprocess<"ignore", "pipe", "pipe">[] = [];

  get stateDir(): string {
    return join(this.folder, "state");
  }

  get log(): string {
    return readFileSync(join(this.folder, "logs", "server.log"), "utf8");
  }

  /** @param meanwhile a program beside the server, in its process */
  async start(meanwhile = "", more: readonly string[] = [], config = ""): Promise<Bun.Subprocess<"ignore", "pipe", "pipe">> {
    const address = `127.0.0.1:${await freePort("127.0.0.1")}`;
    const flags = { address, stateDir: this.stateDir, logDir: join(this.folder, "logs"), config: join(this.folder, "config.toml") };
    writeFileSync(flags.config, config);
    const program = `
      const { resolveServeOptions } = await import(${JSON.stringify(join(ROOT, "src/config/serve-options.ts"))});
      const { serve } = await import(${JSON.stringify(join(ROOT, "src/daemon/serve.ts"))});
      const resolve = () => resolveServeOptions(${JSON.stringify(flags)}, { environment: process.env, folder: ${JSON.stringify(this.folder)} });
      const options = await resolve();
      ${meanwhile}
      console.log(JSON.stringify(await serve(options, resolve)));
      process.exit(0);`;
    const child = Bun.spawn([process.execPath, "-e", program, ...more], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      cwd: this.folder,
    });
    this.children.push(child);
    return child;
  }

  async untilServing(): Promise<void> {
    await waitFor(() => {
      try {
        return this.log.includes(" serves on ");
      } catch {
        return false;
      }
    });
  }

  /** The lock is free and the journal is whole. */
  async expectClosed(): Promise<void> {
    const store = await openStore(this.stateDir, {
      allowSnapshotFailure: false,
      allowNetworkFileSystem: true,
      highestIdInLogs: () => -1,
      now: Date.now,
    });
    expect(store.notes).toEqual([]);
    await store.close(null);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.children) {
      child.kill("SIGKILL");
      await child.exited;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

describe("serve", () => {
  test.each(["SIGTERM", "SIGINT"] as const)("ends cleanly with %s and says so", async (signal) => {
    await using served = new Served();
    const child = await served.start();
    await served.untilServing();
    child.kill(signal);
    expect(JSON.parse(await child.stdout.text())).toEqual({ kind: "stopped" });
    expect(await child.exited).toBe(0);
    expect(served.log).toContain("stopped; jobs that run go on");
    await served.expectClosed();
  });

  test("that is stopped while it starts is stopped, not killed", async () => {
    await using served = new Served();
    // Before anything is open, the first moment at which a signal can come.
    const child = await served.start(`setImmediate(() => process.kill(process.pid, "SIGTERM"));`);
    expect(JSON.parse(await child.stdout.text())).toEqual({ kind: "stopped" });
    expect(await child.exited).toBe(0);
    await served.expectClosed();
  });

  test("goes on when a promise or a callback of ours fails unseen, and its log has where", async () => {
    await using served = new Served();
    const child = await served.start(`
      const { readFileSync } = await import("node:fs");
      const isServing = () => {
        try {
          return readFileSync(${JSON.stringify(join(served.folder, "logs", "server.log"))}, "utf8").includes(" serves on ");
        } catch {
          return false;
        }
      };
      const look = setInterval(() => {
        if (!isServing()) return;
        clearInterval(look);
        void Promise.reject(new TypeError("planted rejection"));
        throw new TypeError("planted exception");
      }, 20);`);
    await served.untilServing();
    await waitFor(() => served.log.includes("planted rejection") && served.log.includes("planted exception"));
    expect(child.exitCode).toBeNull();
    child.kill("SIGTERM");
    expect(JSON.parse(await child.stdout.text())).toEqual({ kind: "stopped" });
  });

  test("whose log folder cannot be one says which, and has opened nothing", async () => {
    await using served = new Served();
    writeFileSync(join(served.folder, "logs"), "");
    const child = await served.start();
    expect(JSON.parse(await child.stdout.text())).toMatchObject({
      kind: "failed",
      code: "log-dir",
      data: { path: join(served.folder, "logs") },
    });
  });

  test("whose own log file cannot be written serves all the same", async () => {
    await using served = new Served();
    mkdirSync(join(served.folder, "logs", "server.log"), { recursive: true });
    const child = await served.start(`
      const { createConnection } = await import("node:net");
      const look = () => {
        const socket = createConnection(options.address.port, "127.0.0.1");
        socket.on("connect", () => process.kill(process.pid, "SIGTERM"));
        socket.on("error", () => setTimeout(look, 20));
      };
      look();`);
    expect(JSON.parse(await child.stdout.text())).toEqual({ kind: "stopped" });
    expect(await child.stderr.text()).toContain("cannot write");
    await served.expectClosed();
  });

  test("whose token cannot be read leaves the store closed", async () => {
    await using served = new Served();
    mkdirSync(join(served.stateDir, "token"), { recursive: true });
    const child = await served.start();
    expect(JSON.parse(await child.stdout.text())).toMatchObject({ kind: "failed", code: "token-file" });
    rmSync(join(served.stateDir, "token"), { recursive: true });
    await served.expectClosed();
  });

  test("a second one on the same state is told who holds it, and harms nothing", async () => {
    await using served = new Served();
    const first = await served.start();
    await served.untilServing();
    const second = await served.start();
    expect(JSON.parse(await second.stdout.text())).toMatchObject({ kind: "failed", code: "locked", data: { pid: String(first.pid) } });
    first.kill("SIGTERM");
    expect(await first.exited).toBe(0);
    await served.expectClosed();
  });

  test("reads its settings again at SIGHUP, says what changed and what needs a restart, and goes on", async () => {
    await using served = new Served();
    const child = await served.start("", [], "[class.a]\nbackoff = '1s'\n");
    await served.untilServing();
    const config = join(served.folder, "config.toml");
    writeFileSync(
      config,
      "notify_machine_broken = true\n[log]\nlevel = 'debug'\n[limits]\nkill_grace = '1s'\nqueued_jobs = 3\n[class.a]\nbackoff = '2s'\nrunner = 'ssh'\n",
    );
    child.kill("SIGHUP");
    await waitFor(() => served.log.includes("next start"));
    expect(served.log).toContain(`info: SIGHUP: ${config} was read; changed: log.level, limits.queued_jobs, class.a.backoff\n`);
    expect(served.log).toContain(
      "warn: SIGHUP: not changed before the next start of the server: notify_machine_broken, limits.kill_grace, class.a.runner\n",
    );
    child.kill("SIGTERM");
    expect(JSON.parse(await child.stdout.text())).toEqual({ kind: "stopped" });
  });

  test("keeps its settings when the file has an error at SIGHUP, and says so in one line", async () => {
    await using served = new Served();
    const child = await served.start("", [], "[log]\nlevel = 'info'\n");
    await served.untilServing();
    const config = join(served.folder, "config.toml");
    for (const [text, said] of [
      ["log_level = 'debug\n", `"${config}" is not valid TOML: line 1`],
      ["[retention]\ndelete_logs_after = 30\n", "retention.delete_logs_after is 30. It must be an age with its unit in quotes"],
    ] as const) {
      writeFileSync(config, text);
      child.kill("SIGHUP");
      await waitFor(() => served.log.includes(said));
    }
    expect(served.log.match(/error: SIGHUP: the settings stay as they were: .*/g)).toHaveLength(2);
    expect(served.log).not.toContain("was read");
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
  });

  test("whose state directory is a file says so, and does not speak of logs", async () => {
    await using served = new Served();
    writeFileSync(served.stateDir, "");
    const child = await served.start(`options.logDir = options.stateDir + "/logs";`);
    expect(JSON.parse(await child.stdout.text())).toMatchObject({ kind: "failed", code: "state-dir", data: { path: served.stateDir } });
  });
});
