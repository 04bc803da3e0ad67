/**
 * The network of a machine goes away and comes back: while a job runs, while it is started, while it ends; the machine
 * hangs; a start request arrives after the server gave it up; the server is restarted meanwhile. The result is the
 * true one every time, the machine is shown as unreachable in time, nothing is queued again, and other machines do not
 * notice. Guarantees S1, S2, S3, R5.
 */
import { expect, test } from "bun:test";
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { startMachines, TestDaemon, type TestMachines } from "../support/daemon.ts";
import { ledgerLine, ranTwice, readLedger } from "../support/ledger.ts";
import { Cable, Namespace, namespacesMissing } from "../support/namespace.ts";
import { sshdAvailable } from "../support/sshd.ts";
import { waitFor } from "../support/wait-for.ts";
import { chooseSeed, count, isLongForm, randomFrom, report, timeoutMs } from "./forms.ts";
import { LateProxy } from "./late-proxy.ts";

const seed = chooseSeed();
const KEEPALIVE_MS = 500;
/** R5: three keepalives, one more for the look at it, and what a host takes that is a little busy. */
const UNREACHABLE_WITHIN_MS = 4 * KEEPALIVE_MS + 2_000;
/** A look by `j` takes less, unless the host is busier than that: then it may be late by as much. */
const LOOK_MS = 100;
/** Longer where a command of ours must come between the last keepalive that was answered and the first that is not. */
const LATE_KEEPALIVE_MS = 1_500;
const configWith = (keepaliveMs: number): string =>
  `[limits]\nkeepalive = "${keepaliveMs / 1_000}s"\nconnect_timeout = "2s"\nfailures_before_quarantine = 1000000\n`;
const MOMENTS = ["run", "start", "end", "late start", "restart", "hang"] as const;
type Moment = (typeof MOMENTS)[number];
const outages = count("network", { short: 6, long: 60 });

const missing = namespacesMissing(["ip"]) ?? (sshdAvailable() ? null : "there is no sshd");
if (missing !== null) console.log(`\n!!! SKIPPED: networks that go away are not tried here: ${missing}\n`);
if (!sshdAvailable()) console.log("\n!!! SKIPPED: late start requests are not tried here: there is no sshd\n");

interface Lab {
  readonly daemon: TestDaemon;
  readonly machines: TestMachines;
  readonly cable: Cable;
  readonly ledger: string;
  readonly chance: () => number;
}

test.skipIf(missing !== null)(
  `${outages} times the network of a machine goes away: the true result every time (seed ${seed})`,
  async () => {
    const startedAt = performance.now();
    const chance = randomFrom(seed);
    await using namespace = await Namespace.start("network");
    const cable = Cable.connect(namespace);
    // The first is behind the cable, the second is the one that must not notice.
    await using machines = await startMachines(2, [], [{ address: cable.address, prefix: namespace.prefix }]);
    await using daemon = await TestDaemon.start({ machines: machines.all, config: configWith(KEEPALIVE_MS) });
    await daemon.ok("machine", "add", machines.at(0).machine, "far");
    await daemon.ok("machine", "add", machines.at(1).machine, "near");
    const lab: Lab = { daemon, machines, cable, ledger: join(daemon.folder, "ledger"), chance };
    const wrong: string[] = [];
    for (let index = 0; index < outages; index++) wrong.push(...(await outage(lab, MOMENTS[index % MOMENTS.length] ?? "run")));
    wrong.push(...ranTwice(readLedger(lab.ledger)).map((jid) => `job ${jid} ran twice`));
    if (wrong.length > 0) console.log(`${wrong.join("\n")}\n${daemon.stderr}`);
    report({ name: "network", count: outages, violations: wrong.length, seed, seconds: (performance.now() - startedAt) / 1_000 });
    expect(wrong).toEqual([]);
  },
  timeoutMs(120_000),
);

const lateStarts = count("late-start", { short: 2, long: 200 });
test.skipIf(!sshdAvailable())(
  `${lateStarts} start requests that arrive when the server has given them up run once or never`,
  async () => {
    const startedAt = performance.now();
    await using machines = await startMachines(1);
    const sshd = machines.at(0);
    await using proxy = await LateProxy.start({ host: sshd.address, port: sshd.port });
    await using daemon = await TestDaemon.start({ machines: machines.all, config: configWith(LATE_KEEPALIVE_MS) });
    const machine = `${sshd.address}:${proxy.port}`;
    appendFileSync(join(daemon.folder, "known_hosts"), `${sshd.knownHostsLine().replace(`:${sshd.port} `, `:${proxy.port} `)}\n`);
    await daemon.ok("machine", "add", machine, "lab");
    const ledger = join(daemon.folder, "ledger");
    const wrong: string[] = [];
    for (let index = 0; index < lateStarts; index++) {
      await daemon.ended(await daemon.add("lab", "true"));
      // It comes either when another run has taken its place, or while nobody knows yet whether it began.
      const comesFirst = index % 2 === 1;
      proxy.hold();
      proxy.holdsNew = comesFirst;
      const before = proxy.heldBytes;
      const jid = await daemon.add("lab", `: ${"x".repeat(20_000)}\n${ledgerLine(ledger, "start")}; echo ran; exit 4`);
      await waitFor(() => proxy.heldBytes - before > 20_000, { what: () => `a start request: ${daemon.stderr}` });
      await waitFor(async () => /unreachable/.test(await daemon.ok("machine", "ls", "--json")), { what: () => daemon.stderr, everyMs: 50 });
      if (comesFirst) proxy.deliver();
      const job = await daemon.ended(jid);
      proxy.deliver();
      // What was delivered last has been read when this one, of a later connection, has ended too.
      const after = await daemon.ended(await daemon.add("lab", "sleep 0.3"));
      const starts = readLedger(ledger).filter((line) => line.jid === jid).length;
      if (job.status !== "failed" || job.exit_code !== 4 || starts !== 1 || daemon.output(job) !== "ran\n" || after.status !== "done")
        wrong.push(`job ${jid} began ${starts} times and is ${job.status} ${job.exit_code} ${job.error}`);
    }
    if (wrong.length > 0) console.log(`${wrong.join("\n")}\n${daemon.stderr}`);
    report({
      name: "late-start",
      count: lateStarts,
      violations: wrong.length,
      seed: null,
      seconds: (performance.now() - startedAt) / 1_000,
    });
    expect(wrong).toEqual([]);
  },
  timeoutMs(120_000),
);

