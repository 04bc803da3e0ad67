/**
 * How fast results come back, against rsync over the same sshd in the same minute: one large file, and many small
 * ones. Ours are verified by sha256 and synced when it ends; rsync's are neither.
 */
import { spawn } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyResults } from "../../src/daemon/copier/copy-results.ts";
import { SshConnections } from "../../src/daemon/ssh/connections.ts";
import { type Sshd, sshdAvailable, startSshd } from "../support/sshd.ts";

export interface CopyBenchOptions {
  readonly largeFileBytes: number;
  readonly smallFileCount: number;
  readonly smallFileBytes: number;
  readonly rounds: number;
}

export interface CopyBenchResult {
  readonly what: string;
  /** Medians of the rounds. */
  readonly ours: number;
  readonly rsync: number;
  /** rsync's time by ours: above 1 we are faster. */
  readonly ratio: number;
  /** The same when rsync's files are put on stable storage too, by one `sync -f`, as ours are. */
  readonly ratioSynced: number;
  /** The longest time for which the event loop did not turn while we copied. */
  readonly loopBlockedMs: number;
}

export const COPY_BENCH: CopyBenchOptions = { largeFileBytes: 1024 ** 3, smallFileCount: 10_000, smallFileBytes: 4096, rounds: 3 };

/** Times in ms. null where sshd or rsync is not installed. */
export async function benchCopy(options: Partial<CopyBenchOptions> = {}): Promise<CopyBenchResult[] | null> {
  const { largeFileBytes, smallFileCount, smallFileBytes, rounds } = { ...COPY_BENCH, ...options };
  if (!sshdAvailable() || Bun.which("rsync") === null) return null;
  const folder = mkdtempSync(join(tmpdir(), "expjob-bench-copy-"));
  const sshd = await startSshd();
  try {
    writeFile(join(folder, "large"), largeFileBytes);
    mkdirSync(join(folder, "small"));
    for (let index = 0; index < smallFileCount; index += 1) writeFile(join(folder, "small", `file-${index}`), smallFileBytes);
    return [
      await compare({ what: `one file of ${Math.round(largeFileBytes / 1024 ** 2)} MiB`, name: "large", folder, sshd, rounds }),
      await compare({ what: `${smallFileCount} files of ${smallFileBytes} bytes`, name: "small", folder, sshd, rounds }),
    ];
  } finally {
    await sshd.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Comparison {
  readonly what: string;
  readonly name: string;
  readonly folder: string;
  readonly sshd: Sshd;
  readonly rounds: number;
}

/**
 * Every copy has a target of its own, and all are removed at the end: for some seconds after many files were
 * removed, ext4 looks long for each new inode (2 s for 10,000, against 0.1 s), and whoever comes next pays for it.
 */
async function compare(comparison: Comparison): Promise<CopyBenchResult> {
  const ours: number[] = [];
  const theirs: number[] = [];
  const theirsSynced: number[] = [];
  let loopBlockedMs = 0;
  for (let round = 0; round < comparison.rounds; round += 1) {
    const rsync = await timeRsync(comparison, join(comparison.folder, `rsync-${comparison.name}-${round}`));
    theirs.push(rsync.plainMs);
    theirsSynced.push(rsync.syncedMs);
    const lag = watchLoop();
    ours.push(await timeOurs(comparison, join(comparison.folder, `ours-${comparison.name}-${round}`)));
    loopBlockedMs = Math.max(loopBlockedMs, lag.stop());
  }
  const [ourMs, rsyncMs, rsyncSyncedMs] = [median(ours), median(theirs), median(theirsSynced)];
  return {
    what: comparison.what,
    ours: ourMs,
    rsync: rsyncMs,
    ratio: rsyncMs / ourMs,
    ratioSynced: rsyncSyncedMs / ourMs,
    loopBlockedMs,
  };
}

/** Both pay for the connection: ours is opened anew, as rsync's is. */
async function timeOurs({ folder, name, sshd }: Comparison, target: string): Promise<number> {
  const connections = new SshConnections({ settings: { configFile: sshd.client.configFile } });
  try {
    const before = performance.now();
    const outcome = await copyResults({
      shell: connections.shell(sshd.machine),
      jid: 1,
      runId: "bench",
      prefixes: [join(folder, name)],
      startDirectory: "",
      target,
      provenance: { command: "bench", variables: {}, machine: sshd.machine, facts: null, startedAt: null, endedAt: null, exitCode: 0 },
    });
    if (outcome.kind === "failed") throw new Error(JSON.stringify(outcome.problem));
    return performance.now() - before;
  } finally {
    connections.close();
  }
}

async function timeRsync({ folder, name, sshd }: Comparison, target: string): Promise<{ plainMs: number; syncedMs: number }> {
  mkdirSync(target);
  const shell = `ssh -F ${sshd.client.configFile} -p ${sshd.port}`;
  const before = performance.now();
  const child = spawn("rsync", ["-a", "-e", shell, `${sshd.address}:${join(folder, name)}`, target], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const status = await new Promise((resolve) => child.once("exit", resolve));
  const plainMs = performance.now() - before;
  await Bun.spawn(["sync", "-f", target]).exited;
  const syncedMs = performance.now() - before;
  if (status !== 0) throw new Error(`rsync ended with ${status}`);
  return { plainMs, syncedMs };
}

function watchLoop(): { stop: () => number } {
  let last = performance.now();
  let worst = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    worst = Math.max(worst, now - last - 5);
    last = now;
  }, 5);
  return {
    stop: () => {
      clearInterval(timer);
      return worst;
    },
  };
}

function writeFile(path: string, bytes: number): void {
  const piece = Buffer.alloc(Math.min(bytes, 1024 * 1024));
  if (bytes <= piece.length) return writeFileSync(path, randomFillSync(piece));
  const fd = openSync(path, "w");
  for (let at = 0; at < bytes; at += piece.length) writeSync(fd, randomFillSync(piece), 0, Math.min(piece.length, bytes - at));
  closeSync(fd);
}

function median(values: readonly number[]): number {
  return [...values].sort((left, right) => left - right)[Math.floor(values.length / 2)] ?? Number.NaN;
}

if (import.meta.main) {
  const results = await benchCopy();
  if (results === null) console.log("SKIPPED: sshd or rsync is not installed");
  for (const { what, ours, rsync, ratio, ratioSynced, loopBlockedMs } of results ?? []) {
    console.log(
      `${what}: ours ${Math.round(ours)} ms, rsync ${Math.round(rsync)} ms, ratio ${ratio.toFixed(2)} (with a sync ${ratioSynced.toFixed(2)}), loop blocked at most ${loopBlockedMs.toFixed(0)} ms`,
    );
  }
}
