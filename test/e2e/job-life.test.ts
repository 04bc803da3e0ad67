/** The life of a job: timeouts, cancelling, retries, faulty machines, waiting, and what a job is given. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type JobJson, run, startMachines, TestDaemon } from "../support/daemon.ts";
import { isAlive, sshdAvailable } from "../support/sshd.ts";
import { waitFor } from "../support/wait-for.ts";

interface MachineJson {
  readonly addr: string;
  readonly class: string;
  readonly state: string;
  readonly running: number | null;
  readonly failures: number;
  readonly reason: string | null;
  readonly since: string;
}

const config = '[limits]\nkill_grace = "1s"\n[class.quick]\nbackoff = "1s"\n';
let daemon: TestDaemon;
beforeEach(async () => {
  daemon = await TestDaemon.start({ config });
  await daemon.ok("machine", "add", "local", "here");
});
afterEach(async () => {
  await daemon[Symbol.asyncDispose]();
});

const file = (name: string): string => join(daemon.folder, name);
/** Shell text: the pid of what runs it, complete once the file is there. */
const writePid = (name: string): string => `echo $$ >'${file(name)}.new'; mv '${file(name)}.new' '${file(name)}'`;
const machines = async (): Promise<MachineJson[]> => await daemon.json<MachineJson[]>("machine", "ls");

async function pidIn(name: string): Promise<number> {
  await waitFor(() => existsSync(file(name)), { what: () => `${name}`, timeoutMs: 20_000 });
  return Number(readFileSync(file(name), "utf8"));
}

describe("a timeout", () => {
  /** Deaf to TERM, in a group of its own, which timeout(1) makes: only a KILL to the whole session ends it. */
  const stubborn = (): string =>
    `echo begun; timeout 60 sh -c 'trap "" TERM; ${writePid("inner").replaceAll("'", `'"'"'`)}; while :; do sleep 0.1; done'`;

  /** The timeout is set when all of it has begun. */
  const timedOut = async (server: TestDaemon, name: string, command: string): Promise<JobJson> => {
    const jid = await server.add(name, command, "--timeout", "1h");
    await pidIn("inner");
    await server.ok("job", "settimeout", "1s", String(jid));
    return await server.ended(jid, 25);
  };

  test("ends a local job: failed, timed out, and nothing of it is left", async () => {
    const job = await timedOut(daemon, "here", stubborn());
    expect(job.status).toBe("failed");
    expect(job.error).toContain("timeout");
    expect(isAlive(await pidIn("inner"))).toBe(false);
    expect(daemon.output(job)).toBe("begun\n");
    expect((await machines())[0]).toMatchObject({ state: "free", running: null });
  });

  test.skipIf(!sshdAvailable())("ends a job over SSH as well (SKIPPED without sshd)", async () => {
    await using there = await startMachines(1);
    await using remote = await TestDaemon.start({ config, machines: there.all });
    await remote.ok("machine", "add", ...there.addresses, "lab");
    const job = await timedOut(remote, "lab", stubborn());
    expect(job.status).toBe("failed");
    expect(job.error).toContain("timeout");
    expect(isAlive(await pidIn("inner"))).toBe(false);
  });

  test("gives a job that heeds TERM the time to tidy up", async () => {
    const job = await timedOut(
      daemon,
      "here",
      `trap 'echo tidied; exit 0' TERM; echo begun; ${writePid("inner")}; while :; do sleep 0.05; done`,
    );
    expect(job.status).toBe("failed");
    expect(job.error).toContain("timeout");
    expect(daemon.output(job)).toBe("begun\ntidied\n");
  });
});

