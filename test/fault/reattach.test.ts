/**
 * Running jobs under a server that is killed again and again. They end before, while and after nobody looks; each end,
 * with its exit code or signal, and every byte of both outputs must be the true one. Guarantees R1, R2.
 */
import { expect, test } from "bun:test";
import { closeSync, constants, openSync } from "node:fs";
import { join } from "node:path";
import { type JobJson, startMachines, TestDaemon, type TestMachines } from "../support/daemon.ts";
import { sshdAvailable } from "../support/sshd.ts";
import { waitFor } from "../support/wait-for.ts";
import { chooseSeed, count, isLongForm, randomFrom, report, timeoutMs } from "./forms.ts";

const seed = chooseSeed();
const jobs = count("reattach-jobs", { short: 200, long: 1_000 });
const kills = count("reattach", { short: 10, long: 100 });
const MACHINES_OVER_SSH = 4;
const SIGNALS = ["HUP", "INT", "USR1", "TERM", "KILL"] as const;
const SIGNAL_NUMBERS = { HUP: 1, INT: 2, USR1: 10, TERM: 15, KILL: 9 } as const;
/** R2, for runs on this host. */
const READY_MS = 20_000;

type End = { readonly exitCode: number; readonly signal: (typeof SIGNALS)[number] | null };

interface Planned {
  readonly jid: number;
  readonly end: End;
  readonly lines: number;
}

if (!sshdAvailable()) console.log("\n!!! SKIPPED: no machines over SSH among the running jobs: there is no sshd\n");

test(
  `${jobs} running jobs over ${kills} kills end as they truly ended (seed ${seed})`,
  async () => {
    const startedAt = performance.now();
    const chance = randomFrom(seed);
    await using machines = sshdAvailable() ? await startMachines(MACHINES_OVER_SSH) : null;
    await using daemon = await TestDaemon.start({
      ...(machines === null ? {} : { machines: machines.all }),
      config: "[limits]\nfailures_before_quarantine = 1000000\n",
    });
    const gates = new Gates(daemon.folder, kills);
    const planned = await submit({ daemon, machines, chance });
    await waitFor(async () => (await all(daemon)).every((job) => job.started !== null), {
      what: () => `the start of all jobs: ${daemon.stderr.slice(-2_000)}`,
      timeoutMs: 60_000,
      everyMs: 200,
    });
    let slowest = 0;
    let late = 0;
    for (let kill = 0; kill < kills; kill++) {
      const moment = Math.floor(chance() * 3);
      // Its jobs end just before the kill, while no server is there, or while the next one takes them up.
      if (moment === 0) gates.open(kill);
      await daemon.kill();
      if (moment === 1) gates.open(kill);
      const readyMs = await restarted(daemon);
      if (moment === 2) gates.open(kill);
      slowest = Math.max(slowest, readyMs);
      if (readyMs > READY_MS) late += 1;
    }
    await waitFor(async () => (await all(daemon)).every((job) => job.ended !== null), {
      what: () => `the end of all jobs: ${daemon.stderr.slice(-2_000)}`,
      timeoutMs: 60_000,
      everyMs: 200,
    });
    const ended = new Map((await all(daemon)).map((job) => [job.jid, job]));
    const wrong = planned.flatMap((plan) => differences(plan, ended.get(plan.jid), daemon));
    if (wrong.length > 0) console.log(wrong.slice(0, 20).join("\n"));
    gates.close();
    report({
      name: "reattach",
      count: kills,
      violations: wrong.length + late,
      seed,
      seconds: (performance.now() - startedAt) / 1_000,
      note: `${planned.length} jobs; taken up within ${Math.round(slowest)} ms`,
    });
    expect([wrong, late]).toEqual([[], 0]);
  },
  timeoutMs(120_000),
);

/** Each kill has a named pipe: jobs wait for its opening without costing anything. */
class Gates {
  readonly #open: number[] = [];

  constructor(
    private readonly folder: string,
    gates: number,
  ) {
    const paths = Array.from({ length: gates }, (_, index) => gateFile(folder, index));
    const made = Bun.spawnSync(["mkfifo", ...paths]);
    if (made.exitCode !== 0) throw new Error(`mkfifo: ${made.stderr.toString()}`);
  }

