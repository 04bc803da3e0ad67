/**
 * The daemon's own processor time a job: the real daemon with journal, history, server and handlers, and in the place of
 * hosts a runner whose jobs end by themselves after a moment. The command is `simulated-machines.ts`; each figure is one
 * process of its own, so that its memory is fresh and all of its processor time is ours (the runner's share is small, and in it).
 */
import { closeSync, existsSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resolveServeOptions } from "../../src/config/serve-options.ts";
import { Daemon } from "../../src/daemon/daemon.ts";
import { JournalSeal } from "../../src/daemon/journal-seal.ts";
import type { AttachOutcome, RunEnd, RunName, Runner, RunRequest, StartOutcome, StopOutcome } from "../../src/daemon/runner/runner.ts";
import { openStore } from "../../src/store/recovery.ts";
import { type Figure, plainSubject } from "./measure.ts";

interface World {
  readonly machines: number;
  readonly queued: number;
  /** The measure ends when so many have ended. */
  readonly jobs: number;
  /** How long a job takes. */
  readonly jobMs: number;
}

interface Taken {
  /** Milliseconds of processor time, user and system. */
  readonly cpuMsAJob: number;
  readonly jobsASecond: number;
  /** From the end of a run to the call that starts the next one on that machine, milliseconds. */
  readonly turnaroundMs: number;
}

export function simulatedFigures({ quick }: { readonly quick: boolean }): readonly Figure[] {
  const scale = quick ? 100 : 1;
  const size = (machines: number, jobs: number) => ({ machines: machines / scale, jobs: jobs / scale });
  return [
    figure({ ...size(100, 10_000), queued: 10_000 / scale, jobMs: 0 }, quick),
    figure({ ...size(1_000, 100_000), queued: 100_000 / scale, jobMs: 0 }, quick),
    figure({ ...size(10_000, 100_000), queued: 1_000_000 / scale, jobMs: 0 }, quick),
    figure({ ...size(1_000, 20_000), queued: 100_000 / scale, jobMs: 1_000 / scale }, quick),
  ];
}

function figure(world: World, quick: boolean): Figure {
  const { machines, queued, jobMs } = world;
  const what = `${machines} simulated machines, ${queued} queued, jobs of ${jobMs} ms`;
  return {
    parts: [
      { what: `${what}: processor time a job`, unit: "ms", target: { kind: "at-most", value: 0.25 } },
      { what: `${what}: jobs`, unit: "per second" },
      { what: `${what}: end to next start, median`, unit: "ms" },
    ],
    rounds: quick ? 1 : 3,
    usesBinary: false,
    ours: () => Promise.resolve(plainSubject("expjobserver", () => inOwnProcess(world))),
    peer: null,
  };
}

async function inOwnProcess(world: World): Promise<readonly number[]> {
  const child = Bun.spawn([process.execPath, import.meta.path, JSON.stringify(world)], { stdio: ["ignore", "pipe", "inherit"] });
  const text = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) throw new Error("the simulated machines failed");
  const { cpuMsAJob, jobsASecond, turnaroundMs } = JSON.parse(text) as Taken;
  return [cpuMsAJob, jobsASecond, turnaroundMs];
}

/** The files of logs are the runner's work: they are made where they cost little, and wait for no sync of the journal's disk. */
const MEMORY_FOLDER = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

/** Every run ends well after about `jobMs`, with empty logs. */
class SimulatedRunner implements Runner {
  ended = 0;
  readonly turnarounds: number[] = [];
  private readonly endedAt = new Map<string, number>();

  constructor(private readonly jobMs: number) {}

  async start({ machine, log }: RunRequest): Promise<StartOutcome> {
    const before = this.endedAt.get(machine);
    if (before !== undefined) this.turnarounds.push(performance.now() - before);
    closeSync(openSync(log.stdout, "a"));
    const end = Promise.withResolvers<RunEnd>();
    const finish = (): void => {
      this.ended++;
      this.endedAt.set(machine, performance.now());
      end.resolve({ kind: "exited", exitCode: 0, at: Date.now() });
    };
    if (this.jobMs === 0) setImmediate(finish);
    else setTimeout(finish, this.jobMs * (0.5 + Math.random()));
    return { kind: "started", at: Date.now(), end: end.promise };
  }

  async attach(run: RunName): Promise<AttachOutcome> {
    throw new Error(`run ${run.runId} is of nobody`);
  }

  async stop(): Promise<StopOutcome> {
    return { kind: "signaled", processes: 0 };
  }

  release(): Promise<void> {
    return Promise.resolve();
  }

  async probe(): Promise<null> {
    return null;
  }
}

async function take({ machines, queued, jobs, jobMs }: World): Promise<Taken> {
  const folder = mkdtempSync(join(tmpdir(), "expjob-simulated-"));
  const logDir = mkdtempSync(join(MEMORY_FOLDER, "expjob-simulated-"));
  await Bun.write(join(folder, "config.toml"), "[limits]\nqueued_jobs = 2000000\n");
  const flags = { stateDir: join(folder, "state"), logDir, config: join(folder, "config.toml") };
  const serve = await resolveServeOptions(flags, { environment: process.env, folder });
  const runner = new SimulatedRunner(jobMs);
  const store = await openStore(serve.stateDir, {
    allowSnapshotFailure: false,
    allowNetworkFileSystem: true,
    highestIdInLogs: () => -1,
    now: Date.now,
  });
  const say = (text: string): void => console.error(text);
  const daemon = new Daemon({
    serve,
    store,
    log: { error: say, warn: say, info: () => undefined, debug: () => undefined, close: () => Promise.resolve() },
    caller: { umask: 0o22, openFilesSoft: null },
    workDirectory: folder,
    environment: process.env,
    localRunner: runner,
    onStorageProblem: (error) => say(String(error)),
  });
  const seal = new JournalSeal({ store, onStorageProblem: (error) => say(String(error)) });
  daemon.engine.subscribe(() => seal.consider());
  try {
    const { engine } = daemon;
    const common = { class: "x", cmd: "true {MACHINE}", copyTo: null, retry: null, timeoutSeconds: null, tag: null, notify: false };
    await engine.submit({ kind: "add-jobs", ...common, count: queued });
    const addrs = Array.from({ length: machines }, (_, index) => `local/m${index}`);
    await daemon.begin();
    const finished = Promise.withResolvers<void>();
    const before = process.cpuUsage();
    const startedAt = performance.now();
    daemon.engine.subscribe(({ after }) => {
      if (after.counts.done >= jobs) finished.resolve();
    });
    await engine.submit({ kind: "add-machines", addrs, class: "x" });
    await finished.promise;
    const { user, system } = process.cpuUsage(before);
    const { done } = engine.state.counts;
    const sorted = runner.turnarounds.sort((a, b) => a - b);
    return {
      cpuMsAJob: (user + system) / 1_000 / done,
      jobsASecond: done / ((performance.now() - startedAt) / 1_000),
      turnaroundMs: sorted[Math.floor(sorted.length / 2)] ?? 0,
    };
  } finally {
    seal.stop();
    daemon.stop();
    await store.close(null);
    for (const made of [folder, logDir]) rmSync(made, { recursive: true, force: true });
  }
}

if (import.meta.main) console.log(JSON.stringify(await take(JSON.parse(process.argv[2] ?? "") as World)));
