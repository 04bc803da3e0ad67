/**
 * Machines as labs have them: homes that are one NFS export, login shells that are no POSIX shell, that talk, go
 * elsewhere or fail at the first error, /tmp without permission to execute, full, read-only and missing homes, and
 * systems that end all processes of a login. Jobs run there once with their true ends, or wait with the reason.
 * Guarantees S1, S3, R4.
 */
import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { markedProcesses, startMachines, TestDaemon, type TestMachines } from "../support/daemon.ts";
import { ledgerLine, ranTwice, readLedger } from "../support/ledger.ts";
import { namespacesMissing } from "../support/namespace.ts";
import { sshdAvailable } from "../support/sshd.ts";
import { waitFor } from "../support/wait-for.ts";
import { count, report, timeoutMs } from "./forms.ts";
import { proxied } from "./proxied.ts";

const CONFIG = '[limits]\nfailures_before_quarantine = 1000000\n[class.lab]\nbackoff = "0.2s"\nbackoff_max = "0.4s"\n';
const withoutSshd = !sshdAvailable();
const missing = withoutSshd ? "there is no sshd" : namespacesMissing();
if (withoutSshd) console.log("\n!!! SKIPPED: odd machines are not tried here: there is no sshd\n");
else if (missing !== null) console.log(`\n!!! SKIPPED: machines with mounts of their own are not tried here: ${missing}\n`);

const SHELLS = ["bash", "dash", "zsh", "fish", "csh", "tcsh", "ksh", "elvish", "busybox"];
const shells = SHELLS.flatMap((name) => Bun.which(name) ?? []);
const shellsMissing = SHELLS.filter((name) => Bun.which(name) === null);
if (shellsMissing.length > 0)
  console.log(`\n!!! SKIPPED: not installed here, and so not tried as login shells: ${shellsMissing.join(" ")}\n`);

/** Text of a program that is executed for each command, in place of the login shell; the command is $SSH_ORIGINAL_COMMAND. */
type Login = string;

const AS_IT_IS: Login = 'exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"';
const LOGINS: Readonly<Record<string, Login>> = {
  ...Object.fromEntries(
    shells.map((shell) => [shell, `exec ${shell}${shell.endsWith("busybox") ? " sh" : ""} -c "$SSH_ORIGINAL_COMMAND"`]),
  ),
  "that prints noise": `echo 'Welcome to the lab! RESULTS: /etc/passwd'; printf 'no newline'; echo warning >&2; head -c 100000 /dev/zero; ${AS_IT_IS}`,
  "that goes elsewhere": `cd /; ${AS_IT_IS}`,
  "that traces and fails at the first error": 'cd /usr; set -eux; eval "$SSH_ORIGINAL_COMMAND"',
  "with aliases and functions for what we use":
    'rc=$(mktemp); printf \'shopt -s expand_aliases; alias mkdir=false rm=false exec=false read=false; function cat { echo no; }; export -f cat; CDPATH=/; IFS=x; set -o noclobber\' >"$rc"; export BASH_ENV=$rc; exec bash -c "$SSH_ORIGINAL_COMMAND"',
  "that exports names of ours": `export EXPJOB_COMMAND=exit EXPJOB_JID=9999 expjob_directory=/ LC_ALL=tr_TR.UTF-8 POSIXLY_CORRECT=1 ENV=/etc/passwd; ${AS_IT_IS}`,
};

test.skipIf(withoutSshd)(
  `${Object.keys(LOGINS).length} kinds of login: the same output, directory, exit code and results as anywhere`,
  async () => {
    const startedAt = performance.now();
    const names = Object.keys(LOGINS);
    const wrong: string[] = [];
    await onMachines(Object.values(LOGINS), async ({ daemon, machines }) => {
      const tried = names.map(async (name, index) => {
        await daemon.ok("machine", "add", machines.at(index).machine, `login${index}`);
        const home = machines.home(index);
        const text = `printf '%s\\n' "it's \\"quoted\\" $EXPJOB_JID"; pwd; echo error >&2; mkdir -p out; echo data >out/file; echo RESULTS: out/file; exit`;
        const failing = await daemon.add(`login${index}`, `${text} 3`);
        const passing = await daemon.add(`login${index}`, `${text} 0`, join(daemon.folder, "results", String(index)));
        const failed = await daemon.ended(failing);
        const passed = await daemon.ended(passing);
        const expected = (jid: number) => `it's "quoted" ${jid}\n${home}\nRESULTS: out/file\n`;
        const result = join(daemon.folder, "results", String(index), "file");
        const seen = [failed.status, failed.exit_code, daemon.output(failed), daemon.output(failed, "err_log")];
        const seenOfPassed = [passed.status, passed.exit_code, daemon.output(passed), existsSync(result) && readFileSync(result, "utf8")];
        if (!Bun.deepEquals(seen, ["failed", 3, expected(failing), "error\n"]))
          wrong.push(`a login ${name}: ${JSON.stringify(seen)} ${failed.error}`);
        if (!Bun.deepEquals(seenOfPassed, ["done", 0, expected(passing), "data\n"]))
          wrong.push(`a login ${name}: ${JSON.stringify(seenOfPassed)} ${passed.error}`);
      });
      await Promise.all(tried);
      if (wrong.length > 0) console.log(`${wrong.join("\n")}\n${daemon.stderr}`);
    });
    const seconds = (performance.now() - startedAt) / 1_000;
    const note = shellsMissing.length === 0 ? "" : `not installed: ${shellsMissing.join(" ")}`;
    report({ name: "logins", count: names.length, violations: wrong.length, seed: null, seconds, note });
    expect(wrong).toEqual([]);
  },
  timeoutMs(60_000),
);

