/**
 * kill -9 of the server at random moments under a mixed load of submissions, holds, cancellations and running jobs.
 * No acknowledged job may be lost, none may run twice, every exit code is the true one. Guarantees D1, D2, S1, S3, S5, R1, R2.
 */
import { expect, test } from "bun:test";
import { TestDaemon } from "../support/daemon.ts";
import { waitFor } from "../support/wait-for.ts";
import { chooseSeed, count, randomFrom, report, timeoutMs } from "./forms.ts";
import { Load } from "./load.ts";
import { type JudgedJob, Oracle, violationsIn } from "./oracle.ts";

const seed = chooseSeed();
const kills = count("storm", { short: 100, long: 10_000 });
/** A state of so many jobs is judged, then a new one begun: a listing of all is read each time. */
const KILLS_A_ROUND = 250;
const SUBMITTERS = 3;
const MACHINES = Array.from({ length: 8 }, (_, index) => `local/${index + 1}`);
const CONFIG = '[limits]\nfailures_before_quarantine = 1000000\n[class.storm]\nbackoff = "0.05s"\nbackoff_max = "0.1s"\n';

test(
  `${kills} kills at random moments lose nothing and run nothing twice (seed ${seed})`,
  async () => {
    const startedAt = performance.now();
    const chance = randomFrom(seed);
    let violations = 0;
    let done = 0;
    while (done < kills) {
      const wanted = Math.min(KILLS_A_ROUND, kills - done);
      violations += await round(wanted, chance);
      done += wanted;
    }
    report({ name: "storm", count: done, violations, seed, seconds: (performance.now() - startedAt) / 1_000 });
    expect(violations).toBe(0);
  },
  timeoutMs(200_000),
);

async function round(wanted: number, chance: () => number): Promise<number> {
  await using daemon = await TestDaemon.start({ config: CONFIG });
  await daemon.ok("machine", "add", ...MACHINES, "storm");
  const oracle = new Oracle(daemon.folder);
  const load = new Load({ daemon, oracle, chance, class: "storm" });
  const submitting = Array.from({ length: SUBMITTERS }, () => load.submit());
  for (let kill = 0; kill < wanted; kill++) {
    // tidy-allow sleep: the random moment is what is tested
    await Bun.sleep(1 + Math.floor(chance() * 499));
    await daemon.kill();
    await daemon.start();
  }
  load.over = true;
  await Promise.all(submitting);
  await daemon.j("job", "unhold", "0-1000000");
  const listed = async (): Promise<JudgedJob[]> => await daemon.json<JudgedJob[]>("job", "ls", "0-1000000");
  await waitFor(async () => (await listed()).every((job) => ["done", "failed", "canceled"].includes(job.status)), {
    what: () => `the end of all jobs: ${daemon.stderr}`,
    timeoutMs: 60_000,
    everyMs: 200,
  });
  const verdict = oracle.judge(await listed());
  oracle.close();
  if (violationsIn(verdict) > 0) console.log(`after ${load.submitted} jobs: ${JSON.stringify(verdict)}\n${daemon.stderr}`);
  expect(load.submitted).toBeGreaterThan(0);
  return violationsIn(verdict);
}
