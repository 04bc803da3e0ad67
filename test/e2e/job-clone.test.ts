/** Jobs queued again, restarted, given another time and previewed, on the built binary, over kills of the server. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type JobJson, startMachines, TestDaemon } from "../support/daemon.ts";
import { isAlive, sshdAvailable } from "../support/sshd.ts";
import { waitFor } from "../support/wait-for.ts";

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.start({ config: '[limits]\nkill_grace = "2s"\n' });
  await daemon.ok("machine", "add", "local/a", "desk");
});
afterAll(() => daemon[Symbol.asyncDispose]());

/** Writes down its process and one below it; both go on when they are asked to end. */
function ignoringTerm(pids: string): string {
  return `trap '' TERM; echo $$ >${pids}; (while :; do sleep 1; done) & echo $! >>${pids}; while :; do sleep 1; done`;
}

async function queuedBy(...words: string[]): Promise<number[]> {
  return (await daemon.json<{ jids: number[] }>("job", ...words)).jids;
}

describe("job clone", () => {
  test("queues a job again with the command and the values that it had, over a kill -9", async () => {
    await daemon.ok("var", "set", "SIZE", "4");
    const jid = await daemon.add("desk", "echo size {SIZE}", "--timeout", "1h", "--notify");
    await daemon.ended(jid);
    await daemon.ok("var", "set", "SIZE", "8");
    await daemon.kill();
    await daemon.start();
    const clones = await queuedBy("clone", String(jid), "-x", "2");
    expect(clones).toHaveLength(2);
    for (const clone of clones) {
      const job = await daemon.ended(clone);
      expect(job).toMatchObject({ status: "done", command_line: "echo size 4", attempt: 1, retry_of: null });
      expect(daemon.output(job)).toBe("size 4\n");
    }
  });

  test("of a matrix queues each cell once, however often it was retried, and the matrix has them", async () => {
    const command = "test {N} = good || exit 3";
    const { id } = await daemon.json<{ id: number }>("job", "matrix", "add", "desk", command, "N=good,bad", "--max-failures", "1");
    await daemon.j("job", "wait", String(id), "--timeout", "20s");
    const clones = await queuedBy("clone", String(id));
    expect(clones).toHaveLength(2);
    await daemon.j("job", "wait", String(id), "--timeout", "20s");
    const jobs = await daemon.jobs(id);
    expect(jobs.map(({ status, variables }) => `${variables["N"]} ${status}`)).toEqual([
      "good done",
      "bad failed",
      "good done",
      "bad failed",
    ]);
    const csv = (await daemon.ok("job", "matrix", "csv", String(id))).split("\n");
    expect(csv).toHaveLength(5);
  });

  test("names what is not there and does the rest", async () => {
    const answer = await daemon.j("job", "clone", "0", "999999");
    expect(answer.code).toBe(1);
    expect(answer.stdout).toMatch(/^Queued job \d+\n$/);
    expect(answer.stderr).toContain("There is no job, matrix or tag 999999.");
  });
});

test("job restart stops what runs with all its processes, and the new one waits for the machine; kill -9 in between loses nothing", async () => {
  const pids = join(daemon.folder, "restart.pids");
  const command = `echo $$ >>${pids}; sleep 300 & echo $! >>${pids}; wait`;
  const jid = await daemon.add("desk", command);
  await daemon.untilStatus(jid, "running");
  await waitFor(() => existsSync(pids) && readFileSync(pids, "utf8").split("\n").length === 3);
  const before = readFileSync(pids, "utf8").trim().split("\n").map(Number);
  const waiting = await daemon.add("desk", "echo second");
  const answer = await daemon.j("job", "restart", String(jid), String(waiting));
  expect(answer.stdout).toMatch(/^Stopping 1 job\nQueued jobs \d+-\d+\n$/);
  await daemon.kill();
  await daemon.start();
  expect(await daemon.ended(jid)).toMatchObject({ status: "canceled" });
  expect((await daemon.show(waiting)).status).toBe("canceled");
  await waitFor(() => before.every((pid) => !isAlive(pid)), { what: () => `the end of ${before.join(" ")}` });
  const [again = -1, second = -1] = [waiting + 1, waiting + 2];
  await daemon.untilStatus(again, "running");
  expect((await daemon.show(second)).status).toBe("waiting");
  await daemon.ok("job", "rm", String(again));
  expect(daemon.output(await daemon.ended(second))).toBe("second\n");
  expect(readFileSync(pids, "utf8").trim().split("\n")).toHaveLength(4);
}, 120_000);

describe("job settimeout", () => {
  test("of a running job stops it and its whole session, with KILL where TERM is ignored", async () => {
    const pids = join(daemon.folder, "timeout.pids");
    const stubborn = ignoringTerm(pids);
    const jid = await daemon.add("desk", stubborn);
    await daemon.untilStatus(jid, "running");
    await waitFor(() => existsSync(pids) && readFileSync(pids, "utf8").split("\n").length === 3);
    const session = readFileSync(pids, "utf8").trim().split("\n").map(Number);
    expect(session.every(isAlive)).toBe(true);
    expect(await daemon.ok("job", "settimeout", "1s", String(jid))).toBe(`Set the timeout to 1s for job ${jid}`);
    const job = await daemon.ended(jid, 40);
    expect(job).toMatchObject({ status: "failed", signal: "SIGKILL", error: "Stopped at its timeout of 1 second." });
    await waitFor(() => session.every((pid) => !isAlive(pid)), { what: () => `the end of ${session.join(" ")}` });
  }, 120_000);

  test("may be taken away, is remembered over a kill -9, and is refused to what has ended", async () => {
    const go = join(daemon.folder, "go");
    const jid = await daemon.add("desk", `while ! [ -e '${go}' ]; do sleep 0.05; done; echo whole`, "--timeout", "1h");
    await daemon.untilStatus(jid, "running");
    await daemon.ok("job", "settimeout", "1d", "last");
    await daemon.kill();
    await daemon.start();
    expect((await daemon.jobs(jid)) as unknown).toMatchObject([{ timeout: 86_400 }]);
    await daemon.ok("job", "settimeout", "none", String(jid));
    writeFileSync(go, "");
    expect(daemon.output(await daemon.ended(jid))).toBe("whole\n");
    const refused = await daemon.j("job", "settimeout", "5", String(jid));
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toContain(`Job ${jid} has ended: no timeout can stop it any more.`);
    const wrong = await daemon.j("job", "settimeout", "tomorrow", String(jid));
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain("which is no time");
  }, 120_000);
});

