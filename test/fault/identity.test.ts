/**
 * Whose process is it? While no server looks, the supervisor of a run dies and another process gets its number; or the
 * machine is rebooted, and even a process of the same number and start time is not ours. No such process is taken for
 * the run, none is signaled, and no run that a reboot wiped out is begun again. Guarantees S1, R3, R4.
 */
import { expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type JobJson, startMachines, TestDaemon, type TestMachines } from "../support/daemon.ts";
import { ledgerLine, readLedger } from "../support/ledger.ts";
import { childrenOf, Namespace, namespacesMissing } from "../support/namespace.ts";
import { exitCodeIn, supervisorPidIn } from "../support/run-file.ts";
import { sshdAvailable } from "../support/sshd.ts";
import { waitFor } from "../support/wait-for.ts";
import { count, report, timeoutMs } from "./forms.ts";
import { proxied } from "./proxied.ts";

const CONFIG = '[limits]\nkill_grace = "10m"\nfailures_before_quarantine = 1000000\n';
const KINDS = ["another process", "another process, stop asked for", "another boot", "another boot, stop asked for"] as const;
const missing =
  namespacesMissing(["pkill", "setsid"]) ?? (existsSync("/proc/sys/kernel/ns_last_pid") ? null : "the kernel lets nobody choose a pid");
if (missing !== null) console.log(`\n!!! SKIPPED: process numbers and boot ids are not tried here: ${missing}\n`);
const missingOverSsh = missing ?? (sshdAvailable() ? null : "there is no sshd");
if (missing === null && missingOverSsh !== null) console.log(`\n!!! SKIPPED: not tried over SSH: ${missingOverSsh}\n`);

/** A server and one machine, whose processes are in a namespace of their own. */
interface Lab {
  readonly daemon: TestDaemon;
  readonly namespace: Namespace;
  /** Somewhere below are the run directories. */
  readonly runs: string;
  readonly killServer: () => Promise<void>;
}

for (const where of ["this host", "a machine over SSH"] as const) {
  const rounds = count(where === "this host" ? "identity" : "identity-ssh", { short: 8, long: 400 });
  test.skipIf((where === "this host" ? missing : missingOverSsh) !== null)(
    `${rounds} times a process that has what the supervisor's had, on ${where}: never taken for it, never signaled`,
    async () => {
      const startedAt = performance.now();
      await using namespace = await Namespace.start("processes");
      let violations = 0;
      const rest = async (lab: Lab): Promise<void> => {
        for (let round = 0; round < rounds; round++) violations += await impostor(lab, KINDS[round % KINDS.length] ?? KINDS[0]);
      };
      if (where === "this host") await onThisHost(namespace, rest);
      else await overSsh(namespace, rest);
      const name = where === "this host" ? "identity" : "identity-ssh";
      report({ name, count: rounds, violations, seed: null, seconds: (performance.now() - startedAt) / 1_000 });
      expect(violations).toBe(0);
    },
    timeoutMs(120_000),
  );
}

test.skipIf(missing !== null)(
  "a job that ended before a reboot, whose log may lack its end, is not taken for one without results",
  async () => {
    await using namespace = await Namespace.start("processes");
    await onThisHost(namespace, async ({ daemon, killServer }) => {
      const results = join(daemon.folder, "results");
      const made = join(daemon.folder, "out.txt");
      writeFileSync(made, "result\n");
      const go = join(daemon.folder, "go");
      const gate = `while ! [ -e '${go}' ]; do sleep 0.05; done`;
      const silent = await daemon.add("lab", `${gate}; echo all that is left`, results);
      await untilStarted(daemon, silent);
      await killServer();
      writeFileSync(go, "");
      await waitFor(() => endedRuns(daemon.stateDir).length === 1, { what: () => "an end" });
      namespace.newBoot();
      await daemon.start();
      const lost = await daemon.ended(silent);
      expect([lost.status, lost.exit_code]).toEqual(["failed", 0]);
      expect(lost.error).toContain("was rebooted after its end");
      expect(daemon.output(lost)).toBe("all that is left\n");
      rmSync(go);
      const named = await daemon.add("lab", `${gate}; echo 'RESULTS: ${made}'`, results);
      await untilStarted(daemon, named);
      await killServer();
      writeFileSync(go, "");
      await waitFor(() => endedRuns(daemon.stateDir).length === 2, { what: () => "an end" });
      namespace.newBoot();
      await daemon.start();
      expect((await daemon.ended(named)).status).toBe("done");
      expect(readFileSync(join(results, "out.txt"), "utf8")).toBe("result\n");
    });
  },
  120_000,
);