/** @returns what was not as promised */
async function outage(lab: Lab, moment: Moment): Promise<string[]> {
  const { daemon, machines, cable, ledger, chance } = lab;
  const wrong: string[] = [];
  const seconds = isLongForm() ? 5 + chance() * 295 : 0.5 + chance() * 3;
  const goneMs = Math.max(seconds * 1_000, moment === "hang" || moment === "run" ? UNREACHABLE_WITHIN_MS + 500 : 0);
  const exitCode = Math.floor(chance() * 256);
  const lines = 1 + Math.floor(chance() * 2_000);
  // It ends before, while or after the network is away.
  const lasts = moment === "end" ? 0.05 : chance() * seconds * 1.5;
  const padding = moment === "start" || moment === "late start" ? `: ${"x".repeat(60_000)}\n` : "";
  const command = `${padding}${ledgerLine(ledger, "start")}; seq ${lines}; sleep ${lasts.toFixed(2)}; seq ${lines} >&2; echo end; exit ${exitCode}`;
  if (moment === "late start") cable.pull();
  const jid = await daemon.add("far", command);
  // tidy-allow sleep: the random moment is what is tested
  if (moment === "start" || moment === "end") await Bun.sleep(Math.floor(chance() * 80));
  else if (moment !== "late start") await waitFor(async () => (await daemon.show(jid)).started !== null, { what: () => daemon.stderr });
  const goneAt = performance.now();
  if (moment === "hang") machines.at(0).freeze();
  else cable.pull();
  if (moment === "restart") {
    await daemon.kill();
    await daemon.start();
  }
  // A server that was started anew has no reason to look at a machine whose job had ended before.
  const isLookedAt = moment === "restart" && (await daemon.show(jid)).status === "running";
  if (moment === "run" || moment === "hang" || isLookedAt) {
    wrong.push(...(await shownInTime(lab, jid, goneAt + (moment === "restart" ? 3_000 : 0))));
  }
  const other = await daemon.ended(await daemon.add("near", "echo unaffected"));
  if (other.status !== "done") wrong.push(`${moment}: a job on another machine is ${other.status}`);
  // tidy-allow sleep: how long it is away is what is tested
  await Bun.sleep(Math.max(0, goneAt + goneMs - performance.now()));
  if (moment === "hang") machines.at(0).thaw();
  else cable.plugIn();
  // As a person does who mended it; by itself the server looks ever more rarely.
  await waitFor(async () => (await daemon.j("machine", "check", machines.at(0).machine)).code === 0, {
    what: () => `the machine: ${daemon.stderr}`,
    timeoutMs: 30_000,
    everyMs: 200,
  });
  const job = await daemon.ended(jid, 60 + (isLongForm() ? 600 : 0));
  const status = exitCode === 0 ? "done" : "failed";
  const printed = Array.from({ length: lines }, (_, index) => `${index + 1}\n`).join("");
  if (job.status !== status || job.exit_code !== exitCode)
    wrong.push(`${moment}: job ${jid} is ${job.status} ${job.exit_code} ${job.error}, not ${status} ${exitCode}`);
  if (daemon.output(job) !== `${printed}end\n` || daemon.output(job, "err_log") !== printed)
    wrong.push(`${moment}: job ${jid}: its output is not whole`);
  if (job.attempt !== 1 || job.retried_by !== null) wrong.push(`${moment}: job ${jid} was queued again`);
  return wrong;
}

/** R5: in time, and its job goes on being the one that runs there. */
async function shownInTime({ daemon, machines }: Lab, jid: number, goneAt: number): Promise<string[]> {
  const address = machines.at(0).machine;
  let busyMs = 0;
  const isShown = async (): Promise<boolean> => {
    const from = performance.now();
    const all = await daemon.json<{ addr: string; state: string }[]>("machine", "ls");
    busyMs += Math.max(0, performance.now() - from - LOOK_MS);
    return all.find(({ addr }) => addr === address)?.state === "unreachable";
  };
  await waitFor(isShown, { what: () => `unreachable: ${daemon.stderr}`, timeoutMs: 60_000, everyMs: 50 });
  const tookMs = performance.now() - goneAt;
  const { status } = await daemon.show(jid);
  return [
    ...(tookMs > UNREACHABLE_WITHIN_MS + busyMs
      ? [`shown as unreachable only after ${Math.round(tookMs)} ms, with ${Math.round(busyMs)} ms of a busy host`]
      : []),
    // Or it had ended before the network went.
    ...(["running", "done", "failed"].includes(status) ? [] : [`job ${jid} is ${status} while its machine is away`]),
  ];
}
