/**
 * The author of a job as an attacker. A local job runs as the server's own user, so it can write wherever the server
 * can; it may spoil its own record with that, but it must not stop the server, free a machine that it occupies, make
 * itself impossible to cancel, or reach beyond its own session.
 */
import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { markedProcesses, TestDaemon } from "../support/daemon.ts";
import { waitFor } from "../support/wait-for.ts";
import { report } from "./forms.ts";

/** In the job's shell: its run directory, its logs, its supervisor. */
const PLACES = (daemon: TestDaemon): string =>
  `D=$(find '${daemon.stateDir}/runs' -type d -name "$EXPJOB_JID.*"); L=$(readlink /proc/$$/fd/1); E=$(readlink /proc/$$/fd/2)`;

/** What a job does to what is ours before it ends, with or without its supervisor. */
const SPOILING: Readonly<Record<string, string>> = {
  "its log is a FIFO": 'rm "$L" "$E"; mkfifo "$L" "$E"',
  "its log is a link to an endless file": 'rm "$L"; ln -s /dev/zero "$L"',
  "its log is a folder": 'rm "$L"; mkdir "$L"',
  "its log is a link into nowhere": 'rm "$L"; ln -s /nonexistent/x "$L"',
  "its run file is a FIFO": 'rm "$D/run"; mkfifo "$D/run"',
  "its run file is a folder": 'rm "$D/run"; mkdir "$D/run"',
  "its run file is a link to an endless file": 'rm "$D/run"; ln -s /dev/zero "$D/run"',
  "its run file is a link into nowhere": 'rm "$D/run"; ln -s /nonexistent/x "$D/run"',
  "its run file is of a gigabyte": 'truncate -s 1G "$D/run"',
  "its run file is gone": 'rm "$D/run"',
  "its run file is empty": ': >"$D/run"',
  "its run file ends otherwise": 'echo "exit 0 ${D##*/} end" >>"$D/run"',
  "its run file says that nobody has it": 'echo "withdrawn ${D##*/} end" >"$D/run"',
  "its run file names the first process": 'echo "begin 1 0 $(cat /proc/sys/kernel/random/boot_id) ${D##*/} end" >"$D/run"',
  "its run directory is gone": 'rm -rf "$D"',
  "its run directory is a link": 'mv "$D" "$D.x"; ln -s /etc "$D"',
};

test("a job that spoils its log or run directory stops neither the server nor the queue, with or without its supervisor, also over a restart", async () => {
  const startedAt = performance.now();
  await using daemon = await TestDaemon.start();
  const names = Object.keys(SPOILING);
  const machines = names.flatMap((_, index) => [`local/${index}a`, `local/${index}b`]);
  // Each on machines of its own: one that never ends would hold up the next.
  for (const [index] of names.entries()) await daemon.ok("machine", "add", `local/${index}a`, `local/${index}b`, `c${index}`);
  await daemon.ok("machine", "add", "local/honest", "honest");
  const jids: number[] = [];
  for (const [index, name] of names.entries()) {
    const spoil = `${PLACES(daemon)}; ${SPOILING[name]}`;
    jids.push(await daemon.add(`c${index}`, `${spoil}; exit 7`));
    jids.push(await daemon.add(`c${index}`, `${spoil}; kill -9 $PPID; exit 7`));
  }
  const started = async (): Promise<boolean> => (await daemon.jobs("0-1000")).every((job) => job.status !== "waiting");
  await waitFor(started, { timeoutMs: 20_000, everyMs: 100 });
  const honest = async (): Promise<string> => (await daemon.ended(await daemon.add("honest", "echo fine"))).status;
  expect(await honest()).toBe("done");
  await daemon.ok("job", "log", "0-1000");
  await daemon.kill();
  await daemon.start();
  expect(await honest()).toBe("done");
  // None claims a success that it did not have, and all can be got rid of.
  const claimed = (await daemon.jobs("0-1000")).filter((job) => jids.includes(job.jid) && job.status === "done").map(({ jid }) => jid);
  const ended = (await daemon.jobs("0-1000")).filter((job) => job.status !== "running" && jids.includes(job.jid));
  await Promise.all(ended.map(async ({ jid }) => await daemon.j("job", "log", "-t", String(jid))));
  await daemon.j("job", "rm", "0-1000");
  const open = async (): Promise<number[]> =>
    (await daemon.jobs("0-1000")).filter((job) => ["running", "unknown", "waiting"].includes(job.status)).map(({ jid }) => jid);
  let left: number[] = [];
  const isEmpty = async (): Promise<boolean> => {
    left = await open();
    if (left.length > 0) await daemon.j("job", "rm", ...left.map(String));
    return left.length === 0;
  };
  await waitFor(isEmpty, { timeoutMs: 20_000, everyMs: 200, what: () => left.map((jid) => `${jid}: ${names[jid >> 1]}`).join("; ") });
  expect(await honest()).toBe("done");
  // Who kills the supervisor after having written its line has chosen its own exit code, as `exit 0` does.
  const forged = names.indexOf("its run file ends otherwise") * 2 + 1;
  expect(claimed.filter((jid) => jid !== jids[forged])).toEqual([]);
  expect(readFileSync("/etc/passwd", "latin1")).not.toBe("");
  report({
    name: "hostile-job",
    count: jids.length,
    violations: 0,
    seed: null,
    seconds: (performance.now() - startedAt) / 1_000,
    note: `${machines.length} machines, two starts`,
  });
}, 120_000);