  /** For good: who comes later does not wait. */
  open(index: number): void {
    this.#open.push(openSync(gateFile(this.folder, index), constants.O_RDWR));
  }

  close(): void {
    for (const descriptor of this.#open) closeSync(descriptor);
  }
}

function gateFile(folder: string, index: number): string {
  return join(folder, `gate${index}`);
}

async function submit(options: { daemon: TestDaemon; machines: TestMachines | null; chance: () => number }): Promise<Planned[]> {
  const { daemon, machines, chance } = options;
  await daemon.ok("machine", "add", ...Array.from({ length: jobs }, (_, index) => `local/${index + 1}`), "here");
  if (machines !== null) await daemon.ok("machine", "add", ...machines.addresses, "away");
  const planned: Planned[] = [];
  const wanted = [...Array.from({ length: jobs }, () => "here"), ...(machines === null ? [] : machines.addresses.map(() => "away"))];
  const adding = wanted.map((className, index) => async () => {
    const end = chosenEnd(index, chance);
    const lines = 1 + Math.floor(chance() * 300);
    const command = jobText({ gate: gateFile(daemon.folder, index % kills), end, lines });
    planned.push({ jid: await daemon.add(className, command), end, lines });
  });
  // A process for each: not all at once.
  for (let at = 0; at < adding.length; at += 8) await Promise.all(adding.slice(at, at + 8).map((add) => add()));
  return planned;
}

/** All exit codes in turn; every fifth job ends by a signal. */
function chosenEnd(index: number, chance: () => number): End {
  if (index % 5 !== 0) return { exitCode: isLongForm() ? index % 256 : Math.floor(chance() * 256), signal: null };
  const signal = SIGNALS[Math.floor(chance() * SIGNALS.length)] ?? "TERM";
  return { exitCode: 128 + SIGNAL_NUMBERS[signal], signal };
}

function jobText({ gate, end, lines }: { gate: string; end: End; lines: number }): string {
  const print = (part: string) =>
    `i=0; while [ $i -lt ${lines} ]; do i=$((i+1)); echo "$EXPJOB_JID ${part} $i"; echo "e ${part} $i" >&2; done`;
  const last = end.signal === null ? `exit ${end.exitCode}` : `kill -${end.signal} $$`;
  return `${print("before")}; : <'${gate}'; ${print("after")}; ${last}`;
}

/** @returns milliseconds from the start of the process until every run that was left has been taken up */
async function restarted(daemon: TestDaemon): Promise<number> {
  const startedAt = performance.now();
  await daemon.start();
  const running = (await all(daemon)).filter((job) => job.status === "running" && job.machine?.startsWith("local")).length;
  const takenUp = () => daemon.stderr.match(/job \d+ on local\/\d+ of the last run of the server: /g)?.length ?? 0;
  await waitFor(() => takenUp() >= running, { what: () => `${running} runs taken up, not ${takenUp()}`, timeoutMs: 30_000 });
  return performance.now() - startedAt;
}

async function all(daemon: TestDaemon): Promise<JobJson[]> {
  return await daemon.json<JobJson[]>("job", "ls", "0-1000000");
}

function differences({ jid, end, lines }: Planned, job: JobJson | undefined, daemon: TestDaemon): string[] {
  if (job === undefined) return [`job ${jid} is gone`];
  const status = end.exitCode === 0 ? "done" : "failed";
  const signal = end.signal === null ? null : `SIG${end.signal}`;
  const bySignal = end.signal === null || job.signal === signal || job.signal === end.signal;
  const printed = (line: (part: string, index: number) => string) =>
    ["before", "after"].flatMap((part) => Array.from({ length: lines }, (_, index) => `${line(part, index + 1)}\n`)).join("");
  return [
    ...(job.status === status && job.exit_code === end.exitCode && bySignal
      ? []
      : [`job ${jid} is ${job.status} ${job.exit_code} ${job.signal}, not ${status} ${end.exitCode} ${signal}`]),
    ...(daemon.output(job) === printed((part, index) => `${jid} ${part} ${index}`) ? [] : [`job ${jid}: its output is not whole`]),
    ...(daemon.output(job, "err_log") === printed((part, index) => `e ${part} ${index}`) ? [] : [`job ${jid}: its errors are not whole`]),
  ];
}
