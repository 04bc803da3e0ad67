/** What becomes of old logs and old jobs: on a real store, real files, with the clock in the test's hand. */
import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import type { RetentionOptions } from "../../../src/config/retention-options.ts";
import { Retention } from "../../../src/daemon/retention/retention.ts";
import { Timers } from "../../../src/daemon/timers.ts";
import { waitFor } from "../../support/wait-for.ts";
import { Assembly } from "../assembly.ts";

const DAY_MS = 86_400_000;
const NOTHING: RetentionOptions = {
  compressLogsAfterSeconds: null,
  deleteLogsAfterSeconds: null,
  deleteLogsAboveBytes: null,
  forgetJobsAfterSeconds: null,
};
const days = (count: number): number => count * 86_400;
const TEXT = "a line of output\n".repeat(1_000);

class Past implements AsyncDisposable {
  /** Days after the real time. */
  laterDays = 0;
  readonly attended = new Set<number>();
  readonly now = (): number => Date.now() + this.laterDays * DAY_MS;
  readonly timers = new Timers(this.now);

  constructor(readonly daemon: Assembly) {}

  static async open(): Promise<Past> {
    const past = new Past(await Assembly.open());
    await past.daemon.pool("x", "m");
    return past;
  }

  /** One that ended now. */
  async ended(exitCode = 0, text = TEXT): Promise<number> {
    const { jid, runId } = await this.daemon.running();
    writeFileSync(this.log(jid), text);
    writeFileSync(`${this.log(jid)}.err`, "");
    this.daemon.hosts.finish(runId, exitCode);
    await this.daemon.until(jid, exitCode === 0 ? "done" : "failed");
    return jid;
  }

  log(jid: number): string {
    return join(this.daemon.folder, `${jid}-log`);
  }

  /** All that has ended leaves the memory. */
  async archive(): Promise<void> {
    const { engine, store } = this.daemon;
    await engine.observe({ kind: "jobs-in-history", jobs: await store.snapshot(engine.state, engine.sequence) });
  }

  retention(settings: Partial<RetentionOptions>, logDir = this.daemon.folder): Retention {
    const { engine, book, log } = this.daemon;
    return new Retention({
      settings: { ...NOTHING, ...settings },
      logDir,
      book,
      submit: (command) => engine.submit(command),
      isAttended: (job) => this.attended.has(job.jid),
      timers: this.timers,
      now: this.now,
      log,
    });
  }

  async sweep(settings: Partial<RetentionOptions>, logDir?: string): Promise<void> {
    await this.retention(settings, logDir).sweep();
  }

  async known(): Promise<number[]> {
    return (await this.daemon.book.before(this.daemon.engine.state.nextId, 1_000)).map((job) => job.jid).toReversed();
  }