test("a job that writes an exit of its own keeps its machine until it has ended, also over a restart", async () => {
  await using daemon = await TestDaemon.start();
  await daemon.ok("machine", "add", "local", "x");
  const go = join(daemon.folder, "go");
  const jid = await daemon.add(
    "x",
    `${PLACES(daemon)}; echo "exit 0 \${D##*/} end" >>"$D/run"; touch '${go}.begun'; while ! [ -e '${go}' ]; do sleep 0.05; done; exit 9`,
  );
  await waitFor(async () => await Bun.file(`${go}.begun`).exists());
  const next = await daemon.add("x", "true");
  await daemon.kill();
  await daemon.start();
  expect((await daemon.untilStatus(jid, "running")).exit_code).toBeNull();
  expect((await daemon.show(next)).status).toBe("waiting");
  writeFileSync(go, "");
  expect(await daemon.ended(jid)).toMatchObject({ status: "failed", exit_code: 9 });
  expect((await daemon.ended(next)).status).toBe("done");
}, 120_000);

test("links and FIFOs that somebody has put in the place of the next logs are passed over, and a folder where others can is warned of", async () => {
  await using daemon = await TestDaemon.prepare();
  mkdirSync(daemon.logDir);
  chmodSync(daemon.logDir, 0o777);
  const victim = join(daemon.folder, "victim");
  writeFileSync(victim, "precious\n");
  symlinkSync(victim, join(daemon.logDir, "0-echo_hi"));
  symlinkSync(join(daemon.folder, "not-there-yet"), join(daemon.logDir, "1-echo_hi"));
  spawnSync("mkfifo", [join(daemon.logDir, "2-echo_hi")]);
  symlinkSync("/dev/full", join(daemon.logDir, "3-echo_hi.err"));
  await daemon.start();
  expect(daemon.stderr).toContain("is writable by every user of this host");
  await daemon.ok("machine", "add", "local", "x");
  await daemon.ok("job", "add", "x", "echo hi", "-x", "4");
  for (const jid of [0, 1, 2, 3]) {
    const job = await daemon.ended(jid);
    expect({ jid, status: job.status, output: daemon.output(job) }).toEqual({ jid, status: "done", output: "hi\n" });
  }
  expect(readFileSync(victim, "utf8")).toBe("precious\n");
  expect(existsSync(join(daemon.folder, "not-there-yet"))).toBe(false);
}, 120_000);

test("names of ours in a job's environment, shell or words change nothing of the server's, and what the job starts in a session of its own is its own", async () => {
  await using daemon = await TestDaemon.start({ environment: { EXPJOB_COMMAND: "echo owned", EXPJOB_JID: "999", EXPJOB_VAR_SECRET: "x" } });
  await daemon.ok("machine", "add", "local", "x");
  await daemon.ok("var", "set", "EVIL", "'; echo owned; '");
  const spoofed = await daemon.add("x", "EXPJOB_JID=0; export EXPJOB_JID EXPJOB_SUPERVISOR_STATUS=0; set -C; trap '' TERM; exit 5");
  expect(await daemon.ended(spoofed)).toMatchObject({ status: "failed", exit_code: 5 });
  const environment = await daemon.ended(await daemon.add("x", "env; echo jid=$EXPJOB_JID"));
  expect(daemon.output(environment)).not.toContain("owned");
  expect(daemon.output(environment)).not.toContain("EXPJOB_SUPERVISOR");
  expect(daemon.output(environment)).toContain(`jid=${environment.jid}\n`);
  expect(daemon.output(environment)).not.toContain("EXPJOB_VAR_SECRET");
  // Escaped on purpose: the job has ended, and the machine is free. The manual says so.
  const escaped = await daemon.ended(await daemon.add("x", "setsid sleep 300 & exit 0"));
  expect(escaped.status).toBe("done");
  expect((await daemon.ended(await daemon.add("x", "true"))).status).toBe("done");
  const left = markedProcesses(daemon.folder).filter((pid) => readFileSync(`/proc/${pid}/cmdline`, "latin1").startsWith("sleep\0" + "300"));
  expect(left.length).toBe(1);
  for (const pid of left) process.kill(pid, "SIGKILL");
}, 120_000);
