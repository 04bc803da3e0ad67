/**
 * The README of the system this one grew from, typed command by command as its users know it. What it shows is what
 * they see here: ids, states, logs with telling names, a matrix of 36. Needs sshd.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type JobJson, startMachines, TestDaemon, type TestMachines } from "../support/daemon.ts";
import { sshdAvailable } from "../support/sshd.ts";
import { waitFor } from "../support/wait-for.ts";

/** The lab's program: it is given the words of a job and says where its results are on the machine. */
const DRIVER = `#!/bin/sh
echo "driver: $*"
case "$1" in
  bar|my-experiment-cmd)
    name=$(echo "$*" | tr ' ' '_')
    echo "$*" >"$HOME_OF_MACHINE/$EXPJOB_JID-$name.out"
    echo "RESULTS: $HOME_OF_MACHINE/$EXPJOB_JID-"
    ;;
  slow) echo working; while ! [ -e "$HOME_OF_MACHINE/go" ]; do sleep 0.02; done ;;
esac
`;

let machines: TestMachines;
let daemon: TestDaemon;
let addr: string;
let driver: string;
const available = sshdAvailable();

beforeAll(async () => {
  if (!available) return;
  machines = await startMachines(1);
  daemon = await TestDaemon.prepare({ machines: machines.all, environment: { HOME_OF_MACHINE: machines.home(0) } });
  [addr = ""] = machines.addresses;
  driver = join(daemon.folder, "driver");
  writeFileSync(driver, DRIVER);
  chmodSync(driver, 0o755);
  writeFileSync(join(daemon.folder, "log4rs.yaml"), "refresh_rate: 30 seconds\n");
});
afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  await machines?.[Symbol.asyncDispose]();
});

/** The old call, from a shell, with the words as the README has them. */
async function oldCall(...words: readonly string[]): Promise<{ stop(): Promise<number>; said(): string }> {
  const errors = join(daemon.folder, `old-call-${words.length}.err`);
  writeFileSync(errors, "");
  const child = Bun.spawn([daemon.binary.expjobserver, ...words], {
    cwd: daemon.folder,
    env: daemon.environment,
    stdio: ["ignore", Bun.file(errors), Bun.file(errors)],
  });
  await waitFor(async () => child.exitCode !== null || (await daemon.j("ping")).code === 0, {
    what: () => readFileSync(errors, "utf8"),
    timeoutMs: 20_000,
  });
  if (child.exitCode !== null) throw new Error(`the old call ended with ${child.exitCode}: ${readFileSync(errors, "utf8")}`);
  return {
    said: () => readFileSync(errors, "utf8"),
    stop: async () => {
      child.kill("SIGTERM");
      return await child.exited;
    },
  };
}