describe("job rm", () => {
  test("of a running job kills it and frees the machine; of a waiting one takes it out of the queue; what ended stays", async () => {
    const running = await daemon.add("here", `${writePid("pid")}; sleep 60`);
    const waiting = await daemon.add("here", "echo never");
    const pid = await pidIn("pid");
    expect((await daemon.j("job", "rm", String(waiting))).code).toBe(0);
    expect(await daemon.show(waiting)).toMatchObject({ status: "canceled", started: null });
    expect((await daemon.j("job", "rm", String(running))).code).toBe(0);
    expect((await daemon.ended(running)).status).toBe("canceled");
    await waitFor(() => !isAlive(pid));
    expect((await machines())[0]).toMatchObject({ state: "free", running: null });

    const alone = await daemon.j("job", "rm", String(running));
    expect(alone.code).toBe(1);
    expect(alone.stderr.trimEnd().split("\n")).toHaveLength(2);
    expect((await daemon.j("job", "rm", "0-1")).code).toBe(0);
  });

  test("-f forgets it, log and results stay, and its id is never used again", async () => {
    const jid = await daemon.add("here", "echo kept");
    const { log } = await daemon.ended(jid);
    expect((await daemon.j("job", "rm", "-f", String(jid))).code).toBe(0);
    const gone = await daemon.j("job", "show", String(jid));
    expect(gone.code).toBe(1);
    expect(gone.stderr).toStartWith("There is no job");
    expect(readFileSync(log ?? "", "utf8")).toBe("kept\n");
    expect(await daemon.add("here", "echo next")).toBe(jid + 1);
  });

  test("of many ids does all it can, names each it cannot, and exits 1", async () => {
    const jid = await daemon.add("nowhere", "x");
    const answer = await daemon.j("job", "rm", String(jid), "77", "78");
    expect(answer.code).toBe(1);
    expect(answer.stderr).toContain("77");
    expect(answer.stderr).toContain("78");
    expect((await daemon.show(jid)).status).toBe("canceled");
  });

  test("stops the retries of a failing job", async () => {
    await daemon.ok("machine", "add", "local/q", "quick");
    const jid = await daemon.add("quick", "exit 1", "--retry");
    await waitFor(async () => (await daemon.show(jid)).retried_by !== null, { everyMs: 50 });
    const all = await daemon.json<{ jid: number; status: string }[]>("job", "ls");
    const last = Math.max(...all.map((job) => job.jid));
    await daemon.j("job", "rm", "-f", String(last));
    await daemon.ok("job", "ls");
    const after = await daemon.json<{ status: string }[]>("job", "ls");
    expect(after.filter((job) => job.status === "waiting" || job.status === "running")).toEqual([]);
  });
});

describe("retries", () => {
  test("a job is tried until it has failed so often, each attempt a new job that names the one before", async () => {
    await daemon.ok("machine", "add", "local/q", "quick");
    const jid = await daemon.add("quick", "echo attempt $EXPJOB_ATTEMPT {ATTEMPT}; exit 7", "--max-failures", "3");
    expect((await daemon.j("job", "wait", String(jid), "--timeout", "20s")).code).toBe(1);
    const first = await daemon.show(jid);
    const second = await daemon.show(first.retried_by ?? -1);
    const third = await daemon.show(second.retried_by ?? -1);
    expect([first, second, third].map((job) => [job.status, job.attempt, job.retry_of, daemon.output(job)])).toEqual([
      ["failed", 1, null, "attempt 1 1\n"],
      ["failed", 2, jid, "attempt 2 2\n"],
      ["failed", 3, second.jid, "attempt 3 3\n"],
    ]);
    expect(third.retried_by).toBeNull();
    // 1 s, then 2 s: counted from the failure.
    const pause = (before: { ended: string | null }, after: { started: string | null }) =>
      Date.parse(after.started ?? "") - Date.parse(before.ended ?? "");
    expect(pause(first, second)).toBeGreaterThanOrEqual(950);
    expect(pause(second, third)).toBeGreaterThanOrEqual(1_950);
  });

  test("one that succeeds in the end: job wait answers 0 for the first id", async () => {
    await daemon.ok("machine", "add", "local/q", "quick");
    const jid = await daemon.add("quick", "test $EXPJOB_ATTEMPT = 2", "--max-failures", "5");
    expect((await daemon.j("job", "wait", String(jid), "--timeout", "20s")).code).toBe(0);
    expect((await daemon.show(jid)).status).toBe("failed");
  });
});