const sharedJobs = count("shared-home", { short: 40, long: 2_000 });
test.skipIf(missing !== null)(
  `${sharedJobs} jobs on machines whose homes are one NFS export, two of them clones of one image: each runs once`,
  async () => {
    const startedAt = performance.now();
    const node = (name: string): Login =>
      `exec unshare -m -u --propagation private sh -c 'echo ${name} >/proc/sys/kernel/hostname; [ ! -e /etc/machine-id ] || mount --bind /dev/null /etc/machine-id; exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"'`;
    const home = mkdtempSync(join(tmpdir(), "expjob-nfs-"));
    let wrong: string[] = [];
    try {
      const logins = ["node1", "node2", "clone", "clone"].map((name) => `export HOME='${home}'; ${node(name)}`);
      await onMachines(logins, async ({ daemon, machines }) => {
        await daemon.ok("machine", "add", ...machines.addresses, "lab");
        const ledger = join(daemon.folder, "ledger");
        const command = `${ledgerLine(ledger, "start")}; uname -n; sleep 0.1; exit 5`;
        const { jids } = await daemon.json<{ jids: number[] }>("job", "add", "lab", command, "-x", String(sharedJobs));
        await daemon.j("job", "wait", ...jids.map(String), "--timeout", `${25 + sharedJobs / 5}s`);
        const jobs = await daemon.jobs(...jids);
        const places = readdirSync(join(home, ".local/state/expjobserver/runs")).toSorted();
        const starts = readLedger(ledger);
        const named = ["node1", "node2", "clone", "clone"];
        wrong = [
          ...ranTwice(starts).map((jid) => `job ${jid} ran twice`),
          ...jobs.filter((job) => job.exit_code !== 5).map((job) => `job ${job.jid} is ${job.status} ${job.exit_code} ${job.error}`),
          ...jobs
            .filter((job) => daemon.output(job) !== `${named[machines.addresses.indexOf(job.machine ?? "")]}\n`)
            .map((job) => `job ${job.jid} has the output of another machine`),
          ...(places.join() === "clone,node1,node2" ? [] : [`run directories by machine: ${places.join(" ")}`]),
        ];
        expect(new Set(jobs.map((job) => job.machine)).size).toBe(4);
        if (wrong.length > 0) console.log(`${wrong.join("\n")}\n${daemon.stderr}`);
      });
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
    report({
      name: "shared-home",
      count: sharedJobs,
      violations: wrong.length,
      seed: null,
      seconds: (performance.now() - startedAt) / 1_000,
    });
    expect(wrong).toEqual([]);
  },
  timeoutMs(60_000),
);

test.skipIf(withoutSshd)(
  "a machine that ends all processes of a login with its connection: unknown with the reason, not run again",
  async () => {
    await onMachines([AS_IT_IS], async ({ daemon, machines }) => {
      const { proxy, machine } = await proxied(daemon, machines.at(0));
      await using _ = proxy;
      await daemon.ok("machine", "add", machine, "lab");
      const ledger = join(daemon.folder, "ledger");
      const jid = await daemon.add("lab", `${ledgerLine(ledger, "start")}; echo begun; exec sleep 1000`, "--retry");
      await waitFor(() => readLedger(ledger).length === 1, { what: () => daemon.stderr });
      await waitFor(async () => (await daemon.show(jid)).started !== null, { what: () => "a start", everyMs: 50 });
      proxy.cut();
      // As systemd-logind does with KillUserProcesses=yes, after the last connection.
      for (const pid of markedProcesses(machines.folder)) process.kill(pid, "SIGKILL");
      const job = await daemon.untilStatus(jid, "unknown");
      expect(job.error).toContain("left no exit code");
      expect((await daemon.ok("job", "show", String(jid))).replaceAll(/\s+/g, " ")).toContain("KillUserProcesses");
      expect(daemon.output(job)).toBe("begun\n");
      // Nothing of it runs any more, which is proven: the machine is free.
      expect((await daemon.ended(await daemon.add("lab", "exit 0"))).status).toBe("done");
      expect(readLedger(ledger)).toHaveLength(1);
      expect(await daemon.show(jid)).toMatchObject({ status: "unknown", retried_by: null });
    });
  },
  120_000,
);

test.skipIf(missing !== null)(
  "/tmp without permission to execute is no matter",
  async () => {
    const login = `exec unshare -m --propagation private sh -c 'mount --bind /tmp /tmp && mount -o remount,bind,noexec /tmp && exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"'`;
    await onMachines([login], async ({ daemon, machines }) => {
      await daemon.ok("machine", "add", machines.at(0).machine, "lab");
      const probe = `${machines.folder}/program`;
      writeFileSync(probe, "#!/bin/sh\nexit 0\n", { mode: 0o755 });
      const isNoexec = machines.folder.startsWith("/tmp/");
      const job = await daemon.ended(
        await daemon.add("lab", `'${probe}' || echo noexec; seq 3 >result; echo RESULTS: result`, join(daemon.folder, "here")),
      );
      expect([job.status, daemon.output(job)]).toEqual(["done", `${isNoexec ? "noexec\n" : ""}RESULTS: result\n`]);
      expect(job.files?.[0]?.sha256).toBe(createHash("sha256").update("1\n2\n3\n").digest("hex"));
    });
  },
  120_000,
);

test.skipIf(missing !== null)(
  "a full, a read-only and a missing home: the job waits with the reason, and runs when it is mended",
  async () => {
    await onMachines([AS_IT_IS, AS_IT_IS, `export HOME=/proc/no/home; ${AS_IT_IS}`], async ({ daemon, machines }) => {
      const [full, readOnly] = [machines.home(0), machines.home(1)];
      for (const [index, name] of ["full", "read-only", "missing"].entries())
        await daemon.ok("machine", "add", machines.at(index).machine, name);
      await using _ = mounted(full, ["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=64", "none", full]);
      Bun.spawnSync(["sh", "-c", `cat /dev/zero >'${full}/filler'`]);
      await using __ = mounted(readOnly, [
        "sh",
        "-c",
        `mount --bind '${readOnly}' '${readOnly}' && mount -o remount,bind,ro '${readOnly}'`,
      ]);
      const jids = await Promise.all(["full", "read-only", "missing"].map((name) => daemon.add(name, "pwd; exit 6")));
      const said = [/no space|space left|is full/i, /read-only/i, /\/proc\/no\/home/];
      for (const [index, jid] of jids.entries()) {
        await waitFor(async () => said[index]?.test(await daemon.ok("job", "why", String(jid))) === true, {
          what: () =>
            `a reason for job ${jid}: ${Bun.spawnSync([daemon.binary.j, "job", "why", String(jid)], { env: daemon.environment }).stdout}`,
          everyMs: 100,
        });
        const job = await daemon.show(jid);
        expect([job.status, job.exit_code]).toEqual(["waiting", null]);
      }
      rmSync(join(full, "filler"));
      must("mount", "-o", "remount,bind,rw", readOnly);
      for (const [index, home] of [full, readOnly].entries()) {
        await mended(daemon, machines.at(index).machine);
        const job = await daemon.ended(jids[index] ?? -1);
        expect([job.status, job.exit_code, daemon.output(job)]).toEqual(["failed", 6, `${home}\n`]);
      }
      await daemon.ok("job", "rm", String(jids[2]));
    });
  },
  120_000,
);

/** A person looks at the machine, as the hint says. */
async function mended(daemon: TestDaemon, machine: string): Promise<void> {
  await waitFor(async () => (await daemon.j("machine", "check", machine)).code === 0, { what: () => daemon.stderr, everyMs: 100 });
  const all = await daemon.json<{ addr: string; state: string }[]>("machine", "ls");
  if (all.find(({ addr }) => addr === machine)?.state === "quarantined") await daemon.ok("machine", "restore", machine);
}

interface Lab {
  readonly daemon: TestDaemon;
  readonly machines: TestMachines;
}

/** A server and one machine for each login. */
async function onMachines(logins: readonly Login[], work: (lab: Lab) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "expjob-logins-"));
  try {
    // One sshd_config for all of them: which machine it is says the address that was connected to.
    const script = (name: string, text: string): void => {
      writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`);
      chmodSync(join(folder, name), 0o755);
    };
    script("login", `set -- $SSH_CONNECTION; exec '${folder}'/login-$3`);
    for (const [index, login] of logins.entries()) script(`login-127.0.0.${index + 2}`, login);
    await using machines = await startMachines(logins.length, [`ForceCommand ${join(folder, "login")}`]);
    await using daemon = await TestDaemon.start({ machines: machines.all, config: CONFIG });
    await work({ daemon, machines });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function mounted(folder: string, words: readonly string[]): AsyncDisposable {
  mkdirSync(folder, { recursive: true });
  must(...words);
  return {
    [Symbol.asyncDispose]: async () => {
      await waitFor(() => Bun.spawnSync(["umount", "-l", folder]).exitCode === 0, { what: () => `umount ${folder}` });
    },
  };
}

function must(...words: readonly string[]): void {
  const { exitCode, stderr } = Bun.spawnSync([...words]);
  if (exitCode !== 0) throw new Error(`${words.join(" ")}: ${stderr.toString()}`);
}
