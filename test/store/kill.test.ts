/** kill -9 at any moment: what was acknowledged is there, once, and the directory opens by itself. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import { violations } from "../../src/core/invariants.ts";
import { openStore } from "../../src/store/recovery.ts";
import { waitFor } from "../support/wait-for.ts";
import { Scratch } from "./scratch.ts";

const PROGRAM = join(import.meta.dir, "store-loop.ts");
const strace = Bun.which("strace");
if (strace === null) console.log("NOT TESTED: kill at each system call, because strace is not installed");

/** The highest acknowledged id; ids are acknowledged in order, so all below were too. */
function lastAcknowledged(output: string): number {
  const ids = [...output.matchAll(/^ack (\d+)$/gm)].map((match) => Number(match[1]));
  return Math.max(-1, ...ids);
}

/** Opens as a restart would and looks for every job. @returns how many there are */
async function checked(folder: string, acknowledged: number): Promise<number> {
  const store = await openStore(folder, {
    allowSnapshotFailure: false,
    allowNetworkFileSystem: true,
    highestIdInLogs: () => -1,
    now: Date.now,
  });
  try {
    const { state } = store;
    expect(violations(state)).toEqual([]);
    expect(state.nextId).toBeGreaterThan(acknowledged);
    const ids = Array.from({ length: state.nextId }, (_, jid) => jid);
    const past = await store.history.read(ids);
    expect(ids.filter((jid) => !state.jobs.has(jid) && !past.has(jid))).toEqual([]);
    expect(state.counts.done + state.counts.waiting + state.counts.running).toBe(state.nextId);
    return state.nextId;
  } finally {
    await store.close(null);
  }
}

describe("a store whose process is killed", () => {
  test("at 30 random moments under load has every acknowledged job after each", async () => {
    using scratch = new Scratch();
    const seed = Date.now() % 1_000_000;
    console.log(`kill storm: seed ${seed}`);
    const moments = fc.sample(fc.record({ acknowledged: fc.integer({ min: 1, max: 40 }), microseconds: fc.nat(3000) }), {
      seed,
      numRuns: 30,
    });
    let acknowledged = -1;
    for (const moment of moments) {
      const child = Bun.spawn([process.execPath, PROGRAM, scratch.folder], { stdout: "pipe", stderr: "inherit" });
      let output = "";
      const reading = (async () => {
        for await (const chunk of child.stdout) output += Buffer.from(chunk).toString();
      })();
      await waitFor(() => output.split("\n").length > moment.acknowledged, { everyMs: 1 });
      const until = performance.now() + moment.microseconds / 1000;
      await waitFor(() => performance.now() >= until, { everyMs: 0 });
      child.kill("SIGKILL");
      await child.exited;
      await reading;
      const last = lastAcknowledged(output);
      expect(last).toBeGreaterThan(acknowledged);
      acknowledged = (await checked(scratch.folder, last)) - 1;
    }
  }, 120_000);

  // The counters of strace are of each thread: Bun's main one does the writing, a small pool the rest.
  const calls = [
    ["rename", 1],
    ["fsync", 1],
    ["unlink", 1],
    ["mkdir", 1],
    ["fdatasync", 5],
    ["pwrite64", 7],
    ["openat", 9],
  ] as const;
  test.if(strace !== null).each(calls)(
    "at each %s it makes has every acknowledged job",
    async (call, step) => {
      let killed = 0;
      for (let when = 1; ; when += step) {
        using scratch = new Scratch();
        const inject = ["-f", "-qq", "-o", "/dev/null", "-e", `trace=${call}`, "-e", `inject=${call}:signal=KILL:when=${when}`];
        const child = Bun.spawn([strace ?? "", ...inject, process.execPath, PROGRAM, scratch.path("state"), "20"], {
          stdout: "pipe",
          stderr: "inherit",
        });
        const output = await new Response(child.stdout).text();
        await child.exited;
        await checked(scratch.path("state"), lastAcknowledged(output));
        if (output.endsWith("end\n")) break;
        killed++;
      }
      console.log(`killed at ${killed} calls of ${call}`);
      expect(killed).toBeGreaterThan(0);
    },
    120_000,
  );
});