  get said(): string[] {
    return this.daemon.log.lines.filter((line) => line.includes("retention:"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.timers.stop();
    await this.daemon[Symbol.asyncDispose]();
  }
}

describe("retention", () => {
  test("without a setting changes nothing, however old things are, and never wakes up", async () => {
    await using past = await Past.open();
    const jid = await past.ended();
    past.laterDays = 10_000;
    const before = readdirSync(past.daemon.folder).toSorted();
    const retention = past.retention({});
    retention.start();
    expect(past.timers.has("retention")).toBe(false);
    await retention.sweep();
    expect(readdirSync(past.daemon.folder).toSorted()).toEqual(before);
    expect(readFileSync(past.log(jid), "utf8")).toBe(TEXT);
    expect(await past.known()).toEqual([jid]);
    expect(past.said).toEqual([]);
  });

  test("gzips logs of an age in their place, with their time and mode, and not twice", async () => {
    await using past = await Past.open();
    const jid = await past.ended();
    const before = statSync(past.log(jid));
    await past.sweep({ compressLogsAfterSeconds: days(7) });
    expect(existsSync(past.log(jid))).toBe(true);
    past.laterDays = 8;
    await past.sweep({ compressLogsAfterSeconds: days(7) });
    expect(existsSync(past.log(jid))).toBe(false);
    const compressed = `${past.log(jid)}.gz`;
    expect(gunzipSync(readFileSync(compressed)).toString()).toBe(TEXT);
    const after = statSync(compressed);
    expect([after.mode, Math.abs(after.mtimeMs - before.mtimeMs) < 1]).toEqual([before.mode, true]);
    expect(existsSync(`${past.log(jid)}.err`)).toBe(true);
    await past.sweep({ compressLogsAfterSeconds: days(7) });
    expect(statSync(compressed).ino).toBe(after.ino);
    expect(past.said).toEqual([expect.stringMatching(/^info: retention: compressed 1 log, 17000 bytes to \d+$/)]);
  });

  test("goes on where a crash cut compressing short, and never replaces a file of another's", async () => {
    await using past = await Past.open();
    const [first, second] = [await past.ended(), await past.ended()];
    past.laterDays = 8;
    writeFileSync(join(past.daemon.folder, `.${first}-log.gz.partial`), "torn");
    writeFileSync(`${past.log(second)}.gz`, "a person's");
    const settings = { compressLogsAfterSeconds: days(7) };
    await past.sweep(settings);
    expect(gunzipSync(readFileSync(`${past.log(first)}.gz`)).toString()).toBe(TEXT);
    expect(readFileSync(`${past.log(second)}.gz`, "utf8")).toBe("a person's");
    expect(readFileSync(past.log(second), "utf8")).toBe(TEXT);
    expect(readdirSync(past.daemon.folder).filter((name) => name.endsWith(".partial"))).toEqual([]);
    // Between the new name and the end of the old one.
    const { atime, mtime } = statSync(`${past.log(first)}.gz`);
    writeFileSync(past.log(first), TEXT);
    utimesSync(past.log(first), atime, mtime);
    await past.sweep(settings);
    expect(existsSync(past.log(first))).toBe(false);
    expect(gunzipSync(readFileSync(`${past.log(first)}.gz`)).toString()).toBe(TEXT);
  });

  test("deletes logs of an age, gzipped or not, says how many, and keeps the jobs", async () => {
    await using past = await Past.open();
    const [first, second] = [await past.ended(), await past.ended(1)];
    past.laterDays = 8;
    await past.sweep({ compressLogsAfterSeconds: days(7) });
    await past.archive();
    await past.sweep({ deleteLogsAfterSeconds: days(30) });
    expect(existsSync(`${past.log(first)}.gz`)).toBe(true);
    past.laterDays = 31;
    await past.sweep({ deleteLogsAfterSeconds: days(30) });
    expect(readdirSync(past.daemon.folder).filter((name) => /^\d+-/.test(name))).toEqual([]);
    expect(await past.known()).toEqual([first, second]);
    expect(past.said.at(-1)).toMatch(/^info: retention: deleted 4 logs, \d+ bytes, of jobs 0 to 1$/);
    const job = await past.daemon.book.one(first);
    expect(past.retention({ deleteLogsAfterSeconds: days(30) }).mayHaveDeletedLogOf(job)).toBe(true);
    expect(past.retention({ deleteLogsAfterSeconds: days(90) }).mayHaveDeletedLogOf(job)).toBe(false);
  });

  test("never touches a log that may be needed: of a job that runs, is looked after, is lost, or whose results are not here", async () => {
    await using past = await Past.open();
    const attended = await past.ended();
    past.attended.add(attended);
    await past.daemon.pool("x", "m2");
    const running = await past.daemon.running();
    const lost = await past.daemon.running();
    for (const { jid } of [running, lost]) writeFileSync(past.log(jid), TEXT);
    past.daemon.hosts.lose(lost.runId);
    await past.daemon.until(lost.jid, "unknown");
    past.laterDays = 1_000;
    await past.sweep({ deleteLogsAfterSeconds: 1, compressLogsAfterSeconds: 1, forgetJobsAfterSeconds: 1, deleteLogsAboveBytes: 1 });
    for (const jid of [attended, running.jid, lost.jid]) expect(readFileSync(past.log(jid), "utf8")).toBe(TEXT);
    expect(await past.known()).toEqual([attended, running.jid, lost.jid]);
  });

  test("keeps log and record of a job whose results could not be copied", async () => {
    const daemon = await Assembly.open({ copy: async () => ({ kind: "failed", problem: { code: "transfer-cut", data: {} } }) as never });
    await using past = new Past(daemon);
    await daemon.pool("x", "m");
    const { jid, runId } = await daemon.running({ copyTo: "/results" });
    writeFileSync(past.log(jid), `RESULTS: out\n${TEXT}`);
    daemon.hosts.finish(runId, 0);
    await daemon.until(jid, "failed");
    past.laterDays = 1_000;
    await past.sweep({ deleteLogsAfterSeconds: 1, forgetJobsAfterSeconds: 1, deleteLogsAboveBytes: 1 });
    expect(existsSync(past.log(jid))).toBe(true);
    expect(await past.known()).toEqual([jid]);
  });

  test("a log that somebody still writes to is not old, however old its job is", async () => {
    await using past = await Past.open();
    const jid = await past.ended();
    past.laterDays = 31;
    const now = (Date.now() + 30.5 * DAY_MS) / 1_000;
    utimesSync(past.log(jid), now, now);
    await past.sweep({ deleteLogsAfterSeconds: days(30), forgetJobsAfterSeconds: days(30) });
    expect(existsSync(past.log(jid))).toBe(true);
    // Forgotten now, its log would never be deleted.
    expect(await past.known()).toEqual([jid]);
  });

  test("above a size the oldest go, until the rest fits", async () => {
    await using past = await Past.open();
    const jids = [await past.ended(), await past.ended(), await past.ended(), await past.ended()];
    // The second is the oldest, hours before; the last log was written last.
    const hoursAgo = Date.now() / 1_000 + 7_200;
    for (const jid of jids.filter((_, index) => index !== 1)) utimesSync(past.log(jid), hoursAgo + jid, hoursAgo + jid);
    await past.sweep({ deleteLogsAboveBytes: TEXT.length * 4 });
    expect(jids.filter((jid) => existsSync(past.log(jid)))).toEqual(jids);
    await past.sweep({ deleteLogsAboveBytes: TEXT.length * 2 + 100 });
    expect(jids.filter((jid) => existsSync(past.log(jid)))).toEqual(jids.slice(2));
    expect(past.said).toHaveLength(1);
  });

  test("follows no link and touches nothing that the server did not name or that was moved to a person's folder", async () => {
    await using past = await Past.open();
    const [linked, elsewhere, other] = [await past.ended(), await past.ended(), await past.ended()];
    const { folder } = past.daemon;
    const precious = join(folder, "precious");
    renameSync(past.log(linked), precious);
    symlinkSync(precious, past.log(linked));
    writeFileSync(join(folder, `${other}-notes`), TEXT);
    past.laterDays = 100;
    const logs = join(folder, "logs");
    mkdirSync(logs);
    // Logs are written elsewhere now; this folder has no log of a server: not known as one of logs.
    await past.sweep({ deleteLogsAfterSeconds: 1 }, logs);
    expect(existsSync(past.log(elsewhere))).toBe(true);
    // With it, it was one.
    writeFileSync(join(folder, "server.log"), "");
    await past.sweep({ deleteLogsAfterSeconds: 1 }, logs);
    expect(existsSync(past.log(elsewhere))).toBe(false);
    expect(readFileSync(precious, "utf8")).toBe(TEXT);
    expect(readFileSync(join(folder, `${other}-notes`), "utf8")).toBe(TEXT);
    expect(existsSync(past.log(linked))).toBe(true);
  });

  test("forgets jobs of an age, in memory and in the past, and their matrix with them; ids never come back", async () => {
    await using past = await Past.open();
    const old = [await past.ended(), await past.ended(1)];
    const answer = await past.daemon.engine.submit({
      kind: "add-matrix",
      class: "y",
      cmd: "c",
      copyTo: null,
      keys: [{ name: "A", values: ["1", "2"] }],
      count: 1,
      retry: null,
      timeoutSeconds: null,
      notify: false,
    });
    if (answer.kind !== "matrix") throw new Error(answer.kind);
    await past.daemon.engine.submit({
      kind: "cancel-jobs",
      jids: [answer.first, answer.first + 1],
      recalled: [],
      forget: false,
      lenient: false,
    });
    await past.archive();
    const inMemory = await past.ended();
    const waiting = await past.daemon.add({ class: "none" });
    past.laterDays = 400;
    await past.sweep({ forgetJobsAfterSeconds: days(365) });
    expect(await past.known()).toEqual([waiting]);
    expect(past.daemon.engine.state.matrices.has(answer.id)).toBe(false);
    expect(past.said).toEqual([`info: retention: forgot ${old.length + 3} jobs`]);
    // The record goes, the files stay.
    expect(existsSync(past.log(inMemory))).toBe(true);
    expect(await past.daemon.add({ class: "none" })).toBe(waiting + 1);
    expect(past.daemon.engine.state.counts).toMatchObject({ done: 0, failed: 0, canceled: 0, waiting: 2 });
    const again = await past.daemon.restart();
    expect((await again.book.before(1_000, 10)).map((job) => job.jid)).toEqual([waiting + 1, waiting]);
  });

  test("never forgets an attempt in whose name another goes on", async () => {
    await using past = await Past.open();
    const first = await past.daemon.running({ retry: { maxFailures: null } });
    past.daemon.hosts.finish(first.runId, 1);
    await past.daemon.until(first.jid, "failed");
    const second = past.daemon.job(first.jid).retriedBy ?? -1;
    await past.daemon.until(second, "running");
    past.laterDays = 400;
    await past.sweep({ forgetJobsAfterSeconds: days(365) });
    expect(await past.known()).toEqual([first.jid, second]);
    expect(past.daemon.job(second).state).toMatchObject({ kind: "running", stop: null });
    past.daemon.dispatching = false;
    await past.daemon.cancel(second);
    await past.daemon.until(second, "canceled");
    await past.sweep({ forgetJobsAfterSeconds: days(365) });
    expect(await past.known()).toEqual([]);
  });

  test("looks at each of a thousand jobs once, and its first look comes by itself", async () => {
    await using past = await Past.open();
    const first = await past.daemon.add({ class: "none", count: 1_000 });
    const jids = Array.from({ length: 1_000 }, (_, index) => first + index);
    await past.daemon.engine.submit({ kind: "cancel-jobs", jids, recalled: [], forget: false, lenient: false });
    await past.archive();
    past.laterDays = 400;
    const retention = past.retention({});
    retention.configure({ ...NOTHING, forgetJobsAfterSeconds: days(365) });
    await waitFor(() => past.said.length > 0, { timeoutMs: 20_000 });
    expect(past.said).toEqual(["info: retention: forgot 1000 jobs"]);
    expect(past.timers.has("retention")).toBe(true);
    retention.stop();
    expect(past.timers.has("retention")).toBe(false);
    expect(await past.known()).toEqual([]);
  });
});