const cuts = count("machine-power-cut", { short: 4, long: 100 });
test.skipIf(missingOverSsh !== null)(
  `${cuts} power cuts of a machine that lose the run directory of a start whose answer never came: not begun again`,
  async () => {
    const startedAt = performance.now();
    await using namespace = await Namespace.start("processes");
    let violations = 0;
    await overSsh(namespace, async ({ daemon, runs, killServer }, machines) => {
      const { proxy, machine } = await proxied(daemon, machines.at(0));
      await using _ = proxy;
      await daemon.ok("machine", "add", machine, "cut");
      const ledger = join(daemon.folder, "ledger");
      for (let cut = 0; cut < cuts; cut++) {
        // Either the server knows this boot of the machine from an earlier job, or learns it with this start.
        const isFresh = cut % 2 === 1;
        if (isFresh) {
          await killServer();
          await daemon.start();
        } else await daemon.ended(await daemon.add("cut", "true"));
        proxy.muteAfterBytesToTarget = proxy.bytesToTarget + (isFresh ? 50_000 : 1);
        const jid = await daemon.add("cut", `: ${"x".repeat(60_000)}\n${ledgerLine(ledger, "start")}; exec sleep 1000`);
        await waitFor(() => readLedger(ledger).some((line) => line.jid === jid), { what: () => daemon.stderr, timeoutMs: 20_000 });
        expect((await daemon.show(jid)).started).toBeNull();
        if (cut % 4 >= 2) await killServer();
        powerCut(namespace, runs);
        proxy.muteAfterBytesToTarget = null;
        proxy.cut();
        if (cut % 4 >= 2) await daemon.start();
        await daemon.j("machine", "check", machine);
        const job = await daemon.untilStatus(jid, "unknown");
        const starts = readLedger(ledger).filter((line) => line.jid === jid).length;
        if (starts !== 1 || !job.error?.includes("rebooted")) {
          violations += 1;
          console.log(`job ${jid} began ${starts} times: ${job.status} ${job.error}`);
        }
      }
    });
    report({ name: "machine-power-cut", count: cuts, violations, seed: null, seconds: (performance.now() - startedAt) / 1_000 });
    expect(violations).toBe(0);
  },
  timeoutMs(120_000),
);

async function impostor({ daemon, namespace, runs, killServer }: Lab, kind: (typeof KINDS)[number]): Promise<number> {
  const jid = await daemon.add("lab", "trap '' TERM; exec sleep 1000");
  await untilStarted(daemon, jid);
  const [directory = ""] = runDirectories(runs).filter((path) => path.includes(`/${jid}.0.`));
  const pid = supervisorPidIn(directory);
  const isStopped = kind.endsWith("stop asked for");
  if (isStopped) await daemon.ok("job", "rm", String(jid));
  await killServer();
  if (kind.startsWith("another boot")) namespace.newBoot();
  else await giveAway(namespace, pid);
  await daemon.start();
  const wanted = isStopped ? "canceled" : "unknown";
  const found = await daemon.untilStatus(jid, wanted);
  if (!isStopped) await daemon.ok("job", "rm", String(jid));
  // Whoever would be signaled by mistake is signaled by now: the machine is given to the next job only afterwards.
  expect((await daemon.ended(await daemon.add("lab", "exit 0"))).status).toBe("done");
  const lives = namespace.run(`kill -0 ${pid} 2>/dev/null && echo alive || true`) === "alive";
  const isSaid = isStopped || (found.error ?? "").includes(kind.startsWith("another boot") ? "rebooted" : "left no exit code");
  namespace.run(`pkill -KILL -s ${pid}; true`);
  if (!lives || !isSaid) console.log(`${kind}: job ${jid}: ${lives ? "alive" : "the process was killed"}, ${found.status}: ${found.error}`);
  return lives && isSaid ? 0 : 1;
}