describe("machines", () => {
  test("four counted failures in a row quarantine one, with the evidence; `machine restore` puts it back to work", async () => {
    const jids: number[] = [];
    for (const code of [11, 12, 13, 14]) jids.push(await daemon.add("here", `exit ${code}`));
    for (const jid of jids) expect((await daemon.ended(jid)).status).toBe("failed");
    const [machine] = await machines();
    expect(machine).toMatchObject({ state: "quarantined", failures: 4 });
    for (const jid of jids) expect(machine?.reason).toContain(String(jid));
    const waiting = await daemon.add("here", "echo back");
    expect(await daemon.ok("job", "why", String(waiting))).toContain("quarantined");
    await daemon.ok("machine", "restore", "local");
    expect((await daemon.ended(waiting)).status).toBe("done");
    expect((await machines())[0]).toMatchObject({ state: "free", failures: 0 });
    const unknown = await daemon.j("machine", "restore", "nobody");
    expect(unknown.code).toBe(1);
  });

  test("a busy one that is removed: its job is canceled, killed, and the machine is gone", async () => {
    const jid = await daemon.add("here", `${writePid("pid")}; sleep 60`);
    const pid = await pidIn("pid");
    expect((await daemon.j("machine", "rm", "-m", "local")).code).toBe(0);
    const job = await daemon.ended(jid);
    expect(job.status).toBe("canceled");
    await waitFor(() => !isAlive(pid));
    await waitFor(async () => (await machines()).length === 0, { everyMs: 50 });
  });

  test("one that is moved keeps its running job, then serves its new class", async () => {
    const go = file("go");
    const running = await daemon.add("here", `while ! [ -e '${go}' ]; do sleep 0.02; done`);
    await daemon.untilStatus(running, "running");
    const later = await daemon.add("there", "echo moved");
    await daemon.ok("machine", "mv", "-m", "local", "there");
    expect((await machines())[0]).toMatchObject({ class: "there", state: "busy", running });
    writeFileSync(go, "");
    expect((await daemon.ended(running)).status).toBe("done");
    expect((await daemon.ended(later)).status).toBe("done");
    await daemon.ok("machine", "mv", "-c", "there", "third");
    expect((await machines()).map((machine) => machine.class)).toEqual(["third"]);
  });
});

test("job wait: 0 when all are done, 1 when one is not, 124 at the timeout, 1 for a job that is not there", async () => {
  const done = await daemon.add("here", "true");
  const failed = await daemon.add("here", "exit 2");
  const never = await daemon.add("nowhere", "true");
  const codeOf = async (...ids: number[]) => (await daemon.j("job", "wait", ...ids.map(String), "--timeout", "1s")).code;
  await daemon.ended(failed);
  expect([await codeOf(done), await codeOf(done, failed), await codeOf(done, never), await codeOf(999)]).toEqual([0, 1, 124, 1]);
});

test("hold keeps a job from starting, unhold lets it go", async () => {
  const blocker = await daemon.add("here", `while ! [ -e '${file("go")}' ]; do sleep 0.02; done`);
  const held = await daemon.add("here", "echo held");
  const other = await daemon.add("here", "echo other");
  await daemon.ok("job", "hold", String(held));
  writeFileSync(file("go"), "");
  await daemon.ended(blocker);
  expect((await daemon.ended(other)).status).toBe("done");
  expect((await daemon.show(held)).status).toBe("held");
  await daemon.ok("job", "unhold", String(held));
  expect((await daemon.ended(held)).status).toBe("done");
});