describe.skipIf(!sshdAvailable())("job settimeout over SSH (SKIPPED without sshd)", () => {
  test("stops the whole session on the machine, and frees it", async () => {
    await using machines = await startMachines(1);
    await using lab = await TestDaemon.start({ machines: machines.all, config: '[limits]\nkill_grace = "1s"\n' });
    await lab.ok("machine", "add", ...machines.addresses, "lab");
    const pids = join(lab.folder, "there.pids");
    const jid = await lab.add("lab", ignoringTerm(pids));
    await waitFor(() => existsSync(pids) && readFileSync(pids, "utf8").split("\n").length === 3, { timeoutMs: 20_000 });
    const session = readFileSync(pids, "utf8").trim().split("\n").map(Number);
    await lab.untilStatus(jid, "running");
    await lab.ok("job", "settimeout", "1s", String(jid));
    expect(await lab.ended(jid, 40)).toMatchObject({ status: "failed", error: "Stopped at its timeout of 1 second." });
    await waitFor(() => session.every((pid) => !isAlive(pid)), { what: () => `the end of ${session.join(" ")}` });
    expect(await lab.ended(await lab.add("lab", "true"))).toMatchObject({ status: "done" });
  }, 120_000);
});

describe("job matrix add", () => {
  test("--dry-run queues nothing and shows the first and last command line; empty values and \\, are values", async () => {
    const before = await daemon.ok("job", "ls", "-q");
    const words = ["job", "matrix", "add", "desk", "run --a={A} {NOPE}", "A=,x,2\\,5", "B=1,2", "--dry-run"];
    const answer = await daemon.j(...words);
    expect(answer.stdout).toBe("Would queue 6 jobs in class desk\nFirst: run --a= {NOPE}\nLast:  run --a=2,5 {NOPE}\n");
    expect(answer.stderr).toContain("Nothing defines {NOPE}: it is left as typed.");
    expect(answer.stderr).toContain("The command does not use {B}");
    expect(await daemon.ok("job", "ls", "-q")).toBe(before);
  });

  test("with empty values and escaped commas gives each job its own", async () => {
    const { jids } = await daemon.json<{ jids: number[] }>("job", "matrix", "add", "desk", 'printf "<%s>" "{A}"', "A=,x,2\\,5,");
    const jobs: JobJson[] = [];
    for (const jid of jids) jobs.push(await daemon.ended(jid));
    expect(jobs.map((job) => daemon.output(job))).toEqual(["<>", "<x>", "<2,5>", "<>"]);
  });

  test("of 100,000 jobs is one request, and so are its hold, clone, cancel and forgetting; then the matrix is forgotten", async () => {
    const values = (count: number): string => Array.from({ length: count }, (_, index) => index).join(",");
    const words = ["job", "matrix", "add", "nowhere", "run {A} {B} {C}", `A=${values(100)}`, `B=${values(100)}`, `C=${values(10)}`];
    const { id, jids } = await daemon.json<{ id: number; jids: number[] }>(...words);
    expect(jids).toHaveLength(100_000);
    const cloned = await queuedBy("clone", String(id));
    expect(cloned).toHaveLength(100_000);
    expect(await daemon.ok("job", "rm", String(id))).toMatch(/^Canceled jobs /);
    await daemon.ok("job", "rm", "-f", String(id));
    const gone = await daemon.j("job", "matrix", "ls", String(id));
    expect(gone).toMatchObject({ code: 1, stderr: expect.stringContaining(`There is no matrix ${id}.`) });
    expect((await daemon.j("job", "show", String(id))).code).toBe(1);
  }, 90_000);
});

describe("the line in job ls", () => {
  const drawnAfter = async (): Promise<string | null> => {
    const lines = (await daemon.ok("job", "ls")).split("\n");
    const at = lines.findIndex((line) => /^ -+$/.test(line));
    return at < 0 ? null : (/\d+/.exec(lines[at - 1] ?? "")?.[0] ?? "");
  };

  test("stands where it was drawn, over a kill -9, and is read from the old client's file when there is none", async () => {
    const jid = await daemon.add("desk", "true");
    await daemon.ended(jid);
    expect(await drawnAfter()).toBeNull();
    await daemon.ok("job", "line", "last");
    const next = await daemon.add("desk", "true");
    await daemon.kill();
    await daemon.start();
    expect(await drawnAfter()).toBe(String(jid));
    expect(await daemon.ok("job", "ls", "--json")).not.toContain("---");
    await daemon.ok("job", "line");
    expect(await drawnAfter()).toBeNull();
    writeFileSync(join(daemon.folder, "home", ".expjobserver-client-line"), `${next}\n`);
    expect(await drawnAfter()).toBe(String(next));
  });
});
