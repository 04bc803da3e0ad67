/**
 * Results whose copying is cut at random offsets, of files that grow, shrink and vanish meanwhile: what is here in the
 * end is what was there, by its checksum, or the job says that copying failed; and at no time is anything
 * half-copied visible under its final name. Guarantees I1, I2.
 */
import { expect, test } from "bun:test";
import { createHash, randomFillSync } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type JobJson, startMachines, TestDaemon } from "../support/daemon.ts";
import { sshdAvailable } from "../support/sshd.ts";
import { waitFor } from "../support/wait-for.ts";
import { chooseSeed, count, randomFrom, report, timeoutMs } from "./forms.ts";
import { type Proxied, proxied } from "./proxied.ts";

const seed = chooseSeed();
const copies = count("copies", { short: 40, long: 1_000 });
/** Side by side, each over a way of its own. */
const WAYS = 20;
const CONFIG = `[limits]\ncopies_at_once = ${WAYS}\nfailures_before_quarantine = 1000000\n`;
const CHANGES = ["none", "none", "none", "grows", "shrinks", "vanishes"] as const;
type Change = (typeof CHANGES)[number];
const GROWTH = "one more line\n";

if (!sshdAvailable()) console.log("\n!!! SKIPPED: cut copies are not tried here: there is no sshd\n");

/** One job and what it names. */
interface Copy {
  readonly jid: number;
  readonly change: Change;
  /** On the machine, and on this host. */
  readonly there: string;
  readonly here: string;
  readonly large: Buffer;
  readonly small: Buffer;
}

interface Lab {
  readonly daemon: TestDaemon;
  readonly chance: () => number;
  readonly wrong: string[];
  /** All jobs, asked for once for all who wait. */
  readonly jobs: () => Promise<readonly JobJson[]>;
}

test.skipIf(!sshdAvailable())(
  `${copies} copies cut at random offsets are right or an error, and nothing partial is ever visible (seed ${seed})`,
  async () => {
    const startedAt = performance.now();
    await using machines = await startMachines(1);
    await using daemon = await TestDaemon.start({ machines: machines.all, config: CONFIG });
    const ways = await Promise.all(Array.from({ length: WAYS }, () => proxied(daemon, machines.at(0))));
    await using _ = { [Symbol.asyncDispose]: async () => void (await Promise.all(ways.map(({ proxy }) => proxy.stop()))) };
    for (const [index, { machine }] of ways.entries()) await daemon.ok("machine", "add", machine, `way${index}`);
    const lab: Lab = { daemon, chance: randomFrom(seed), wrong: [], jobs: shared(() => daemon.json<JobJson[]>("job", "ls", "0-1000000")) };
    const tally = { cuts: 0, done: 0 };
    for (let begun = 0; begun < copies; begun += WAYS) {
      const wave = ways.slice(0, Math.min(WAYS, copies - begun));
      const ended = await Promise.all(wave.map((way, index) => cutCopy(lab, way, begun + index)));
      for (const { cuts, isDone } of ended) {
        tally.cuts += cuts;
        if (isDone) tally.done += 1;
      }
    }
    if (lab.wrong.length > 0) console.log(`${lab.wrong.join("\n")}\n${daemon.stderr.slice(-4_000)}`);
    const violations = lab.wrong.length;
    const note = `${tally.cuts} cuts, ${tally.done} done in the end`;
    console.log(note);
    report({ name: "copies", count: copies, violations, seed, seconds: (performance.now() - startedAt) / 1_000, note });
    expect(lab.wrong).toEqual([]);
    expect(tally.cuts).toBeGreaterThan(copies / 2);
  },
  timeoutMs(180_000),
);

