/**
 * kill -9 of the compiled server at its system calls: every kind of call by which it changes the disk is a moment of
 * death, from the first start on an empty directory, over machines, jobs, a matrix, results and variables, to the
 * snapshot of a clean stop and the start from it. Afterwards the state opens by itself and the oracle finds nothing.
 * Guarantees D1, D2, D4, D5, S1, S3, R1, R2, I2. Needs strace: it says so where it is missing.
 */
import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Client, connect } from "../../src/client/client.ts";
import { ClientError } from "../../src/client/error.ts";
import { RequestError } from "../../src/protocol/error.ts";
import { TestDaemon } from "../support/daemon.ts";
import { waitFor } from "../support/wait-for.ts";
import { chooseSeed, count, isLongForm, randomFrom, report, timeoutMs } from "./forms.ts";
import { type JudgedJob, Oracle, violationsIn } from "./oracle.ts";

const seed = chooseSeed();
/** In the long form: every so many calls of each kind. */
const points = count("system-calls", { short: 40, long: 100_000 });
const CALLS = ["write", "pwrite64", "fdatasync", "fsync", "ftruncate", "rename", "openat", "unlink", "mkdir"] as const;
/** The first start, and one from a snapshot with a past. */
const LIVES = 2;
/** Servers that are killed at the same time, each with a state of its own. */
const LANES = 3;
/** The server's words stay in a file of the test's choice: with strace before them, or nothing. */
const WITH_PREFIX = ["sh", "-c", 'exec $(cat "$TEST_DAEMON_FOLDER/prefix") "$@"', "sh"];

const strace = Bun.which("strace");
if (strace === null) console.log("\n!!! SKIPPED: no kill at the system calls of the server: strace is missing\n");

interface Point {
  readonly life: number;
  readonly call: string;
  /** The how manieth of a thread. */
  readonly when: number;
}

