/**
 * kill -9 while snapshots and history blocks are written: large variables make the journal grow, so that the server
 * writes one after the other under load, and it dies when such a file is in the making. Nothing is lost, nothing runs
 * twice, the counts are right, and an export has all jobs. Guarantees D1, D5, S1.
 */
import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { connect } from "../../src/client/client.ts";
import { ClientError } from "../../src/client/error.ts";
import { RequestError } from "../../src/protocol/error.ts";
import { TestDaemon } from "../support/daemon.ts";
import { waitFor } from "../support/wait-for.ts";
import { chooseSeed, count, randomFrom, report, timeoutMs } from "./forms.ts";
import { Load } from "./load.ts";
import { type JudgedJob, Oracle, violationsIn } from "./oracle.ts";

const seed = chooseSeed();
const kills = count("archives", { short: 20, long: 1_000 });
const KILLS_A_ROUND = 100;
const MACHINES = Array.from({ length: 6 }, (_, index) => `local/${index + 1}`);
/** 130 of them are a snapshot. */
const LARGE = "x".repeat(65_000);
const CONFIG = '[limits]\nfailures_before_quarantine = 1000000\n[class.archive]\nbackoff = "0.05s"\nbackoff_max = "0.1s"\n';

test(
  `${kills} kills while snapshots and history are written lose nothing (seed ${seed})`,
  async () => {
    const startedAt = performance.now();
    const chance = randomFrom(seed);
    let done = 0;
    const totals = { violations: 0, inTheMiddle: 0, snapshots: 0 };
    while (done < kills) {
      const wanted = Math.min(KILLS_A_ROUND, kills - done);
      const outcome = await round(wanted, chance);
      totals.violations += outcome.violations;
      totals.inTheMiddle += outcome.inTheMiddle;
      totals.snapshots += outcome.snapshots;
      done += wanted;
    }
    const note = `${totals.inTheMiddle} with a file in the making, ${totals.snapshots} new snapshots seen`;
    const { violations } = totals;
    report({ name: "archives", count: done, violations, seed, seconds: (performance.now() - startedAt) / 1_000, note });
    expect(violations).toBe(0);
    expect(totals.inTheMiddle).toBeGreaterThan(0);
    expect(totals.snapshots).toBeGreaterThan(0);
  },
  timeoutMs(120_000),
);

async function round(wanted: number, chance: () => number): Promise<Record<"violations" | "inTheMiddle" | "snapshots", number>> {
  await using daemon = await TestDaemon.start({ config: CONFIG });
  await daemon.ok("machine", "add", ...MACHINES, "archive");
  const oracle = new Oracle(daemon.folder);
  const load = new Load({ daemon, oracle, chance, class: "archive" });
  const working = [load.submit(), load.submit(), growing(daemon, load)];
  let inTheMiddle = 0;
  let snapshots = 0;
  let lastSnapshot = 0;
  for (let kill = 0; kill < wanted; kill++) {
    // Most die when a file is in the making, some soon after, one in five after a whole one, some at any moment.
    if (kill % 5 === 4) await untilNewer(daemon, lastSnapshot);
    else if (chance() < 0.8) await untilInTheMaking(daemon);
    // tidy-allow sleep: the random moment is what is tested
    await Bun.sleep(Math.floor(chance() * (chance() < 0.5 ? 3 : 400)));
    await daemon.kill();
    if (inTheMaking(daemon)) inTheMiddle++;
    const snapshot = snapshotOf(daemon);
    if (snapshot !== lastSnapshot) snapshots++;
    lastSnapshot = snapshot;
    await daemon.start();
  }
  load.over = true;
  await Promise.all(working);
  await daemon.j("job", "unhold", "0-1000000");
  const listed = async (): Promise<JudgedJob[]> => await daemon.json<JudgedJob[]>("job", "ls", "0-1000000");
  await waitFor(async () => (await listed()).every((job) => ["done", "failed", "canceled"].includes(job.status)), {
    what: () => `the end of all jobs: ${daemon.stderr}`,
    timeoutMs: 60_000,
    everyMs: 200,
  });
  const jobs = await listed();
  const verdict = oracle.judge(jobs);
  oracle.close();
  const counted = (await daemon.json<{ jobs: Record<string, number> }>("status")).jobs;
  const wrongCounts = ["done", "failed", "canceled"].filter(
    (status) => counted[status] !== jobs.filter((job) => job.status === status).length,
  );
  await daemon.kill();
  const exported = await exportedJobs(daemon);
  const lost = jobs.filter(({ jid }) => !exported.has(jid)).map(({ jid }) => jid);
  const violations = violationsIn(verdict) + wrongCounts.length + lost.length + Math.abs(exported.size - jobs.length);
  if (violations > 0) console.log(JSON.stringify({ verdict, wrongCounts, counted, lost, exported: exported.size, jobs: jobs.length }));
  expect(load.submitted).toBeGreaterThan(0);
  return { violations, inTheMiddle, snapshots };
}

/** What makes the journal grow. */
async function growing(daemon: TestDaemon, load: Load): Promise<void> {
  while (!load.over) {
    try {
      const client = await connect({ address: daemon.address, tokenFile: join(daemon.stateDir, "token"), timeoutMs: 2_000 });
      try {
        for (let index = 0; !load.over; index++)
          await client.call("variable.set", { name: `LARGE${index % 3}`, value: LARGE, secret: false });
      } finally {
        client.close();
      }
    } catch (error) {
      if (!(error instanceof ClientError) && !(error instanceof RequestError)) throw error;
    }
  }
}

async function untilInTheMaking(daemon: TestDaemon): Promise<void> {
  await waitFor(() => inTheMaking(daemon), { what: () => `a snapshot: ${daemon.stderr}`, everyMs: 1 });
}

async function untilNewer(daemon: TestDaemon, lastSnapshot: number): Promise<void> {
  await waitFor(() => snapshotOf(daemon) !== lastSnapshot, { what: () => `a new snapshot: ${daemon.stderr}`, everyMs: 1 });
}

function inTheMaking({ stateDir }: TestDaemon): boolean {
  const history = join(stateDir, "history");
  return (
    existsSync(join(stateDir, "snapshot.toml.new")) || (existsSync(history) && readdirSync(history).some((name) => name.endsWith(".new")))
  );
}

function snapshotOf({ stateDir }: TestDaemon): number {
  return statSync(join(stateDir, "snapshot.toml"), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** The ids in an export of the state as the last kill left it. */
async function exportedJobs(daemon: TestDaemon): Promise<ReadonlySet<number>> {
  const file = join(daemon.folder, "export.toml");
  const answer = await daemon.j("state", "export", file);
  if (answer.code !== 0) throw new Error(`state export: exit ${answer.code} ${answer.stderr}`);
  return new Set([...readFileSync(file, "utf8").matchAll(/^\[\[jobs\]\]\n(?:id|jid) = (\d+)$/gm)].map(([, jid]) => Number(jid)));
}
