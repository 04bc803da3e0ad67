/** The experiment itself: a 4x3x3 matrix over three machines, through each runner, from queue to verified results. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startMachines, TestDaemon, type TestMachines } from "../support/daemon.ts";
import { ledgerLine, overlaps, ranTwice, readLedger, startedOutOfOrder } from "../support/ledger.ts";
import { sshdAvailable } from "../support/sshd.ts";

const axes = ["PROGRAM=gzip,bzip2,xz,zstd", "LEVEL=1,5,9", "SIZE=100,20000,300000"] as const;
const cells = 36;

/** Random bytes of its size, and their checksum in the ledger: the copy is compared with what was written there. */
function experiment(ledger: string, remote: string): string {
  return [
    ledgerLine(ledger, "start"),
    `mkdir -p "${remote}"`,
    `file="${remote}/{PROGRAM}-{LEVEL}-{SIZE}.bin"`,
    `head -c {SIZE} /dev/urandom >"$file"`,
    `echo "RESULTS: $file"`,
    ledgerLine(ledger, "end", `$(sha256sum <"$file" | cut -d' ' -f1)`),
  ].join("; ");
}

interface MatrixAnswer {
  readonly id: number;
  readonly jids: readonly number[];
}

/** Queues it while the class is still empty, so that the order is the queue's alone, then adds the machines. */
async function runExperiment(daemon: TestDaemon, machines: readonly string[], command: string): Promise<MatrixAnswer> {
  const results = join(daemon.folder, "results");
  const matrix = await daemon.json<MatrixAnswer>("job", "matrix", "add", "bench", command, results, ...axes);
  expect(matrix.jids).toHaveLength(cells);
  await daemon.ok("machine", "add", ...machines, "bench");
  const waited = await daemon.j("job", "wait", String(matrix.id), "--timeout", "50s");
  if (waited.code !== 0) throw new Error(`${waited.stdout}${waited.stderr}${daemon.stderr}`);
  return matrix;
}

async function expectAllThere(daemon: TestDaemon, matrix: MatrixAnswer, machines: readonly string[]): Promise<void> {
  const lines = readLedger(join(daemon.folder, "ledger"));
  const jobs = await daemon.jobs(matrix.id);
  expect(jobs.map((job) => job.status)).toEqual(Array(cells).fill("done"));
  expect(new Set(jobs.map((job) => job.machine))).toEqual(new Set(machines));
  expect({ ranTwice: ranTwice(lines), overlaps: overlaps(lines), outOfOrder: startedOutOfOrder(lines, machines.length) }).toEqual({
    ranTwice: [],
    overlaps: [],
    outOfOrder: [],
  });
  const written = new Map(lines.filter((line) => line.what === "end").map((line) => [line.jid, line.rest]));
  expect(written.size).toBe(cells);
  const results = join(daemon.folder, "results");
  for (const job of jobs) {
    const { PROGRAM, LEVEL, SIZE } = job.variables;
    const name = `${PROGRAM}-${LEVEL}-${SIZE}.bin`;
    const copied = new Bun.CryptoHasher("sha256").update(readFileSync(join(results, name))).digest("hex");
    expect(written.get(job.jid)).toBe(copied);
    expect(job.files).toEqual([{ path: name, bytes: Number(SIZE), sha256: copied }]);
    expect(job.results_path).toBe(join(results, name));
    const record = readFileSync(join(results, ".expjobserver", `${job.jid}.toml`), "utf8");
    expect(record).toContain(copied);
  }
  expect(readdirSync(results).filter((name) => name !== ".expjobserver")).toHaveLength(cells);
}

const ssh = describe.skipIf(!sshdAvailable());

ssh("a matrix of 36 over three machines (SKIPPED without sshd)", () => {
  let machines: TestMachines;
  beforeAll(async () => {
    machines = await startMachines(3);
  });
  afterAll(async () => {
    await machines[Symbol.asyncDispose]();
  });

  test("through a driver that itself uses ssh: 36 done, copied and equal, lowest JID first, one at a time on each", async () => {
    await using daemon = await TestDaemon.prepare({ machines: machines.all });
    const driver = join(daemon.folder, "driver");
    writeFileSync(
      driver,
      [
        "#!/bin/sh",
        "# MACHINE COMMAND: the command, on the machine",
        "host=${1%:*} port=${1##*:}",
        `exec ssh -n -F '${daemon.sshConfig}' -p "$port" "$host" "EXPJOB_JID=$EXPJOB_JID EXPJOB_MACHINE=$EXPJOB_MACHINE; $2"`,
        "",
      ].join("\n"),
    );
    chmodSync(driver, 0o755);
    await daemon.start(["--runner", driver]);
    const text = experiment(join(daemon.folder, "ledger"), join(daemon.folder, "there"));
    const matrix = await runExperiment(daemon, machines.addresses, `{MACHINE} '${text.replaceAll("'", `'"'"'`)}'`);
    await expectAllThere(daemon, matrix, machines.addresses);
    const csv = (await daemon.ok("job", "matrix", "csv", String(matrix.id))).split("\n");
    expect(csv[0]?.trim()).toBe("jid,PROGRAM,LEVEL,SIZE,status,machine,duration,results_path");
    expect(csv).toHaveLength(cells + 1);
  }, 120_000);

  test("through the ssh runner, without a driver", async () => {
    await using daemon = await TestDaemon.start({ machines: machines.all });
    const text = experiment(join(daemon.folder, "ledger"), join(daemon.folder, "there"));
    const matrix = await runExperiment(daemon, machines.addresses, text);
    await expectAllThere(daemon, matrix, machines.addresses);
  }, 120_000);
});

test("the same matrix on three local machines", async () => {
  await using daemon = await TestDaemon.start();
  const local = ["local/a", "local/b", "local/c"];
  mkdirSync(join(daemon.folder, "there"));
  const matrix = await runExperiment(daemon, local, experiment(join(daemon.folder, "ledger"), join(daemon.folder, "there")));
  await expectAllThere(daemon, matrix, local);
}, 120_000);
