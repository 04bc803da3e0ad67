/**
 * Ten thousand jobs wait and a hundred run when the server is killed, again and again: soon after each start it answers
 * and knows them all, none is lost, none runs twice, and those that ran are still the same. Guarantees D1, S1, S4, R1, R2.
 */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "../../src/client/client.ts";
import { ClientError } from "../../src/client/error.ts";
import { TestDaemon } from "../support/daemon.ts";
import { waitFor } from "../support/wait-for.ts";
import { chooseSeed, count, randomFrom, report, timeoutMs } from "./forms.ts";
import { type JudgedJob, Oracle, violationsIn } from "./oracle.ts";

const seed = chooseSeed();
const kills = count("many-queued", { short: 3, long: 100 });
const QUEUED = 10_000;
const RUNNING = 100;
const RUN_AFTERWARDS = 50;
/** The promise is 2 s, which a quiet machine keeps many times over; a busy one has ten. */
const READY_WITHIN_MS = 10_000;

test(
  `${QUEUED} queued and ${RUNNING} running jobs are all there after each of ${kills} kills (seed ${seed})`,
  async () => {
    const startedAt = performance.now();
    const chance = randomFrom(seed);
    await using daemon = await TestDaemon.start({ config: "[limits]\nfailures_before_quarantine = 1000000\n" });
    const oracle = new Oracle(daemon.folder);
    await daemon.ok("machine", "add", ...Array.from({ length: RUNNING }, (_, index) => `local/${index + 1}`), "many");
    const released = join(daemon.folder, "released");
    const held = `while [ ! -e '${released}' ]; do sleep 1; done; exit 3`;
    const running = await queued(daemon, oracle, { class: "many", command: held, jobs: RUNNING, exitCode: 3 });
    // One request for each hundred: also many requests are remembered.
    const waiting: number[] = [];
    while (waiting.length < QUEUED)
      waiting.push(...(await queued(daemon, oracle, { class: "later", command: "true", jobs: 100, exitCode: 0 })));
    const counts = async () => (await daemon.json<{ jobs: { waiting: number; running: number } }>("status")).jobs;
    await waitFor(async () => (await counts()).running === RUNNING, { what: () => "all to run", timeoutMs: 30_000, everyMs: 100 });

    let violations = 0;
    const readyMs: number[] = [];
    const knownMs: number[] = [];
    for (let kill = 0; kill < kills; kill++) {
      // tidy-allow sleep: the random moment is what is tested
      await Bun.sleep(Math.floor(chance() * 200));
      await daemon.kill();
      const from = performance.now();
      const child = daemon.launch();
      const found = await firstAnswer(daemon, child);
      readyMs.push(performance.now() - from);
      if (found !== QUEUED + RUNNING) violations++;
      await waitFor(async () => (await counts()).running === RUNNING, {
        what: () => `those that run: ${daemon.stderr}`,
        timeoutMs: 20_000,
      });
      knownMs.push(performance.now() - from);
    }
    writeFileSync(released, "");
    // Some of them run, the others would take their time.
    await daemon.ok("job", "rm", "-q", `${waiting[RUN_AFTERWARDS]}-${waiting.at(-1)}`);
    await daemon.ok("machine", "add", ...["a", "b", "c", "d"].map((name) => `local/${name}`), "later");
    const listed = async (): Promise<JudgedJob[]> => await daemon.json<JudgedJob[]>("job", "ls", "0-1000000");
    await waitFor(async () => (await listed()).every(({ status }) => ["done", "failed", "canceled", "unknown"].includes(status)), {
      what: () => `the end of all jobs: ${daemon.stderr}`,
      timeoutMs: 60_000,
      everyMs: 200,
    });
    const jobs = await listed();
    violations += violationsIn(oracle.judge(jobs));
    violations += Math.abs(jobs.length - QUEUED - RUNNING);
    violations += jobs.filter(({ jid, status }) => running.includes(jid) && status !== "failed").length;
    oracle.close();
    const slowest = Math.max(...readyMs);
    const note = `ready in ${slowest.toFixed(0)} ms, all that run known in ${Math.max(...knownMs).toFixed(0)} ms at most`;
    report({ name: "many-queued", count: kills, violations, seed, seconds: (performance.now() - startedAt) / 1_000, note });
    expect(violations).toBe(0);
    expect(slowest).toBeLessThan(READY_WITHIN_MS);
  },
  timeoutMs(120_000),
);

interface Submission {
  readonly class: string;
  readonly command: string;
  readonly jobs: number;
  readonly exitCode: number;
}

async function queued(
  daemon: TestDaemon,
  oracle: Oracle,
  { class: name, command, jobs, exitCode }: Submission,
): Promise<readonly number[]> {
  const request = oracle.asks({ count: jobs, exitCode, maxFailures: 1 });
  const client = await connect({ address: daemon.address, tokenFile: join(daemon.stateDir, "token") });
  try {
    const answer = await client.call("job.add", {
      class: name,
      cmd: oracle.command(command),
      cp_results: null,
      count: jobs,
      retry: null,
      timeout: null,
      tag: null,
      notify: false,
    });
    const jids = Array.from({ length: answer.count }, (_, index) => answer.first + index);
    oracle.acknowledged(request, jids);
    return jids;
  } finally {
    client.close();
  }
}

/** As soon as the server answers: how many jobs it knows that have not ended. */
async function firstAnswer(daemon: TestDaemon, child: Bun.Subprocess<"ignore", number, number>): Promise<number> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}: ${daemon.stderr}`);
    try {
      const client = await connect({ address: daemon.address, tokenFile: join(daemon.stateDir, "token"), timeoutMs: 10_000 });
      try {
        const { jobs } = await client.call("server.status", {});
        return jobs.waiting + jobs.running;
      } finally {
        client.close();
      }
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
    }
    // tidy-allow sleep: between two looks at whether it listens
    await Bun.sleep(5);
  }
}
