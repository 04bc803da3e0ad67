/**
 * kill -9 of the server at random moments under a mixed load of submissions, holds, cancellations and running jobs.
 * No acknowledged job may be lost, none may run twice, every exit code is the true one. Guarantees D1, D2, S1, S3, S5, R1, R2.
 */
import { expect, test } from "bun:test";
import { connect } from "../../src/client/client.ts";
import { ClientError } from "../../src/client/error.ts";
import { RequestError } from "../../src/protocol/error.ts";
import { TestDaemon } from "../support/daemon.ts";
import { waitFor } from "../support/wait-for.ts";
import { chooseSeed, count, randomFrom, report, timeoutMs } from "./forms.ts";
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
  const load = new Load(daemon, oracle, chance);
  const submitting = Array.from({ length: SUBMITTERS }, () => load.submit());
  for (let kill = 0; kill < wanted; kill++) {
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
  expect(load.submitted).toBeGreaterThan(wanted);
  return violationsIn(verdict);
}

/** What people do while the server is killed under them. */
class Load {
  over = false;
  submitted = 0;
  readonly #waiting: number[] = [];

  constructor(
    readonly daemon: TestDaemon,
    readonly oracle: Oracle,
    readonly chance: () => number,
  ) {}

  async submit(): Promise<void> {
    while (!this.over) {
      await this.once();
      await Bun.sleep(20 + Math.floor(this.chance() * 60));
    }
  }

  private async once(): Promise<void> {
    const exitCode = this.pick([0, 0, 0, 3, 143]);
    const maxFailures = this.pick([1, 1, 2]);
    const jobs = 1 + Math.floor(this.chance() * 2);
    const request = this.oracle.asks({ count: jobs, exitCode, maxFailures });
    try {
      const client = await connect({ address: this.daemon.address, tokenFile: `${this.daemon.stateDir}/token`, timeoutMs: 2_000 });
      try {
        const answer = await client.call("job.add", {
          class: "storm",
          cmd: this.oracle.command(`sleep 0.0${Math.floor(this.chance() * 10)}; echo done; exit ${exitCode}`),
          cp_results: null,
          count: jobs,
          retry: maxFailures === 1 ? null : { max_failures: maxFailures },
          timeout: null,
          tag: null,
          notify: false,
        });
        const jids = Array.from({ length: answer.count }, (_, index) => answer.first + index);
        this.oracle.acknowledged(request, jids);
        this.submitted += jids.length;
        this.#waiting.push(...jids);
        await this.disturb(client);
      } finally {
        client.close();
      }
    } catch (error) {
      // It was killed in the middle: no acknowledgement, nothing is promised.
      if (!(error instanceof ClientError) && !(error instanceof RequestError)) throw error;
    }
  }

  /** Some are held and let go again; no job is canceled while it runs, so that every end has its exit code. */
  private async disturb(client: Awaited<ReturnType<typeof connect>>): Promise<void> {
    const jid = this.#waiting.shift();
    if (jid === undefined) return;
    const ids = [{ kind: "id", id: jid } as const];
    if (this.chance() < 0.3) await client.call("job.hold", { ids });
    if (this.chance() < 0.3) await client.call("job.unhold", { ids });
  }

  private pick<Item>(items: readonly [Item, ...Item[]]): Item {
    return items[Math.floor(this.chance() * items.length)] ?? items[0];
  }
}
