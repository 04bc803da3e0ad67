/** The parts put together, on this host, with real processes: what only shows between them. */
import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resolveServeOptions } from "../../src/config/serve-options.ts";
import type { Job } from "../../src/core/job.ts";
import { Daemon } from "../../src/daemon/daemon.ts";
import { openStore } from "../../src/store/recovery.ts";
import type { Store } from "../../src/store/store.ts";
import { waitFor } from "../support/wait-for.ts";
import { MemoryLog } from "./assembly.ts";

class Lab implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "expjob-daemon-"));
  readonly logDir = join(this.folder, "logs");
  readonly log = new MemoryLog();
  private current: { readonly daemon: Daemon; readonly store: Store } | null = null;

  /** A daemon that has not begun. */
  async open(state = "state"): Promise<Daemon> {
    mkdirSync(this.logDir, { recursive: true });
    const config = join(this.folder, "config.toml");
    writeFileSync(config, "");
    const flags = { stateDir: join(this.folder, state), logDir: this.logDir, config };
    const serve = await resolveServeOptions(flags, { environment: process.env, folder: this.folder });
    const store = await openStore(serve.stateDir, {
      allowSnapshotFailure: false,
      allowNetworkFileSystem: true,
      highestIdInLogs: () => -1,
      now: Date.now,
    });
    const daemon = new Daemon({
      serve,
      store,
      log: this.log,
      caller: { umask: 0o22, openFilesSoft: null },
      workDirectory: this.folder,
      environment: process.env,
      onStorageProblem: (error) => this.log.error(String(error)),
    });
    this.current = { daemon, store };
    return daemon;
  }

  async close(): Promise<void> {
    this.current?.daemon.stop();
    await this.current?.store.close(null);
    this.current = null;
  }

  /** Without those that are kept for runs to come. */
  get runDirectories(): readonly string[] {
    return this.allRunDirectories.filter((name) => !name.startsWith("spare."));
  }

  get allRunDirectories(): readonly string[] {
    const runs = join(this.folder, "state", "runs");
    return readdirSync(runs).flatMap((server) => readdirSync(join(runs, server)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function add(daemon: Daemon, cmd: string): Promise<number> {
  const answer = await daemon.engine.submit({
    kind: "add-jobs",
    class: "x",
    cmd,
    copyTo: null,
    count: 1,
    retry: null,
    timeoutSeconds: null,
    tag: null,
    notify: false,
  });
  if (answer.kind !== "jobs") throw new Error(answer.kind);
  return answer.first;
}

async function ended(daemon: Daemon, jid: number): Promise<Extract<Job["state"], { kind: "done" }>> {
  await waitFor(() => daemon.engine.state.jobs.get(jid)?.state.kind === "done");
  const state = daemon.engine.state.jobs.get(jid)?.state;
  if (state?.kind !== "done") throw new Error(`job ${jid} is ${state?.kind}`);
  return state;
}

describe("a job's log", () => {
  test("is not shared with a job of the same id and command of another state directory", async () => {
    await using lab = new Lab();
    const logs: string[] = [];
    for (const [state, word] of [
      ["first", "one"],
      ["second", "two"],
    ] as const) {
      const daemon = await lab.open(state);
      await daemon.begin();
      await daemon.engine.submit({ kind: "add-machines", addrs: ["local"], class: "x" });
      // The same id and the same command, and so the same name.
      const { run, prefixes } = await ended(daemon, await add(daemon, "echo RESULTS: x"));
      expect(prefixes).toEqual(["x"]);
      writeFileSync(run.log, `RESULTS: ${word}\n`);
      logs.push(run.log);
      await lab.close();
    }
    expect(new Set(logs).size).toBe(2);
    expect(logs.map((log) => readFileSync(log, "utf8"))).toEqual(["RESULTS: one\n", "RESULTS: two\n"]);
  });

  test("of a start that was refused is used by the next one", async () => {
    await using lab = new Lab();
    const daemon = await lab.open();
    await daemon.begin();
    writeFileSync(join(lab.logDir, "0-true"), "");
    await daemon.engine.submit({ kind: "add-machines", addrs: ["local"], class: "x" });
    expect((await ended(daemon, await add(daemon, "true"))).run.log).toBe(join(lab.logDir, "0-true"));
  });
});

describe("a stop", () => {
  test("before the daemon has begun keeps it from beginning", async () => {
    await using lab = new Lab();
    const daemon = await lab.open();
    await daemon.engine.submit({ kind: "add-machines", addrs: ["local"], class: "x" });
    const jid = await add(daemon, "true");
    daemon.stop();
    await daemon.begin();
    expect(daemon.engine.state.jobs.get(jid)?.state.kind).toBe("waiting");
    expect(existsSync(join(lab.logDir, "0-true"))).toBe(false);
  });

  test("leaves what runs alone; the next start takes its end, and its run directory goes", async () => {
    await using lab = new Lab();
    const first = await lab.open();
    await first.begin();
    await first.engine.submit({ kind: "add-machines", addrs: ["local"], class: "x" });
    const go = join(lab.folder, "go");
    const jid = await add(first, `until [ -e ${go} ]; do sleep 0.02; done`);
    await waitFor(() => first.engine.state.jobs.get(jid)?.state.kind === "running");
    await lab.close();
    const second = await lab.open();
    expect(second.engine.state.jobs.get(jid)?.state.kind).toBe("running");
    expect([...second.engine.state.machines.values()][0]?.health.kind).toBe("ok");
    await second.begin();
    writeFileSync(go, "");
    await ended(second, jid);
    await waitFor(() => lab.runDirectories.length === 0);
    expect(lab.log.errors).toEqual([]);
  });
});

test("run directories that a crash left of ended jobs are removed at the next start", async () => {
  await using lab = new Lab();
  const first = await lab.open();
  await first.begin();
  await first.engine.submit({ kind: "add-machines", addrs: ["local"], class: "x" });
  const { run } = await ended(first, await add(first, "true"));
  await waitFor(() => lab.runDirectories.length === 0);
  await lab.close();
  const [server = ""] = readdirSync(join(lab.folder, "state", "runs"));
  for (const name of lab.allRunDirectories) rmSync(join(lab.folder, "state", "runs", server, name), { recursive: true });
  // Of another process.
  mkdirSync(join(lab.folder, "state", "runs", server, "spare.0123abcd.0"));
  mkdirSync(join(lab.folder, "state", "runs", server, `0.0.${run.runId}`));
  const second = await lab.open();
  await second.begin();
  expect(lab.allRunDirectories).toEqual([]);
});

test("a long journal that an earlier run left is followed by a snapshot at once, and its past leaves the memory", async () => {
  await using lab = new Lab();
  const options = { allowSnapshotFailure: false, allowNetworkFileSystem: true, highestIdInLogs: () => -1, now: Date.now };
  const store = await openStore(join(lab.folder, "state"), options);
  const spec = { kind: "job", class: "x", cmd: "a", copyTo: null, retry: null, notify: false, variables: {}, secrets: [] } as const;
  await store.append([
    { kind: "jobs-added", at: 1, first: 0, count: 2, spec, timeoutSeconds: null, tag: null },
    { kind: "job-canceled", at: 2, jid: 0, exitCode: null, problem: { code: "canceled", data: {} } },
  ]);
  const value = "x".repeat(1_048_576);
  for (let index = 0; index < 8; index++) await store.append([{ kind: "variable-set", variable: { kind: "plain", name: "V", value } }]);
  await store.close(null);
  const daemon = await lab.open();
  expect([...daemon.engine.state.jobs.keys()]).toEqual([0, 1]);
  await daemon.begin();
  await waitFor(() => existsSync(join(lab.folder, "state", "snapshot.toml")));
  expect([...daemon.engine.state.jobs.keys()]).toEqual([1]);
  expect((await daemon.book.one(0)).state.kind).toBe("canceled");
});
