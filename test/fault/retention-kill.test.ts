/**
 * kill -9 while old logs are compressed, deleted and old jobs forgotten. At every moment a log is there whole, plain or
 * gzipped; what was forgotten stays forgotten, and what was only half forgotten is so in the end; a job whose results are
 * still to be fetched, and its log, are never touched. Guarantees D1, I1.
 */
import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { type JobJson, TestDaemon } from "../support/daemon.ts";
import { waitFor } from "../support/wait-for.ts";
import { chooseSeed, count, randomFrom, report, timeoutMs } from "./forms.ts";

const seed = chooseSeed();
const kills = count("retention", { short: 8, long: 300 });
/** Of a new state, while its logs are compressed and then while its jobs are forgotten. */
const KILLS_A_ROUND = 8;
const JOBS = 24;
const LINES = 30_000;

test(
  `${kills} kills while logs are compressed and jobs forgotten leave every log whole and touch nothing that waits (seed ${seed})`,
  async () => {
    const startedAt = performance.now();
    const chance = randomFrom(seed);
    const totals = { violations: 0, inTheMiddle: 0 };
    let done = 0;
    while (done < kills) {
      const wanted = Math.min(KILLS_A_ROUND, kills - done);
      await using lab = await Lab.prepare();
      await lab.compress(Math.ceil(wanted / 2), chance);
      await lab.forget(Math.floor(wanted / 2), chance);
      totals.violations += lab.faults.length;
      totals.inTheMiddle += lab.inTheMiddle;
      for (const fault of lab.faults) console.log(fault);
      done += wanted;
    }
    const { violations, inTheMiddle } = totals;
    const note = `${inTheMiddle} in the middle of it`;
    report({ name: "retention", count: done, violations, seed, seconds: (performance.now() - startedAt) / 1_000, note });
    expect(violations).toBe(0);
    expect(inTheMiddle).toBeGreaterThan(0);
  },
  timeoutMs(120_000),
);

class Lab implements AsyncDisposable {
  readonly faults: string[] = [];
  inTheMiddle = 0;
  readonly #logs = new Map<number, string>();
  readonly #forgotten = new Set<number>();

  private constructor(
    readonly daemon: TestDaemon,
    /** Its results could not be copied: they may still be. */
    readonly waiting: number,
  ) {}

  static async prepare(): Promise<Lab> {
    const daemon = await TestDaemon.start();
    await daemon.ok("machine", "add", "local/1", "local/2", "old");
    const lab = new Lab(daemon, await Lab.withoutResults(daemon));
    await daemon.ok("job", "add", "old", `seq ${LINES} | sed "s/^/$EXPJOB_JID line /"`, "-x", String(JOBS));
    await daemon.ok("job", "wait", `1-${JOBS}`, "--timeout", "60s");
    for (const job of await daemon.jobs(`0-${JOBS}`)) {
      if (job.log === null) throw new Error(`job ${job.jid} has no log`);
      lab.#logs.set(job.jid, job.log);
    }
    await daemon.kill();
    return lab;
  }

  /** A job that ended well and whose results have no place to go to. */
  private static async withoutResults(daemon: TestDaemon): Promise<number> {
    const made = join(daemon.folder, "made");
    const blocked = join(daemon.folder, "blocked");
    writeFileSync(blocked, "a file where a folder should be");
    const command = `echo result >'${made}'; echo 'RESULTS: ${made}'; seq ${LINES} | sed "s/^/$EXPJOB_JID line /"`;
    const job = await daemon.ended(await daemon.add("old", command, join(blocked, "results")));
    expect([job.jid, job.status]).toEqual([0, "failed"]);
    return job.jid;
  }

