/** `expjobserver state export` and `import`: the whole state as one document, and back, on another host. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import type { OfflineOutcome, OfflineTask } from "../../src/config/offline-task.ts";
import { applyAll } from "../../src/core/apply.ts";
import type { Event } from "../../src/core/event.ts";
import { violations } from "../../src/core/invariants.ts";
import { EMPTY_STATE } from "../../src/core/state.ts";
import { runOffline } from "../../src/offline/offline.ts";
import { allJobs } from "../../src/offline/state-document.ts";
import { openStore, readState } from "../../src/store/recovery.ts";
import { Secrets } from "../../src/store/secrets.ts";
import { contents, jobsAdded, Scratch } from "../store/scratch.ts";

const AT = 1_800_000_000_000;

let scratch: Scratch;
beforeEach(() => {
  scratch = new Scratch();
});
afterEach(() => scratch[Symbol.dispose]());

/** Jobs 0-9 waiting but for 0 (done), 1 (running), 2 (copying), 3 (starting); two variables, one secret. */
const WORLD: readonly Event[] = [
  { kind: "machines-added", at: AT, addrs: ["m1", "m2", "m3", "m4"], class: "x" },
  { kind: "variable-set", variable: { kind: "plain", name: "A", value: "1\n2" } },
  { kind: "variable-set", variable: { kind: "secret", name: "KEY" } },
  jobsAdded(0, 10),
  ...[0, 1, 2, 3].map(starting),
  ...[0, 1, 2].map((jid): Event => ({ kind: "job-started", at: AT + 1, jid })),
  { kind: "job-done", at: AT + 2, jid: 0, prefixes: [], results: null, warning: null },
  { kind: "job-copying", at: AT + 2, jid: 2, prefixes: ["/data/2"] },
];

function starting(jid: number): Event {
  const run = { runId: `r${jid}`, machine: `m${jid + 1}`, log: `/l/${jid}`, errLog: `/l/${jid}.err` };
  return { kind: "job-starting", at: AT, jid, run, bootId: null };
}

describe("an export", () => {
  test("imported into an empty folder gives the same state: every id, time and name", async () => {
    await fill("from", WORLD);
    await exported("from");
    expect((await importing("to")).kind).toBe("state-imported");
    const [there, here] = [jobsOf("from"), jobsOf("to")];
    const still = (jid: number) => ![1, 2, 3].includes(jid);
    expect(here.filter((job) => still(job.jid))).toEqual(there.filter((job) => still(job.jid)));
    const state = stateOf("to");
    expect(violations(state)).toEqual([]);
    expect([state.nextId, state.variables.get("A")]).toEqual([10, { kind: "plain", name: "A", value: "1\n2" }]);
    expect([...state.machines.values()].map((machine) => machine.addr)).toEqual(["m1", "m2", "m3", "m4"]);
  });

  test("what was under way is unknown there and keeps its machine; what was being copied can be fetched", async () => {
    await fill("from", WORLD);
    expect(await exported("from")).toMatchObject({ report: { underWay: 3, jobs: 10 } });
    expect(await importing("to")).toMatchObject({
      report: {
        unknown: [
          { first: 1, last: 1 },
          { first: 3, last: 3 },
        ],
      },
    });
    const jobs = jobsOf("to");
    expect(jobs[1]?.state).toMatchObject({ kind: "unknown", holdsMachine: true, problem: { code: "moved", data: { was: "running" } } });
    expect(jobs[2]?.state).toMatchObject({ kind: "failed", resultsNotCopied: true, exitCode: 0, prefixes: ["/data/2"] });
    expect(jobs[3]?.state).toMatchObject({ kind: "unknown", problem: { data: { was: "being started" } } });
    expect([...stateOf("to").machines.values()].map((machine) => machine.assignment.kind)).toEqual(["free", "busy", "free", "busy"]);
  });

  test("has no secret's value, unless it is asked for; its file is for its owner alone", async () => {
    await fill("from", WORLD);
    const secrets = Secrets.open(scratch.path("from", "secrets.toml"));
    await secrets.set("KEY", "hunter2");
    expect(await exported("from")).toMatchObject({ report: { secretsLeftOut: ["KEY"], secretsIncluded: 0 } });
    expect(readFileSync(scratch.path("e.toml"), "utf8")).not.toContain("hunter2");
    expect(statSync(scratch.path("e.toml")).mode & 0o777).toBe(0o600);
    expect(await importing("without")).toMatchObject({ report: { secretsToSet: ["KEY"] } });
    await exported("from", { withSecrets: true });
    expect(await importing("with")).toMatchObject({ report: { secretsToSet: [] } });
    expect(Secrets.open(scratch.path("with", "secrets.toml")).get("KEY")).toBe("hunter2");
  });

  test("to stdout is the same document, and changes no file", async () => {
    await fill("from", WORLD);
    const before = contents(scratch.path("from"));
    const pieces: Uint8Array[] = [];
    const write = (bytes: Uint8Array): boolean => pieces.push(bytes) > 0;
    await runOffline({ kind: "state-export", stateDir: scratch.path("from"), file: null, withSecrets: false, write });
    expect(contents(scratch.path("from"))).toEqual(before);
    writeFileSync(scratch.path("e.toml"), Buffer.concat(pieces));
    expect((await importing("to")).kind).toBe("state-imported");
  });

  test("beside a server that holds the lock is of one moment", async () => {
    const store = await open("from");
    await store.append(WORLD);
    expect(await exported("from")).toMatchObject({ kind: "exported", report: { jobs: 10, serverPid: process.pid } });
    await store.close(null);
    expect((await importing("to")).kind).toBe("state-imported");
  });
});