/** The supervisor and all of its session die, and a session of somebody else gets its number. */
async function giveAway(namespace: Namespace, pid: number): Promise<void> {
  namespace.run(`pkill -KILL -s ${pid}`);
  await waitFor(() => namespace.run(`[ -e /proc/${pid} ] && echo there || true`) === "", { what: () => `the end of ${pid}` });
  await waitFor(
    () => {
      const got = namespace.run(
        `echo ${pid - 1} >/proc/sys/kernel/ns_last_pid; setsid sh -c 'sleep 1000 & wait' </dev/null >/dev/null 2>&1 & echo $!`,
      );
      if (got !== String(pid)) namespace.run(`pkill -KILL -s ${got}; true`);
      return got === String(pid);
    },
    { what: () => `a process of the number ${pid}`, everyMs: 20 },
  );
}

/** All of its processes and whatever was not synced. */
function powerCut(namespace: Namespace, runs: string): void {
  namespace.run("kill -KILL -1 2>/dev/null; true");
  for (const path of runDirectories(runs)) rmSync(path, { recursive: true, force: true });
  namespace.newBoot();
}

async function untilStarted(daemon: TestDaemon, jid: number): Promise<JobJson> {
  const what = () => `a start: ${daemon.stderr}`;
  await waitFor(async () => (await daemon.show(jid)).started !== null, { what, everyMs: 30, timeoutMs: 20_000 });
  return await daemon.show(jid);
}

function runDirectories(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const found = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return found.filter((path) => /(^|\/)\d+\.0\.[0-9a-z]+$/.test(path)).map((path) => join(folder, path));
}

function endedRuns(folder: string): string[] {
  return runDirectories(folder).filter((path) => exitCodeIn(path) !== null);
}

/** The server and its jobs live in the namespace. */
async function onThisHost(namespace: Namespace, work: (lab: Lab) => Promise<void>): Promise<void> {
  await using daemon = await TestDaemon.start({ prefix: namespace.prefix, config: CONFIG });
  await daemon.ok("machine", "add", "local/1", "lab");
  const killServer = async (): Promise<void> => {
    for (const pid of childrenOf(daemon.pid)) process.kill(pid, "SIGKILL");
    await daemon.kill();
  };
  await work({ daemon, namespace, runs: daemon.stateDir, killServer });
}

/** The machine's processes live in the namespace: whatever a connection executes is executed there. */
async function overSsh(namespace: Namespace, work: (lab: Lab, machines: TestMachines) => Promise<void>): Promise<void> {
  const login = join(namespace.folder, "login");
  writeFileSync(login, `#!/bin/sh\nexec ${namespace.prefix.join(" ")} /bin/sh -c "$SSH_ORIGINAL_COMMAND"\n`);
  chmodSync(login, 0o755);
  await using machines = await startMachines(1, [`ForceCommand ${login}`]);
  mkdirSync(join(machines.home(0), ".local"), { recursive: true });
  await using daemon = await TestDaemon.start({ machines: machines.all, config: CONFIG });
  await daemon.ok("machine", "add", ...machines.addresses, "lab");
  await work({ daemon, namespace, runs: machines.home(0), killServer: () => daemon.kill() }, machines);
}