test.skipIf(!available)(
  "the quick tour of the old README works as it is written (SKIPPED without sshd)",
  async () => {
    const logs = join(daemon.folder, "logs");
    const yaml = join(daemon.folder, "log4rs.yaml");

    // With two positionals, and with three: the logging configuration of old is accepted, with a word.
    const two = await oldCall(driver, logs, "--address", daemon.address, "--ssh-config", daemon.sshConfig);
    expect(two.said()).toContain("--runner-arg --print_results_path");
    expect(await two.stop()).toBe(0);
    const server = await oldCall(driver, logs, yaml, "--allow_snap_fail", "--address", daemon.address, "--ssh-config", daemon.sshConfig);
    expect(server.said()).toContain("log4rs.yaml");

    expect((await daemon.ok("--help")).split("\n").length).toBeGreaterThan(10);
    expect((await daemon.ok("machine", "ls")).trim()).toMatch(/^$|No machines/i);

    const setup = await daemon.ok(
      "machine",
      "setup",
      "--class",
      "foo",
      "-m",
      addr,
      "--",
      "setup-the-thing {MACHINE} --flag --blah",
      "another-setup-command",
    );
    expect(setup).toContain("0");
    const listed = await daemon.ok("job", "ls");
    expect(listed).toContain("setup-the-thing {MACHINE} --flag --blah");

    const results = join(daemon.folder, "path/to/results/dir");
    expect(await daemon.ok("job", "add", "foo", "bar --the --foo baz", results, "-x", "3", "-q")).toBe("1\n2\n3");
    expect((await daemon.j("job", "wait", "0-3", "--timeout", "30s")).code).toBe(0);

    const jobs = await daemon.jobs("0-3");
    expect(jobs.map((job) => [job.jid, job.status, job.class, job.machine])).toEqual([
      [0, "done", "foo", addr],
      [1, "done", "foo", addr],
      [2, "done", "foo", addr],
      [3, "done", "foo", addr],
    ]);
    expect(await daemon.ok("machine", "ls")).toContain("foo");
    for (const jid of [1, 2, 3]) {
      const copied = readdirSync(results).filter((name) => name.startsWith(`${jid}-`));
      expect(copied).toEqual([`${jid}-bar_--the_--foo_baz.out`]);
      expect(readFileSync(join(results, copied[0] ?? ""), "utf8")).toBe("bar --the --foo baz\n");
    }
    const table = await daemon.ok("job", "ls");
    for (const word of ["Job", "Status", "Class", "Command", "Machine"]) expect(table).toContain(word);
    expect(table).toContain("bar --the --foo baz");

    // The log of the setup job: one a command; the path tells which it is.
    const [first = "", second = ""] = (await daemon.ok("job", "log", "0")).split("\n").map((line) => line.trim());
    expect(first).toContain(join(logs, "0-setup-the-thing_"));
    expect(readFileSync(first, "utf8")).toContain(`driver: setup-the-thing ${addr} --flag --blah`);
    expect(second === "" ? readdirSync(logs).find((name) => name.startsWith("0-another-setup-command")) : basename(second)).toBe(
      "0-another-setup-command",
    );

    const slow = await daemon.add("foo", "slow");
    await daemon.untilStatus(slow, "running");
    const tail = Bun.spawn([daemon.binary.j, "job", "log", "-t", String(slow)], {
      cwd: daemon.folder,
      env: daemon.environment,
      stdio: ["ignore", "pipe", "pipe"],
    });
    writeFileSync(join(machines.home(0), "go"), "");
    expect(await tail.stdout.text()).toContain("driver: slow\nworking\n");
    expect(await tail.exited).toBe(0);

    const answer = await daemon.json<{ id: number; jids: number[] }>(
      "job",
      "matrix",
      "add",
      "foo",
      "my-experiment-cmd --param0 {I} --param1 {J} --param2 {K}",
      join(daemon.folder, "path/to/copy/results/"),
      "I=1,2,3,4",
      "J=linear,quadratic,exotic",
      "K=banana,rockingchair,airplane",
    );
    expect(answer.jids).toHaveLength(36);
    expect((await daemon.j("job", "wait", String(answer.id), "--timeout", "60s")).code).toBe(0);
    const stat = await daemon.ok("job", "matrix", "stat", String(answer.id));
    expect(stat).toContain("36");
    const csv = (await daemon.ok("job", "matrix", "csv", String(answer.id))).split("\n").map((line) => line.trim());
    expect(csv[0]).toStartWith("jid,I,J,K,status,machine,duration,results_path");
    expect(csv).toHaveLength(37);
    expect(csv[1]).toStartWith(`${answer.jids[0]},1,linear,banana,done,`);
    const cells = await daemon.json<JobJson[]>("job", "show", String(answer.id));
    expect(cells[35]?.command_line).toBe("my-experiment-cmd --param0 4 --param1 exotic --param2 airplane");
    expect(cells.every((job) => job.results_path !== null && existsSync(job.results_path))).toBe(true);

    expect(await server.stop()).toBe(0);
  },
  120_000,
);