async function cutCopy(lab: Lab, { proxy, machine }: Proxied, number: number): Promise<{ cuts: number; isDone: boolean }> {
  const { daemon, chance } = lab;
  const change = CHANGES[number % CHANGES.length] ?? "none";
  const there = join(daemon.folder, "there", String(number));
  mkdirSync(there, { recursive: true });
  const large = randomFillSync(Buffer.alloc(200_000 + Math.floor(chance() * 3_000_000)));
  const small = Buffer.from(`small ${number}\n`);
  writeFileSync(join(there, "large"), large);
  writeFileSync(join(there, "small"), small);
  const moments = [chance(), chance()].slice(0, chance() < 0.3 ? 2 : 1).toSorted((a, b) => a - b);
  const way = number % WAYS;
  const here = join(daemon.folder, "here", String(number));
  // Nothing of the test before it is on its way any more.
  const base = proxy.bytesFromTarget;
  const cuts = moments.map((moment) => base + 2_000 + Math.floor(moment * large.length));
  proxy.cutAfterBytes = cuts[0] ?? null;
  const later = chance() * 0.8;
  const jid = await daemon.add(`way${way}`, `${changing(change, there, later)}echo 'RESULTS: ${there}/'`, here);
  const copy: Copy = { jid, change, there, here, large, small };
  let made = 0;
  let job: JobJson | undefined;
  let isOver = false;
  const cutting = (async () => {
    while (!isOver) {
      const at = cuts[made];
      if (at !== undefined && proxy.bytesFromTarget >= at) {
        made += 1;
        proxy.cutAfterBytes = cuts[made] ?? null;
      }
      await waitFor(() => isOver || (made < cuts.length && proxy.bytesFromTarget >= (cuts[made] ?? 0)), { timeoutMs: 120_000 });
    }
  })();
  await waitFor(
    async () => {
      lab.wrong.push(...partial(copy));
      job = (await lab.jobs()).find((one) => one.jid === jid);
      return ["done", "failed", "canceled"].includes(job?.status ?? "");
    },
    {
      what: () => `the end of the copy over ${machine}: ${JSON.stringify(job)}\n${daemon.stderr.slice(-2_000)}`,
      timeoutMs: 60_000,
      everyMs: 40,
    },
  );
  isOver = true;
  await cutting;
  proxy.cutAfterBytes = null;
  const ended = await daemon.show(jid);
  lab.wrong.push(...partial(copy), ...untrue(copy, ended));
  return { cuts: made, isDone: ended.status === "done" };
}

/** Whoever asks while it is being asked gets the same answer. */
function shared<T>(ask: () => Promise<T>): () => Promise<T> {
  let asking: Promise<T> | null = null;
  return () => {
    asking ??= ask().finally(() => {
      asking = null;
    });
    return asking;
  };
}

/** What the job leaves behind goes on changing its result. */
function changing(change: Change, there: string, later: number): string {
  const after = (text: string) => `( sleep ${later.toFixed(2)}; ${text} ) >/dev/null 2>&1 & `;
  switch (change) {
    case "none":
      return "";
    case "grows":
      return after(`for i in 1 2 3 4 5; do printf '${GROWTH.replace("\n", "\\n")}' >>'${there}/large'; sleep 0.1; done`);
    case "shrinks":
      return after(`truncate -s 100000 '${there}/large'`);
    case "vanishes":
      return after(`rm '${there}/large'`);
  }
}

/** What is visible under a final name and was never there. */
function partial({ jid, change, here, large, small }: Copy): string[] {
  if (!existsSync(here)) return [];
  const strangers = readdirSync(here).filter((name) => !["large", "small", ".expjobserver"].includes(name));
  const isWhole = (name: string, bytes: Buffer): boolean => (name === "small" ? bytes.equals(small) : isOnceThere(bytes, change, large));
  const broken = ["large", "small"].filter((name) => existsSync(join(here, name)) && !isWhole(name, readFileSync(join(here, name))));
  return [
    ...strangers.map((name) => `job ${jid}: ${name} is visible`),
    ...broken.map((name) => `job ${jid} (${change}): ${name} is visible, and is not what was there`),
  ];
}

/** Was this the content of the file at some time? */
function isOnceThere(bytes: Buffer, change: Change, large: Buffer): boolean {
  if (bytes.equals(large)) return true;
  if (change === "shrinks") return bytes.equals(large.subarray(0, 100_000));
  if (change !== "grows" || !bytes.subarray(0, large.length).equals(large)) return false;
  const rest = bytes.subarray(large.length).toString();
  return rest === GROWTH.repeat(rest.length / GROWTH.length) && rest.length <= 5 * GROWTH.length;
}

/** A job that is done has its files here with the checksums that it names; one that is not has an error and nothing of it. */
function untrue({ jid, change, here }: Copy, job: JobJson): string[] {
  if (job.status === "done") {
    const names = (job.files ?? []).map(({ path }) => path).toSorted();
    const bad = (job.files ?? []).filter(({ path, bytes, sha256 }) => {
      const content = readFileSync(join(here, path));
      return content.length !== bytes || createHash("sha256").update(content).digest("hex") !== sha256;
    });
    const isComplete = names.join() === "large,small" || (change === "vanishes" && names.join() === "small");
    return bad.length === 0 && isComplete ? [] : [`job ${jid} (${change}) is done with ${JSON.stringify(job.files)}`];
  }
  const visible = existsSync(here) ? readdirSync(here).filter((name) => name !== ".expjobserver") : [];
  const isHonest = job.status === "failed" && job.exit_code === 0 && job.error !== null && visible.length === 0;
  return isHonest ? [] : [`job ${jid} (${change}) is ${job.status} ${job.exit_code} ${job.error} with ${visible.join(" ")}`];
}