test("job log -t follows a running job from the beginning to its end, and then ends with 0", async () => {
  const jid = await daemon.add("here", `echo first; while ! [ -e '${file("go")}' ]; do sleep 0.02; done; printf 'last, without a newline'`);
  const child = Bun.spawn([daemon.binary.j, "job", "log", "-t", String(jid)], {
    cwd: daemon.folder,
    env: daemon.environment,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let seen = "";
  const reading = (async () => {
    for await (const chunk of child.stdout) seen += Buffer.from(chunk).toString();
  })();
  await waitFor(() => seen === "first\n", { what: () => seen });
  writeFileSync(file("go"), "");
  await reading;
  expect([seen, await child.exited]).toEqual(["first\nlast, without a newline", 0]);
});

test("a job is given its EXPJOB_ variables, the caller's umask and default signals, /dev/null as stdin, and nothing of BUN_* or ours", async () => {
  await using own = await TestDaemon.start({
    environment: { BUN_BE_SOMETHING: "1", KEPT: "yes" },
    // As nohup, a careless parent and a low limit would leave it. Not exec: the limit is read from the caller.
    prefix: ["/bin/sh", "-c", 'umask 027; ulimit -Sn 512; trap "" HUP PIPE USR1; "$@"; exit $?', "sh"],
  });
  await own.ok("machine", "add", "local/x", "here");
  await own.ok("var", "set", "DEPTH", "3 4");
  const job = await own.ended(
    await own.add(
      "here",
      "echo {DEPTH} >/dev/null; umask; ulimit -Sn; readlink /proc/self/fd/0; grep SigIgn /proc/self/status; env | grep -E '^(EXPJOB_[^E]|BUN|KEPT)' | sort; pwd",
    ),
  );
  const lines = own.output(job).trimEnd().split("\n");
  expect(lines.slice(0, 4)).toEqual(["0027", "512", "/dev/null", expect.stringMatching(/^SigIgn:\s0+$/)]);
  expect(lines.slice(4)).toEqual([
    "EXPJOB_ATTEMPT=1",
    "EXPJOB_CLASS=here",
    "EXPJOB_JID=0",
    "EXPJOB_MACHINE=local/x",
    "EXPJOB_MATRIX=",
    "EXPJOB_VAR_DEPTH=3 4",
    "KEPT=yes",
    own.folder,
  ]);
});

test("--json has exactly the keys of the contract", async () => {
  const { jids } = await daemon.json<{ jids: number[] }>("job", "add", "here", "exit 3", "-x", "2");
  expect(jids).toEqual([0, 1]);
  await daemon.ended(1);
  const [job] = await daemon.json<object[]>("job", "show", "1");
  expect(Object.keys(job ?? {})).toEqual(
    "jid kind status class cmd cmds command_line machine matrix tag attempt retry_of retried_by variables cp_results results results_path files exit_code signal error warning log err_log timeout notify created started ended duration".split(
      " ",
    ),
  );
  expect(Object.keys((await machines())[0] ?? {})).toEqual("addr class state running failures reason since".split(" "));
  const matrix = await daemon.json<object>("job", "matrix", "add", "none", "{A}", "A=1,2");
  expect(matrix).toEqual({ id: 2, jids: [3, 4] });
  const refused = await daemon.j("job", "show", "99", "--json");
  expect([refused.code, refused.stdout.trim()]).toEqual([1, "[]"]);
  expect(JSON.parse(refused.stderr)).toEqual({
    error: { code: expect.any(String), message: expect.any(String), hint: expect.any(String) },
  });
  expect(Object.keys((JSON.parse(refused.stderr) as { error: object }).error)).toEqual(["code", "message", "hint"]);
});

describe("the server", () => {
  test("answers ping with its version and the time it took, status with where everything is, and stops cleanly", async () => {
    expect(await daemon.ok("ping")).toMatch(/\d+\.\d+\.\d+.*\d/);
    const status = await daemon.ok("status");
    for (const part of [String(daemon.pid), daemon.address, daemon.stateDir, daemon.logDir, join(daemon.stateDir, "token")])
      expect(status).toContain(part);
    const stopped = await run([daemon.binary.expjobserver, "stop"], { cwd: daemon.folder, env: daemon.environment });
    expect(stopped.code).toBe(0);
    expect((await daemon.j("ping")).code).toBe(3);
    const nothing = await run([daemon.binary.expjobserver, "stop"], { cwd: daemon.folder, env: daemon.environment });
    expect(nothing.code).toBe(3);
    expect((await daemon.j("status")).code).toBe(3);
  });

  test("--detach: 0 once it answers, with process, address and log; it outlives its caller, whose umask and limits its jobs get", async () => {
    await using own = await TestDaemon.prepare();
    const start = [
      "/bin/sh",
      "-c",
      'umask 026; ulimit -Sn 400; "$@"; exit $?',
      "sh",
      own.binary.expjobserver,
      ...own.serveWords(["--detach"]),
    ];
    const started = await run(start, { cwd: own.folder, env: own.environment });
    expect([started.code, started.stderr]).toEqual([0, ""]);
    const pid = Number(/process (\d+)/.exec(started.stdout)?.[1]);
    for (const part of [own.address, own.logDir]) expect(started.stdout).toContain(part);
    expect(isAlive(pid)).toBe(true);
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    expect(Number(stat.slice(stat.lastIndexOf(") ") + 2).split(" ")[3])).toBe(pid);
    await own.ok("machine", "add", "local", "here");
    const job = await own.ended(await own.add("here", "umask; ulimit -Sn; ulimit -Hn; env | grep EXPJOBSERVER_CALLER; pwd"));
    expect(own.output(job)).toBe(`0026\n400\n${hardLimit()}\n${own.folder}\n`);
    expect(readFileSync(join(own.logDir, "server.log"), "utf8")).toContain(`process ${pid}`);

    const second = await run(start, { cwd: own.folder, env: own.environment });
    expect(second.code).toBe(5);
    expect(second.stderr).toContain(`process ${pid}`);
    expect((await run([own.binary.expjobserver, "stop"], { cwd: own.folder, env: own.environment })).code).toBe(0);
    await waitFor(() => !isAlive(pid));
  });
});

function hardLimit(): string {
  return /^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"))?.[1] ?? "";
}
