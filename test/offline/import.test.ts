/** `expjobserver import FILE`: what the old system knew comes in whole, once, or not at all. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ImportReport, OfflineOutcome } from "../../src/config/offline-task.ts";
import { violations } from "../../src/core/invariants.ts";
import type { Job } from "../../src/core/job.ts";
import type { State } from "../../src/core/state.ts";
import { runOffline } from "../../src/offline/offline.ts";
import { allJobs } from "../../src/offline/state-document.ts";
import { openStore, readState } from "../../src/store/recovery.ts";
import { contents, jobsAdded, Scratch } from "../store/scratch.ts";
import { type WrittenSnapshot, type WrittenTask, writeOldSnapshot } from "./old-snapshot-writer.ts";

const fixture = Buffer.from(readFileSync(join(import.meta.dir, "fixtures/server-snapshot.base64"), "latin1"), "base64");

let scratch: Scratch;
beforeEach(() => {
  scratch = new Scratch();
  mkdirSync(scratch.path("logs"));
});
afterEach(() => scratch[Symbol.dispose]());

describe("a snapshot that the old server wrote", () => {
  test("comes in with every job, the matrix, the tag, machines, variables and the next id", async () => {
    const report = imported(await importing(fixture));
    expect(report.jobs).toMatchObject({ held: 3, done: 12, failed: 11, canceled: 2 });
    expect(report).toMatchObject({ matrices: 1, tags: 1, nextId: 31, cutShort: 1, ids: { first: 0, last: 30, shift: 0 } });
    expect(report.machines).toMatchObject({ added: 5, refused: [] });
    expect(report.variables).toMatchObject({ added: 2, refused: ["odd-name"] });
    const { state, jobs } = readBack();
    expect(violations(state)).toEqual([]);
    expect(jobs.map((job) => job.jid)).toHaveLength(28);
    expect(state.matrices.get(12)).toMatchObject({
      repeats: 2,
      keys: [
        { name: "N", values: ["1", "2", "3"] },
        { name: "K", values: ["x", "y"] },
        { name: "WHO", values: ["world"] },
      ],
      jids: [{ first: 13, last: 24 }],
    });
    expect(jobs.filter((job) => job.matrix !== null).map((job) => job.matrix?.cell)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    expect(state.tags.get(11)?.jids).toEqual([
      { first: 0, last: 0 },
      { first: 10, last: 10 },
    ]);
  });

  test("brings in outcome, times, machine, attempt and who was a retry of whom", async () => {
    imported(await importing(fixture));
    const { jobs } = readBack();
    const job = (jid: number) => jobs.find((one) => one.jid === jid);
    expect(job(1)?.state).toMatchObject({ kind: "failed", exitCode: 3, run: { machine: "host1:22" } });
    expect(job(2)?.state).toMatchObject({ kind: "failed", exitCode: 137, problem: { data: { signal: "SIGKILL" } } });
    expect(job(0)?.state).toMatchObject({ kind: "done", results: { path: "/tmp/old-lab/results/world-" } });
    expect(job(4)?.state).toMatchObject({ kind: "failed", exitCode: 0, resultsNotCopied: true });
    expect(job(27)?.state).toMatchObject({ kind: "canceled", problem: { code: "imported", data: { was: "running" } } });
    expect(job(28)?.state).toMatchObject({ kind: "canceled", problem: { code: "canceled" } });
    expect([6, 7, 8].map((jid) => [job(jid)?.attempt, job(jid)?.retryOf, job(jid)?.retriedBy])).toEqual([
      [1, null, 7],
      [2, 6, 8],
      [3, 7, null],
    ]);
    expect(job(25)?.spec).toMatchObject({ kind: "setup", machine: "new1:22", class: "fast", cmds: ["ok s1", "ok s2 {MACHINE}"] });
    expect(job(26)?.state).toMatchObject({ kind: "failed", exitCode: 4, run: { step: { command: 1 } } });
    expect(job(9)?.spec).toMatchObject({ cmd: "ok waiting odd {WHO}", variables: { WHO: "world" } });
  });

  test("nothing that waited starts by itself", async () => {
    imported(await importing(fixture));
    const { state } = readBack();
    expect(state.ready.size).toBe(0);
    expect([...state.jobs.values()].map((job) => [job.jid, job.state.kind])).toEqual([
      [9, "held"],
      [10, "held"],
      [30, "held"],
    ]);
  });

  test("a second import of the same file changes nothing, and says so, also after months", async () => {
    imported(await importing(fixture));
    const store = await open();
    const later = { kind: "jobs-archived", jids: [], requestsBefore: Date.UTC(2090, 0) } as const;
    await store.append([later]);
    await store.close(null);
    const before = contents(scratch.path("state", "history"));
    expect(await importing(fixture)).toMatchObject({ kind: "failed", code: "imported-before", exitCode: 1 });
    expect(contents(scratch.path("state", "history"))).toEqual(before);
  });

  test("a later snapshot of the same server is refused, or its jobs would be here twice", async () => {
    const task = (jid: number): WrittenTask => ({ jid, cmds: ["ok"], class: "x", machine: "m", state: [8] });
    imported(await importing(writeOldSnapshot({ tasks: [task(3)], nextId: 4 })));
    const later = writeOldSnapshot({ tasks: [task(3), task(4)], nextId: 5 });
    expect(await importing(later)).toMatchObject({ kind: "failed", code: "later-snapshot", data: { jid: "3" } });
  });

  test("a dry run says the same and makes not even the folder", async () => {
    const dry = imported(await importing(fixture, { dryRun: true }));
    expect(existsSync(scratch.path("state"))).toBe(false);
    expect({ ...imported(await importing(fixture)), dryRun: true }).toEqual(dry);
  });

  test("machines can be left out", async () => {
    expect(imported(await importing(fixture, { withMachines: false })).machines).toMatchObject({ added: 0, left: 5 });
    expect(readBack().state.machines.size).toBe(0);
  });
});

describe("ids", () => {
  test("that were drawn here before are moved, all by the same amount, and what was here stays", async () => {
    const store = await open();
    await store.append([jobsAdded(0, 7), { kind: "variable-set", variable: { kind: "plain", name: "WHO", value: "mine" } }]);
    await store.close(null);
    const report = imported(await importing(fixture));
    expect(report).toMatchObject({ ids: { first: 0, last: 30, shift: 1_000 }, nextId: 1_031, variables: { kept: ["WHO"] } });
    const { state, jobs } = readBack();
    expect(violations(state)).toEqual([]);
    expect(jobs.filter((job) => job.jid < 1_000)).toHaveLength(7);
    expect(state.variables.get("WHO")).toMatchObject({ value: "mine" });
    expect(state.matrices.get(1_012)?.jids).toEqual([{ first: 1_013, last: 1_024 }]);
    expect(jobs.find((job) => job.jid === 1_007)).toMatchObject({ retryOf: 1_006, retriedBy: 1_008 });
  });

  test("above all of ours are kept", async () => {
    const store = await open();
    await store.append([jobsAdded(0, 2)]);
    await store.close(null);
    const old = { tasks: [{ jid: 40, cmds: ["ok"], class: "x", machine: "m", state: [8] }], nextId: 41 } as const;
    expect(imported(await importing(writeOldSnapshot(old))).ids).toEqual({ first: 40, last: 40, shift: 0 });
  });
});

describe("what is no whole snapshot is refused, and nothing is changed", () => {
  const notSnapshots: readonly (readonly [what: string, bytes: Uint8Array])[] = [
    ["an empty file", new Uint8Array()],
    ["a text", new TextEncoder().encode("# a text\nwith lines\n")],
    ["a file of zeros", new Uint8Array(4_096)],
    ["an id twice", writeOldSnapshot({ tasks: [task(1), task(1)], nextId: 2 })],
    ["an id that was never drawn", writeOldSnapshot({ tasks: [task(5)], nextId: 5 })],
    ["a time that is none", writeOldSnapshot({ tasks: [{ ...task(1), time: "yesterday" }], nextId: 5 })],
    ["a state that never was", writeOldSnapshot({ tasks: [{ ...task(1), state: [99] }], nextId: 5 })],
  ];
  test.each(notSnapshots)("%s", async (_what, bytes) => {
    expect(await importing(bytes)).toMatchObject({ kind: "failed", code: "not-a-snapshot", exitCode: 1 });
    expect(existsSync(scratch.path("state"))).toBe(false);
  });

  test("one that was cut anywhere: it is refused, or only tags are missing that no job names", async () => {
    for (let length = 0; length < fixture.length; length += 7) {
      const outcome = await importing(fixture.subarray(0, length), { dryRun: true });
      if (outcome.kind === "failed") expect(outcome).toMatchObject({ code: "not-a-snapshot" });
      else expect(imported(outcome)).toMatchObject({ jobs: { done: 12 }, tags: 1, nextId: 31 });
    }
    expect(existsSync(scratch.path("state"))).toBe(false);
  });

  test("one with a byte changed never ends in a fault of ours", async () => {
    const outcomes = new Set<string>();
    for (let at = 0; at < fixture.length; at += 5) {
      const bytes = new Uint8Array(fixture);
      bytes[at] = (bytes[at] ?? 0) ^ 0x41;
      outcomes.add((await importing(bytes, { dryRun: true })).kind);
    }
    expect([...outcomes].sort()).toEqual(["failed", "imported"]);
  });

  test("a server that holds the state", async () => {
    const store = await open();
    expect(await importing(fixture)).toMatchObject({ kind: "failed", code: "locked", exitCode: 5 });
    await store.close(null);
  });
});

describe("what the old system had otherwise", () => {
  test("a log cut at 200 bytes is found by its id, and names results that were not copied", async () => {
    const name = `7-${"x".repeat(120)}`;
    writeFileSync(scratch.path("logs", name), "hello\nRESULTS: /data/run7\n");
    const cmd = "x".repeat(300);
    const old: WrittenSnapshot = {
      tasks: [{ jid: 7, cmds: [cmd], class: "c", machine: "m", copyTo: "/r", state: [10, { text: "Copying results failed.", number: 0 }] }],
      nextId: 8,
    };
    imported(await importing(writeOldSnapshot(old)));
    expect(readBack().jobs[0]?.state).toMatchObject({
      kind: "failed",
      resultsNotCopied: true,
      prefixes: ["/data/run7"],
      run: { log: scratch.path("logs", name), errLog: `${scratch.path("logs", name)}.err` },
    });
  });

  test("a timeout, a start that failed, a job of which nobody knew, and one being forgotten", async () => {
    const common = { cmds: ["ok"], class: "c", machine: "m" };
    const old: WrittenSnapshot = {
      tasks: [
        { ...common, jid: 1, timeoutMinutes: 15, state: [10, { text: "Timed out after 15m", number: 0 }] },
        { ...common, jid: 2, state: [10, { text: "Unable to start job 2: No such file", number: 0 }] },
        { ...common, jid: 3, state: [12, { text: "m" }] },
        { ...common, jid: 4, state: [7, { number: 1, at: 1 }] },
        { ...common, jid: 5, state: [3, { number: 0, at: 1 }], cancel: false },
        { ...common, jid: 6, copyTo: "/r", state: [5, { text: "/data/six" }] },
      ],
      nextId: 7,
    };
    const report = imported(await importing(writeOldSnapshot(old)));
    expect(report).toMatchObject({ forgotten: 1, cutShort: 1 });
    expect(readBack().jobs.map(({ jid, state }) => [jid, state.kind, "problem" in state ? state.problem?.code : null])).toEqual([
      [1, "failed", "timed-out"],
      [2, "failed", "imported"],
      [3, "canceled", "imported"],
      [5, "canceled", "canceled"],
      [6, "failed", "imported"],
    ]);
  });

  test("100,000 jobs of a matrix come in within seconds, and share what they have in common", async () => {
    const values = Array.from({ length: 1_000 }, (_, index) => String(index));
    const tasks = Array.from({ length: 100_000 }, (_, index): WrittenTask => {
      const n = String(Math.floor(index / 100));
      return { jid: index + 1, matrix: 0, cmds: [`run ${n}`], class: "c", machine: "m", variables: { N: n }, state: [8] };
    });
    const jids = tasks.map(({ jid }) => jid);
    const old = writeOldSnapshot({ tasks, matrices: [{ id: 0, cmd: "run {N}", class: "c", keys: { N: values }, jids }], nextId: 100_001 });
    const began = performance.now();
    imported(await importing(old));
    const tookMs = performance.now() - began;
    const { state, jobs } = readBack();
    expect(state.jobs.size).toBe(0);
    expect(new Set(jobs.map((job) => job.spec.cmd))).toEqual(new Set(["run {N}"]));
    expect(state.matrices.get(0)).toMatchObject({ repeats: 100, counts: { done: 100_000 } });
    expect(tookMs).toBeLessThan(60_000);
    console.log(`100,000 old jobs in ${(tookMs / 1_000).toFixed(1)} s`);
  }, 120_000);
});

function task(jid: number): WrittenTask {
  return { jid, cmds: ["ok"], class: "x", machine: "m", state: [8] };
}

async function importing(bytes: Uint8Array, flags: { dryRun?: boolean; withMachines?: boolean } = {}): Promise<OfflineOutcome> {
  const file = scratch.path("logs", "server-snapshot");
  writeFileSync(file, bytes);
  return await runOffline({
    kind: "import",
    stateDir: scratch.path("state"),
    file,
    logs: scratch.path("logs"),
    withMachines: flags.withMachines ?? true,
    dryRun: flags.dryRun ?? false,
    allowNetworkFs: true,
  });
}

function imported(outcome: OfflineOutcome): ImportReport {
  if (outcome.kind !== "imported") throw new Error(JSON.stringify(outcome));
  return outcome.report;
}

async function open() {
  return await openStore(scratch.path("state"), {
    allowSnapshotFailure: false,
    allowNetworkFileSystem: true,
    highestIdInLogs: () => -1,
    now: Date.now,
  });
}

function readBack(): { readonly state: State; readonly jobs: readonly Job[] } {
  const { state } = readState(scratch.path("state"));
  return { state, jobs: [...allJobs({ state, forgotten: new Set(), history: scratch.path("state", "history") })] };
}