describe("an import is refused, and nothing is changed", () => {
  test("when there is a state already", async () => {
    await fill("from", WORLD);
    await exported("from");
    await fill("to", [jobsAdded(0, 1)]);
    const before = jobsOf("to");
    expect(await importing("to")).toMatchObject({ kind: "failed", code: "state-not-empty", exitCode: 1 });
    expect(jobsOf("to")).toEqual(before);
  });

  test("but not when a server was only tried there", async () => {
    await fill("from", WORLD);
    await exported("from");
    await fill("to", []);
    expect((await importing("to")).kind).toBe("state-imported");
  });

  test.each([
    ["cut at a line's end", (text: string) => text.slice(0, text.lastIndexOf("\n", text.length - 200) + 1)],
    ["edited", (text: string) => text.replace('addr = "m1"', 'addr = "m9"')],
    ["empty", () => ""],
  ] as const)("when the file was %s", async (_how, edit) => {
    await fill("from", WORLD);
    await exported("from");
    writeFileSync(scratch.path("e.toml"), edit(readFileSync(scratch.path("e.toml"), "utf8")));
    expect(await importing("to")).toMatchObject({ kind: "failed", code: "not-an-export", exitCode: 1 });
  });

  test("when the file is a snapshot, which would lose the history", async () => {
    await fill("from", WORLD);
    writeFileSync(scratch.path("e.toml"), readFileSync(scratch.path("from", "snapshot.toml")));
    expect(await importing("to")).toMatchObject({ kind: "failed", code: "snapshot-not-export" });
  });

  test("when a newer release wrote it", async () => {
    await fill("from", WORLD);
    await exported("from");
    const text = readFileSync(scratch.path("e.toml"), "utf8").replace("format = 1", "format = 9");
    const body = text.slice(0, text.lastIndexOf("# end:"));
    const sha256 = new Bun.CryptoHasher("sha256").update(body).digest("hex");
    writeFileSync(scratch.path("e.toml"), `${body}# end: sequence = 1, jobs = 10, sha256 = ${sha256}\n`);
    expect(await importing("to")).toMatchObject({ kind: "failed", code: "newer-format", exitCode: 7 });
  });
});

test("100,000 jobs of the past go out and come in within seconds", async () => {
  const store = await open("from");
  const count = 100_000;
  const jobs: Event[] = [{ kind: "machines-added", at: AT, addrs: ["m1"], class: "x" }, jobsAdded(0, count)];
  for (let jid = 0; jid < count; jid++)
    jobs.push({ kind: "job-canceled", at: AT, jid, exitCode: null, problem: { code: "canceled", data: {} } });
  const state = applyAll(EMPTY_STATE, jobs);
  const sequence = await store.replaceState(state);
  const ended = await store.snapshot(state, sequence);
  const archived: Event = { kind: "jobs-archived", jids: ended.map((job) => job.jid), requestsBefore: 0 };
  const last = await store.append([archived]);
  await store.close({ state: applyAll(state, [archived]), sequence: last });
  const began = performance.now();
  expect(await exported("from")).toMatchObject({ report: { jobs: count } });
  const exportedAt = performance.now();
  expect(await importing("to")).toMatchObject({ report: { jobs: { canceled: count } } });
  const importedAt = performance.now();
  console.log(
    `100,000 jobs: export ${((exportedAt - began) / 1_000).toFixed(1)} s, import ${((importedAt - exportedAt) / 1_000).toFixed(1)} s`,
  );
  expect(importedAt - began).toBeLessThan(100_000);
}, 200_000);

async function fill(folder: string, events: readonly Event[]): Promise<void> {
  const store = await open(folder);
  const sequence = events.length === 0 ? 0 : await store.append(events);
  await store.close({ state: applyAll(store.state, events), sequence });
}

async function open(folder: string) {
  return await openStore(scratch.path(folder), {
    allowSnapshotFailure: false,
    allowNetworkFileSystem: true,
    highestIdInLogs: () => -1,
    now: Date.now,
  });
}

async function exported(folder: string, more: { withSecrets?: boolean } = {}): Promise<OfflineOutcome> {
  const task: OfflineTask = {
    kind: "state-export",
    stateDir: scratch.path(folder),
    file: scratch.path("e.toml"),
    withSecrets: more.withSecrets ?? false,
    write: () => false,
  };
  const outcome = await runOffline(task);
  if (outcome.kind !== "exported") throw new Error(JSON.stringify(outcome));
  return outcome;
}

async function importing(folder: string): Promise<OfflineOutcome> {
  return await runOffline({
    kind: "state-import",
    stateDir: scratch.path(folder),
    file: scratch.path("e.toml"),
    dryRun: false,
    allowNetworkFs: true,
  });
}

function stateOf(folder: string) {
  return readState(scratch.path(folder)).state;
}

function jobsOf(folder: string) {
  return [...allJobs({ state: stateOf(folder), forgotten: new Set(), history: scratch.path(folder, "history") })];
}