test.skipIf(strace === null)(
  `killed at ${isLongForm() ? "each" : points} of its system calls, the server loses nothing and runs nothing twice (seed ${seed})`,
  async () => {
    const startedAt = performance.now();
    const queue = chosen(await counted()).slice(0, points);
    let violations = 0;
    let hit = 0;
    const tried = queue.length;
    const lane = async (): Promise<void> => {
      for (let point = queue.shift(); point !== undefined; point = queue.shift()) {
        const outcome = await tryAt(point);
        violations += outcome.violations;
        if (outcome.killed) hit++;
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    const seconds = (performance.now() - startedAt) / 1_000;
    report({ name: "system-calls", count: hit, violations, seed, seconds, note: `${tried} tried` });
    expect(violations).toBe(0);
    // How often a thread of the pool makes a call differs from run to run.
    expect(hit).toBeGreaterThan(tried / 2);
  },
  timeoutMs(180_000),
);

/** All of them for the long form, in the order of a seed. */
function chosen(most: ReadonlyMap<string, number>[]): Point[] {
  const chance = randomFrom(seed);
  const all = most.flatMap((calls, life) =>
    [...calls].flatMap(([call, times]) => Array.from({ length: times }, (_, index) => ({ life, call, when: index + 1 }))),
  );
  // Each kind of call has the same share of a sample: of some there are few.
  const kinds = [...Map.groupBy(all, ({ life, call }) => `${life} ${call}`).values()].map((kind) =>
    kind.map((point) => ({ point, order: chance() })).sort((a, b) => a.order - b.order),
  );
  const rounds = Math.max(0, ...kinds.map((kind) => kind.length));
  return Array.from({ length: rounds }, (_, index) => kinds.flatMap((kind) => kind[index]?.point ?? [])).flat();
}

/** For each life, how often a thread makes each call at most. */
async function counted(): Promise<ReadonlyMap<string, number>[]> {
  await using lab = await Lab.prepare();
  const lives: Map<string, number>[] = [];
  for (let life = 0; life < LIVES; life++) {
    const file = join(lab.daemon.folder, `calls.${life}`);
    lab.prefix = [strace ?? "", "-f", "-qq", "--detach-on=execve", "-o", file, "-e", `trace=${CALLS.join(",")}`];
    expect(await lab.live(life)).toBe("stopped");
    const threads = new Map<string, number>();
    for (const [, thread, call] of readFileSync(file, "latin1").matchAll(/^(\d+) +(\w+)\(/gm)) {
      threads.set(`${call} ${thread}`, (threads.get(`${call} ${thread}`) ?? 0) + 1);
    }
    const most = new Map<string, number>();
    for (const [key, times] of threads) {
      const [call = ""] = key.split(" ");
      most.set(call, Math.max(most.get(call) ?? 0, times));
    }
    lives.push(most);
  }
  for (const call of ["pwrite64", "fdatasync", "fsync", "rename", "openat", "mkdir"]) expect([...(lives[0]?.keys() ?? [])]).toContain(call);
  return lives;
}

async function tryAt({ life, call, when }: Point): Promise<{ readonly killed: boolean; readonly violations: number }> {
  await using lab = await Lab.prepare();
  for (let before = 0; before < life; before++) expect(await lab.live(before)).toBe("stopped");
  const trace = ["-e", `trace=${call}`, "-e", `inject=${call}:signal=KILL:when=${when}`];
  lab.prefix = [strace ?? "", "-f", "-qq", "--detach-on=execve", "-o", "/dev/null", ...trace];
  const end = await lab.live(life);
  lab.prefix = [];
  const verdict = await lab.judged();
  if (verdict.violations > 0) {
    console.log(`life ${life}, ${call} number ${when}: ${JSON.stringify(verdict)}\n${lab.daemon.stderr}`);
  }
  return { killed: end === "killed", violations: verdict.violations };
}

/** A server with its state, what is asked of it, and the judge of it. */
class Lab implements AsyncDisposable {
  readonly #oracle: Oracle;

  private constructor(readonly daemon: TestDaemon) {
    this.#oracle = new Oracle(daemon.folder);
    this.prefix = [];
    mkdirSync(join(daemon.folder, "made"));
    mkdirSync(join(daemon.folder, "copied"));
  }

  static async prepare(): Promise<Lab> {
    return new Lab(await TestDaemon.prepare({ prefix: WITH_PREFIX }));
  }

  set prefix(words: readonly string[]) {
    writeFileSync(join(this.daemon.folder, "prefix"), `${words.join(" ")}\n`);
  }

  /** Starts the server, does what a person does, and stops it. */
  async live(life: number): Promise<"stopped" | "killed"> {
    const child = this.daemon.launch();
    const died = child.exited.then(() => "killed" as const);
    const client = await this.#reach(child);
    if (client === null) return "killed";
    try {
      const lived = await Promise.race([died, this.#act(client, life).then(() => "acted" as const)]);
      if (lived === "killed") return lived;
      await client.call("server.stop", {});
    } catch (error) {
      // It was killed before it could answer.
      if (!(error instanceof ClientError) && !(error instanceof RequestError)) throw error;
    } finally {
      client.close();
    }
    return (await child.exited) === 0 ? "stopped" : "killed";
  }

  /** Starts it again, waits for the end of all that is known, and lets the oracle look. */
  async judged(): Promise<{ readonly violations: number; readonly found: object }> {
    await this.daemon.start();
    const listed = async (): Promise<JudgedJob[]> => await this.daemon.json<JudgedJob[]>("job", "ls", "0-1000000");
    // A job without a machine can have been acknowledged before the machine was.
    if ((await this.daemon.json<unknown[]>("machine", "ls")).length === 0) await this.daemon.ok("machine", "add", "local/1", "calls");
    await waitFor(async () => (await listed()).every(({ status }) => ["done", "failed", "canceled", "unknown"].includes(status)), {
      what: () => `the end of all jobs: ${this.daemon.stderr}`,
      timeoutMs: 30_000,
      everyMs: 50,
    });
    const found = this.#oracle.judge(await listed());
    const jobs = await listed();
    const halfCopied = readdirSync(join(this.daemon.folder, "copied"), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith("result"))
      .filter((name) => readFileSync(join(this.daemon.folder, "copied", name), "utf8") !== RESULT);
    const copied = existsSync(join(this.daemon.folder, "copied", "result"));
    const withResults = jobs.filter((job) => job.status === "done" && this.#withResults.has(job.jid));
    const missing = withResults.length > 0 && !copied ? 1 : 0;
    const unknown = jobs.filter((job) => job.status === "unknown");
    const violations = violationsIn(found) + halfCopied.length + missing + unknown.length;
    return { violations, found: { ...found, halfCopied, missing, unknown } };
  }

  readonly #withResults = new Set<number>();

  /** null: it died before it answered. */
  async #reach(child: Bun.Subprocess<"ignore", number, number>): Promise<Client | null> {
    const { address, stateDir } = this.daemon;
    while (child.exitCode === null && child.signalCode === null) {
      try {
        return await connect({ address, tokenFile: join(stateDir, "token"), timeoutMs: 2_000 });
      } catch (error) {
        if (!(error instanceof ClientError)) throw error;
      }
      // tidy-allow sleep: between two looks at whether it listens
      await Promise.race([child.exited, Bun.sleep(5)]);
    }
    return null;
  }

  async #act(client: Client, life: number): Promise<void> {
    await client.call("machine.add", { addrs: [`local/${life + 1}`], class: "calls" });
    await client.call("variable.set", { name: "WORD", value: "word", secret: false });
    await client.call("variable.set", { name: "HIDDEN", value: `hidden ${life}`, secret: true });
    await this.#add(client, "exit 3", 3, null);
    const made = join(this.daemon.folder, "made", "result");
    const withResults = `printf '${RESULT}' >'${made}'; echo 'RESULTS: ${made}'`;
    for (const jid of await this.#add(client, withResults, 0, join(this.daemon.folder, "copied"))) this.#withResults.add(jid);
    const request = this.#oracle.asks({ count: 2, exitCode: 0, maxFailures: 1 });
    const matrix = await client.call("matrix.add", {
      class: "calls",
      cmd: this.#oracle.command("echo $EXPJOB_JID"),
      cp_results: null,
      keys: [{ name: "KEY", values: ["a", "b"] }],
      count: 1,
      retry: null,
      timeout: null,
      notify: false,
    });
    this.#oracle.acknowledged(
      request,
      Array.from({ length: matrix.count }, (_, index) => matrix.first + index),
    );
    const last = matrix.first + matrix.count - 1;
    await client.call("job.wait", { ids: [{ kind: "range", first: 0, last }], timeout: null });
  }

  async #add(client: Client, command: string, exitCode: number, copyTo: string | null): Promise<readonly number[]> {
    const request = this.#oracle.asks({ count: 1, exitCode, maxFailures: 1 });
    const answer = await client.call("job.add", {
      class: "calls",
      cmd: this.#oracle.command(command),
      cp_results: copyTo,
      count: 1,
      retry: null,
      timeout: null,
      tag: null,
      notify: false,
    });
    this.#oracle.acknowledged(request, [answer.first]);
    return [answer.first];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#oracle.close();
    await this.daemon[Symbol.asyncDispose]();
  }
}

const RESULT = "all of it";