  async compress(kills: number, chance: () => number): Promise<void> {
    this.#config('compress_logs_after = "1s"');
    for (let kill = 0; kill < kills; kill++) {
      await this.#killed({ withinMs: 500, isOver: () => this.#gzipped() === JOBS }, chance);
      if (this.#gzipped() > 0 && this.#gzipped() < JOBS) this.inTheMiddle++;
      for (const jid of this.#logs.keys()) this.#lookAt(jid);
    }
    await this.daemon.start();
    const packed = [...this.#logs].filter(([jid]) => jid !== this.waiting).map(([, log]) => log);
    await waitFor(() => packed.every((log) => existsSync(`${log}.gz`) && !existsSync(log)), {
      what: () => `all logs to be compressed: ${readdirSync(this.daemon.logDir).join(" ")}`,
      timeoutMs: 30_000,
    });
    for (const jid of this.#logs.keys()) this.#lookAt(jid);
    const partial = readdirSync(this.daemon.logDir).filter((name) => name.endsWith(".partial"));
    if (partial.length > 0) this.faults.push(`left in the making: ${partial.join(" ")}`);
    await this.daemon.kill();
  }

  async forget(kills: number, chance: () => number): Promise<void> {
    this.#config('delete_logs_after = "1s"\nforget_jobs_after = "1s"');
    for (let kill = 0; kill < kills; kill++) {
      await this.#killed({ withinMs: 60, isOver: () => this.#gzipped() === 0 }, chance);
      if (this.#gzipped() > 0 && this.#gzipped() < JOBS) this.inTheMiddle++;
      await this.daemon.start();
      await this.#lookAtJobs();
      await this.daemon.kill();
    }
    await this.daemon.start();
    await waitFor(async () => (await this.#known()).length === 1, {
      what: () => "all jobs to be forgotten",
      timeoutMs: 30_000,
      everyMs: 100,
    });
    await this.#lookAtJobs();
    this.#lookAt(this.waiting);
    const names = readdirSync(this.daemon.logDir).filter((name) => /^\d/.test(name) && !name.startsWith(`${this.waiting}-`));
    if (names.length > 0) this.faults.push(`logs of forgotten jobs: ${names.join(" ")}`);
  }

  /** A start, and a kill at a random moment after its work on the logs has begun, if there is any left. */
  async #killed({ withinMs, isOver }: { withinMs: number; isOver: () => boolean }, chance: () => number): Promise<void> {
    const before = this.#inWork();
    await this.daemon.start();
    await waitFor(() => isOver() || this.#inWork() !== before, { what: () => `work on ${before}`, everyMs: 1 });
    // tidy-allow sleep: the random moment is what is tested
    await Bun.sleep(Math.floor(chance() * withinMs));
    await this.daemon.kill();
  }

  #inWork(): string {
    const names = readdirSync(this.daemon.logDir).filter((name) => name.endsWith(".gz") || name.endsWith(".partial"));
    return names.sort().join(" ");
  }

  #gzipped(): number {
    return [...this.#logs.values()].filter((log) => existsSync(`${log}.gz`)).length;
  }

  /** Whole, in one form at least; and not touched when its job waits. */
  #lookAt(jid: number): void {
    const log = this.#logs.get(jid) ?? "";
    const plain = existsSync(log);
    const gzipped = existsSync(`${log}.gz`);
    if (jid === this.waiting && (!plain || gzipped))
      this.faults.push(`the log of job ${jid}, whose results are to be fetched, was touched`);
    const texts = [...(plain ? [readFileSync(log, "utf8")] : []), ...(gzipped ? [gunzipSync(readFileSync(`${log}.gz`)).toString()] : [])];
    if (texts.length === 0) this.faults.push(`the log of job ${jid} is gone`);
    for (const text of texts) if (!text.endsWith(outputOf(jid))) this.faults.push(`the log of job ${jid} is not whole`);
  }

  async #lookAtJobs(): Promise<void> {
    const known = new Set((await this.#known()).map(({ jid }) => jid));
    if (!known.has(this.waiting)) this.faults.push(`job ${this.waiting}, whose results are to be fetched, was forgotten`);
    for (const jid of this.#logs.keys()) {
      if (known.has(jid) && this.#forgotten.has(jid)) this.faults.push(`job ${jid} was forgotten and is there again`);
      if (!known.has(jid)) this.#forgotten.add(jid);
    }
  }

  async #known(): Promise<readonly JobJson[]> {
    return await this.daemon.json<JobJson[]>("job", "ls", "0-100000");
  }

  #config(retention: string): void {
    writeFileSync(join(this.daemon.folder, "config.toml"), `[retention]\n${retention}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.daemon[Symbol.asyncDispose]();
  }
}

function outputOf(jid: number): string {
  return Array.from({ length: LINES }, (_, index) => `${jid} line ${index + 1}\n`).join("");
}
