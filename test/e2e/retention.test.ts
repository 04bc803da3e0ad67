/** The server's own log, SIGHUP and [retention], as the person sees them who keeps a server for years. */
import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { TestDaemon } from "../support/daemon.ts";
import { waitFor } from "../support/wait-for.ts";

const SLOW = { timeout: 60_000 };
const LINES = 2_000;
const PRINTS = `i=0; while [ $i -lt ${LINES} ]; do echo line $i; i=$((i+1)); done`;

function setConfig(daemon: TestDaemon, text: string): void {
  writeFileSync(join(daemon.folder, "config.toml"), text);
  process.kill(daemon.pid, "SIGHUP");
}

function ownLog(daemon: TestDaemon): string {
  return readFileSync(join(daemon.logDir, "server.log"), "utf8");
}

test(
  "old logs are gzipped, then deleted, and old jobs forgotten, each only when config.toml says so, and that without a restart",
  async () => {
    await using daemon = await TestDaemon.start();
    await daemon.ok("machine", "add", "local", "x");
    const jid = await daemon.add("x", PRINTS);
    const { log } = await daemon.ended(jid);
    if (log === null) throw new Error("no log");
    const text = readFileSync(log, "utf8");
    expect(text.split("\n")).toHaveLength(LINES + 1);

    // Nothing by default.
    setConfig(daemon, "");
    await waitFor(() => ownLog(daemon).includes("changed: nothing"));
    expect(await daemon.ok("job", "log", String(jid))).toBe(log);
    expect(readFileSync(log, "utf8")).toBe(text);
    expect(ownLog(daemon)).not.toContain(" debug: ");

    setConfig(daemon, '[log]\nlevel = "debug"\n[retention]\ncompress_logs_after = "1s"\n');
    await waitFor(() => existsSync(`${log}.gz`) && !existsSync(log));
    expect(await daemon.ok("job", "log", String(jid))).toBe(`${log}.gz`);
    expect(gunzipSync(readFileSync(`${log}.gz`)).toString()).toBe(text);
    expect(await daemon.ok("job", "log", "-t", String(jid))).toEndWith(`line ${LINES - 1}`);
    await waitFor(() => /info: retention: compressed 1 log, \d+ bytes to \d+/.test(ownLog(daemon)));
    expect(ownLog(daemon)).toContain(` debug: retention: compressed ${log}`);

    setConfig(daemon, '[retention]\ndelete_logs_after = "1s"\n');
    await waitFor(() => !existsSync(`${log}.gz`));
    await waitFor(() => ownLog(daemon).includes("info: retention: deleted "));
    const expired = await daemon.j("job", "log", String(jid));
    expect(expired.code).toBe(1);
    expect(expired.stderr).toStartWith(`The log of job ${jid} was deleted: [retention]`);
    expect(expired.stderr.trimEnd().split("\n")).toHaveLength(2);
    const followed = await daemon.j("job", "log", "-t", String(jid));
    expect([followed.code, followed.stderr]).toEqual([1, expired.stderr]);
    expect((await daemon.show(jid)).status).toBe("done");

    setConfig(daemon, '[retention]\nforget_jobs_after = "1s"\n');
    await waitFor(async () => (await daemon.ok("job", "ls", "--json")) === "[]");
    expect((await daemon.j("job", "show", String(jid))).code).toBe(1);
    await waitFor(() => ownLog(daemon).includes("info: retention: forgot 1 job\n"));
    expect(await daemon.add("none", "true")).toBeGreaterThan(jid);
  },
  SLOW.timeout,
);

test(
  "the server's log is rotated by size, gzipped, and so many are kept; an error in the file at SIGHUP changes nothing",
  async () => {
    await using daemon = await TestDaemon.start({ config: '[log]\nmax_size = "2KiB"\nfiles = 2\n' });
    const rotated = () =>
      readdirSync(daemon.logDir)
        .filter((name) => name.startsWith("server.log."))
        .toSorted();
    let signals = 0;
    const hangUp = async () => {
      const before = daemon.stderr.length;
      process.kill(daemon.pid, "SIGHUP");
      signals += 1;
      await waitFor(() => daemon.stderr.length > before);
    };
    while (!rotated().includes("server.log.2.gz") && signals < 200) await hangUp();
    for (let more = 0; more < 20; more++) await hangUp();
    // It is rotated beside the server's work: a file may be half written, and the next not yet in its place.
    const isOver = (): boolean => {
      try {
        return (
          /^\d{4}-\S+ info: /m.test(gunzipSync(readFileSync(join(daemon.logDir, "server.log.1.gz"))).toString()) && rotated().length === 2
        );
      } catch {
        return false;
      }
    };
    await waitFor(isOver, { what: () => rotated().join() });
    expect(rotated()).toEqual(["server.log.1.gz", "server.log.2.gz"]);

    setConfig(daemon, "[retention]\ndelete_logs_after = 30\n");
    await waitFor(() => daemon.stderr.includes("the settings stay as they were"));
    const [line] = daemon.stderr.split("\n").filter((text) => text.includes("the settings stay"));
    expect(line).toContain("retention.delete_logs_after is 30");
    // Without a config that can be read the client has no settings either.
    setConfig(daemon, '[log]\nmax_size = "2KiB"\n[limits]\nkill_grace = "1s"\n');
    await waitFor(() => daemon.stderr.includes("not changed before the next start of the server: limits.kill_grace"));
    expect((await daemon.j("ping")).code).toBe(0);
  },
  SLOW.timeout,
);

test(
  "a terminal that closes ends neither the server that runs in it nor its jobs",
  async () => {
    await using daemon = await TestDaemon.prepare();
    const server = Bun.spawn([daemon.binary.expjobserver, ...daemon.serveWords()], {
      cwd: daemon.folder,
      env: daemon.environment,
      terminal: { cols: 80, rows: 24, data: () => undefined },
    });
    try {
      await waitFor(async () => (await daemon.j("ping")).code === 0, { timeoutMs: 20_000 });
      await daemon.ok("machine", "add", "local", "x");
      const marker = join(daemon.folder, "go-on");
      const jid = await daemon.add("x", `while [ ! -e ${marker} ]; do sleep 0.05; done; echo whole`);
      await daemon.untilStatus(jid, "running");
      server.terminal?.close();
      await waitFor(() => ownLog(daemon).includes("SIGHUP"));
      writeFileSync(marker, "");
      const job = await daemon.ended(jid);
      expect([job.status, daemon.output(job)]).toEqual(["done", "whole\n"]);
      expect(server.exitCode).toBeNull();
    } finally {
      server.kill("SIGTERM");
    }
    expect(await server.exited).toBe(0);
  },
  SLOW.timeout,
);
