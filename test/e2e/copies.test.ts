/** Results through the daemon: large, many, oddly named, in each other's way, missing, and cut in the middle. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createReadStream, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type JobJson, startMachines, TestDaemon, type TestMachines } from "../support/daemon.ts";
import { sshdAvailable } from "../support/sshd.ts";
import { waitFor } from "../support/wait-for.ts";

async function sha256(path: string): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  for await (const chunk of createReadStream(path)) hasher.update(chunk as Buffer);
  return hasher.digest("hex");
}

describe.skipIf(!sshdAvailable())("results from a machine over SSH (SKIPPED without sshd)", () => {
  let machines: TestMachines;
  let daemon: TestDaemon;
  beforeAll(async () => {
    machines = await startMachines(2);
  });
  afterAll(async () => {
    await machines[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    daemon = await TestDaemon.start({ machines: machines.all });
    await daemon.ok("machine", "add", ...machines.addresses, "lab");
  });
  afterEach(async () => {
    await daemon[Symbol.asyncDispose]();
  });

  /** Queues a job whose results go to `results`. */
  async function produce(command: string): Promise<number> {
    return await daemon.add("lab", command, join(daemon.folder, "results"));
  }
  const there = (...names: string[]): string => join(daemon.folder, "there", ...names);
  const here = (...names: string[]): string => join(daemon.folder, "results", ...names);

  test("a file of 60 MB arrives whole, while a folder of 5,000 small files comes from another machine", async () => {
    mkdirSync(there("many"), { recursive: true });
    const large = await produce(
      `head -c 60000000 /dev/urandom >'${there("large")}'; sha256sum <'${there("large")}'; echo 'RESULTS: ${there("large")}'`,
    );
    const many = await produce(
      `cd '${there("many")}' && seq 1 5000 | while read n; do echo "file $n" >f$n; done; echo 'RESULTS: ${there("many")}'`,
    );
    const largeJob = await daemon.ended(large, 100);
    const manyJob = await daemon.ended(many, 100);
    expect([largeJob, manyJob].map((job) => [job.status, job.error])).toEqual([
      ["done", null],
      ["done", null],
    ]);
    const expected = daemon.output(largeJob).slice(0, 64);
    expect(await sha256(here("large"))).toBe(expected);
    expect(largeJob.files).toEqual([{ path: "large", bytes: 60_000_000, sha256: expected }]);
    expect(readdirSync(here("many"))).toHaveLength(5_000);
    const wrong = Array.from({ length: 5_000 }, (_, index) => index + 1).filter(
      (n) => readFileSync(here("many", `f${n}`), "utf8") !== `file ${n}\n`,
    );
    expect(wrong).toEqual([]);
  }, 120_000);

  test("names with spaces, quotes, a newline, UTF-8 and shell characters arrive as they are", async () => {
    const names = ["a b", `it's "quoted"`, "two\nlines", "Größe ✓ 漢字", "$(touch pwned); *", "-rf", "back\\slash"];
    mkdirSync(there("odd"), { recursive: true });
    for (const name of names) await Bun.write(there("odd", name), `content of ${name}`);
    const job = await daemon.ended(await produce(`echo 'RESULTS: ${there("odd")}'`));
    expect([job.status, job.error]).toEqual(["done", null]);
    expect(readdirSync(here("odd")).toSorted()).toEqual(names.toSorted());
    for (const name of names) expect(readFileSync(here("odd", name), "utf8")).toBe(`content of ${name}`);
    expect(new Set(job.files?.map((file) => file.path))).toEqual(new Set(names.map((name) => `odd/${name}`)));
  });

  test("two jobs that write one name: the first file is kept as NAME.~1~, and the first job's record follows it", async () => {
    mkdirSync(there(), { recursive: true });
    const jids: number[] = [];
    for (const text of ["first", "second"]) {
      const jid = await produce(
        `mkdir -p '${there(text)}'; echo ${text} >'${there(text, "same.txt")}'; echo 'RESULTS: ${there(text, "same.txt")}'`,
      );
      expect((await daemon.ended(jid)).status).toBe("done");
      jids.push(jid);
    }
    expect(readFileSync(here("same.txt"), "utf8")).toBe("second\n");
    expect(readFileSync(here("same.txt.~1~"), "utf8")).toBe("first\n");
    const [first, second] = await daemon.jobs(...jids);
    expect([first?.results_path, first?.files?.[0]?.path]).toEqual([here("same.txt.~1~"), "same.txt.~1~"]);
    expect([second?.results_path, second?.files?.[0]?.path]).toEqual([here("same.txt"), "same.txt"]);
    expect(readFileSync(here(".expjobserver", `${jids[0]}.toml`), "utf8")).toContain("same.txt.~1~");
  });

  test("a prefix that matches nothing: failed, exit code 0, and an error that says so; not retried", async () => {
    const jid = await daemon.add("lab", `echo 'RESULTS: ${there("nothing")}'`, here(), "--retry");
    const job = await daemon.ended(jid);
    expect(job).toMatchObject({ status: "failed", exit_code: 0, retried_by: null });
    expect(job.error).toStartWith("results not copied:");
    expect(job.error).toContain(there("nothing"));
    const free = await daemon.json<{ failures: number; state: string }[]>("machine", "ls");
    expect(free.map(({ failures, state }) => [failures, state])).toEqual([
      [0, "free"],
      [0, "free"],
    ]);
  });

  test("a job without a RESULTS: line is done, with a warning; a line without CP_PATH is recorded only", async () => {
    const silent = await daemon.ended(await produce("true"));
    expect(silent).toMatchObject({ status: "done", results: [] });
    expect(silent.warning).toContain("RESULTS:");
    const recorded = await daemon.ended(await daemon.add("lab", "echo 'RESULTS: /some/where'; echo 'RESULTS: else'"));
    expect(recorded).toMatchObject({ status: "done", results: ["/some/where", "else"], results_path: null, warning: null });
  });

  test("a relative prefix begins at the job's directory, and names every file that begins with it", async () => {
    const [host] = await daemon.json<{ addr: string }[]>("machine", "ls");
    expect(host).toBeDefined();
    const job = await daemon.ended(
      await produce("mkdir -p rel; echo 1 >rel/run.csv; echo 2 >rel/run.log; echo 3 >rel/other; echo 'RESULTS: rel/run.'"),
    );
    expect([job.status, job.error]).toEqual(["done", null]);
    expect(readdirSync(here()).toSorted()).toEqual([".expjobserver", "run.csv", "run.log"]);
  });

  test("sshd killed in the middle of a copy: nothing half-copied is visible, and the copy is completed when it is back", async () => {
    mkdirSync(there(), { recursive: true });
    const jid = await produce(
      `head -c 60000000 /dev/urandom >'${there("large")}'; sha256sum <'${there("large")}'; echo 'RESULTS: ${there("large")}'`,
    );
    const copying = await daemon.untilStatus(jid, "copying");
    await waitFor(() => bytesBelow(here()) > 1_000_000, { what: () => `bytes under ${here()}: ${bytesBelow(here())}`, everyMs: 1 });
    const machine = machines.all.find((one) => one.machine === copying.machine) ?? machines.at(0);
    await machine.kill();
    expect(existsSync(here("large"))).toBe(false);
    await machine.start();
    const job: JobJson = await daemon.ended(jid, 50);
    expect([job.status, job.error]).toEqual(["done", null]);
    expect(await sha256(here("large"))).toBe(daemon.output(job).slice(0, 64));
    expect(readdirSync(here()).toSorted()).toEqual([".expjobserver", "large"]);
  }, 120_000);

  test("a daemon killed in the middle of a copy completes it after the restart", async () => {
    mkdirSync(there(), { recursive: true });
    const jid = await produce(
      `head -c 60000000 /dev/urandom >'${there("large")}'; sha256sum <'${there("large")}'; echo 'RESULTS: ${there("large")}'`,
    );
    await daemon.untilStatus(jid, "copying");
    await waitFor(() => bytesBelow(here()) > 1_000_000, { what: () => `bytes under ${here()}`, everyMs: 1 });
    await daemon.kill();
    expect(existsSync(here("large"))).toBe(false);
    await daemon.start();
    const job = await daemon.ended(jid, 50);
    expect([job.status, job.error]).toEqual(["done", null]);
    expect(await sha256(here("large"))).toBe(daemon.output(job).slice(0, 64));
    expect(readdirSync(here()).toSorted()).toEqual([".expjobserver", "large"]);
  }, 120_000);
});

/** Files only; what goes while we look counts nothing. */
function bytesBelow(folder: string): number {
  if (!existsSync(folder)) return 0;
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => Bun.file(join(entry.parentPath, entry.name)).size)
    .reduce((sum, size) => sum + size, 0);
}
