/** kill -9 of the daemon: jobs go on, are taken up again with their true ends, and none runs twice. */
import { expect, test } from "bun:test";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type JobJson, startMachines, TestDaemon } from "../support/daemon.ts";
import { ledgerLine, ranTwice, readLedger } from "../support/ledger.ts";
import { sshdAvailable } from "../support/sshd.ts";
import { waitFor } from "../support/wait-for.ts";

/** Writes numbered lines until `go` appears, then so many more, and exits with a code of its own. */
function longJob(folder: string, exitCode: number): string {
  const ledger = join(folder, "ledger");
  return [
    ledgerLine(ledger, "start"),
    "i=0",
    `while ! [ -e '${folder}/go' ]; do i=$((i+1)); echo "line $i"; sleep 0.03; done`,
    `echo "lines $i" >&2`,
    ledgerLine(ledger, "end"),
    `exit ${exitCode}`,
  ].join("; ");
}

/** Every line is there, in order, as many as the job counted. */
function expectCompleteOutput(daemon: TestDaemon, job: JobJson): void {
  const count = Number(/^lines (\d+)$/m.exec(daemon.output(job, "err_log"))?.[1]);
  expect(count).toBeGreaterThan(1);
  const expected = Array.from({ length: count }, (_, index) => `line ${index + 1}\n`).join("");
  expect(daemon.output(job)).toBe(expected);
}

test.skipIf(!sshdAvailable())(
  "kill -9 while jobs of all three runners run: they go on, end as they truly did, and none runs twice (SKIPPED without sshd)",
  async () => {
    await using machines = await startMachines(1);
    await using daemon = await TestDaemon.prepare({
      machines: machines.all,
      config: '[class.driven]\nrunner = "driver"\n[class.remote]\nrunner = "ssh"\n[class.here]\nrunner = "local"\n',
    });
    const { folder } = daemon;
    const driver = join(folder, "driver");
    writeFileSync(driver, '#!/bin/sh\nexec sh -c "$1"\n');
    chmodSync(driver, 0o755);
    await daemon.start(["--runner", driver]);
    const [address = ""] = machines.addresses;
    await daemon.ok("machine", "add", address, "remote");
    await daemon.ok("machine", "add", "local/d", "driven");
    await daemon.ok("machine", "add", "local/h", "here");
    const quoted = `'${longJob(folder, 41).replaceAll("'", `'"'"'`)}'`;
    const running = [
      await daemon.add("driven", quoted),
      await daemon.add("remote", longJob(folder, 42)),
      await daemon.add("here", longJob(folder, 0)),
    ];
    for (const jid of running) await daemon.untilStatus(jid, "running");
    const queued = await daemon.add("here", `${ledgerLine(join(folder, "ledger"), "start")}; echo later`);
    const logs = (await daemon.jobs(...running)).map((job) => job.log ?? "");
    await daemon.kill();

    // On this host output goes straight to the log; a machine's waits there until the server is back.
    for (const log of [logs[0] ?? "", logs[2] ?? ""]) {
      const before = readFileSync(log, "utf8").length;
      await waitFor(() => readFileSync(log, "utf8").length > before, { what: () => `more output in ${log}` });
    }
    await daemon.start(["--runner", driver]);
    expect((await daemon.jobs(...running, queued)).map((job) => job.status)).toEqual(["running", "running", "running", "waiting"]);
    await daemon.kill();
    // These end while no server runs.
    writeFileSync(join(folder, "go"), "");
    await waitFor(() => readLedger(join(folder, "ledger")).filter((line) => line.what === "end").length === 3);
    await daemon.start(["--runner", driver]);

    const ended: JobJson[] = [];
    for (const jid of [...running, queued]) ended.push(await daemon.ended(jid));
    expect(ended.map((job) => [job.status, job.exit_code])).toEqual([
      ["failed", 41],
      ["failed", 42],
      ["done", 0],
      ["done", 0],
    ]);
    for (const job of ended.slice(0, 3)) expectCompleteOutput(daemon, job);
    expect(daemon.output(ended[3] as JobJson)).toBe("later\n");
    expect(ranTwice(readLedger(join(folder, "ledger")))).toEqual([]);
  },
  120_000,
);

test("a signal that ended a job while no server ran is still its signal", async () => {
  await using daemon = await TestDaemon.start();
  await daemon.ok("machine", "add", "local", "here");
  const pidFile = join(daemon.folder, "pid");
  const jid = await daemon.add("here", `echo $$ >'${pidFile}.new'; mv '${pidFile}.new' '${pidFile}'; exec sleep 60`);
  await waitFor(() => existsSync(pidFile));
  await daemon.kill();
  process.kill(Number(readFileSync(pidFile, "utf8")), "SIGSEGV");
  await daemon.start();
  expect(await daemon.ended(jid)).toMatchObject({ status: "failed", exit_code: 139, signal: "SIGSEGV" });
});

test("a clean stop leaves the jobs running, and the next start takes them up", async () => {
  await using daemon = await TestDaemon.start();
  await daemon.ok("machine", "add", "local", "here");
  const jid = await daemon.add("here", longJob(daemon.folder, 7));
  await daemon.untilStatus(jid, "running");
  expect(await daemon.stop()).toBe(0);
  await daemon.start();
  expect((await daemon.show(jid)).status).toBe("running");
  writeFileSync(join(daemon.folder, "go"), "");
  const job = await daemon.ended(jid);
  expect(job).toMatchObject({ status: "failed", exit_code: 7 });
  expectCompleteOutput(daemon, job);
  expect(ranTwice(readLedger(join(daemon.folder, "ledger")))).toEqual([]);
});

test("ten kills -9 at random moments under a mixed load: what was acknowledged is there, ran once, with the right exit code", async () => {
  const seed = Number(process.env["EXPJOB_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`seed ${seed} (set EXPJOB_SEED to repeat it)`);
  const random = generator(seed);
  // Two jobs in three fail here, of their own accord.
  await using daemon = await TestDaemon.start({ config: "[limits]\nfailures_before_quarantine = 1000\n" });
  const ledger = join(daemon.folder, "ledger");
  const machines = ["local/1", "local/2", "local/3", "local/4"];
  await daemon.ok("machine", "add", ...machines, "here");
  /** Acknowledged jobs and the exit codes they must have. */
  const promised = new Map<number, number>();
  let over = false;
  const submit = async (): Promise<void> => {
    while (!over) {
      const exitCode = Math.floor(random() * 3) * 17;
      const naps = (random() * 0.15).toFixed(3);
      const command = `${ledgerLine(ledger, "start")}; sleep ${naps}; echo out; ${ledgerLine(ledger, "end")}; exit ${exitCode}`;
      const answer = await daemon.j("job", "add", "--json", "here", command);
      if (answer.code === 0) for (const jid of (JSON.parse(answer.stdout) as { jids: number[] }).jids) promised.set(jid, exitCode);
      // Refused, or cut: the server is just being killed.
      else expect([1, 3]).toContain(answer.code);
    }
  };
  const load = submit();
  try {
    for (let round = 0; round < 10; round += 1) {
      const acknowledged = promised.size;
      const atLeast = Math.floor(random() * 4);
      await waitFor(() => promised.size >= acknowledged + atLeast, { everyMs: 1, what: () => `${atLeast} more jobs` });
      const at = performance.now() + random() * 200;
      await waitFor(() => performance.now() >= at, { everyMs: 1 });
      await daemon.kill();
      await daemon.start();
    }
  } finally {
    over = true;
    await load;
  }
  const jids = [...promised.keys()];
  expect(jids.length).toBeGreaterThan(9);
  await daemon.j("job", "wait", ...jids.map(String), "--timeout", "40s");
  const jobs = await daemon.jobs(...jids);
  const wrong = jobs.filter((job) => job.exit_code !== promised.get(job.jid));
  expect(wrong.map((job) => [job.jid, job.status, job.exit_code, promised.get(job.jid)])).toEqual([]);
  expect(jobs).toHaveLength(jids.length);
  expect(jobs.filter((job) => daemon.output(job) !== "out\n")).toEqual([]);
  const lines = readLedger(ledger);
  expect(ranTwice(lines)).toEqual([]);
  expect(jids.filter((jid) => !lines.some((line) => line.jid === jid && line.what === "start"))).toEqual([]);
}, 90_000);

/** mulberry32: small, and the same everywhere. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
