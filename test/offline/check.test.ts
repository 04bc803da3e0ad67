/** `expjobserver check`: says what is wrong and what to do, and never writes. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { appendFileSync, chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CheckReport } from "../../src/config/offline-task.ts";
import { applyAll } from "../../src/core/apply.ts";
import type { Event } from "../../src/core/event.ts";
import { runOffline } from "../../src/offline/offline.ts";
import { openStore } from "../../src/store/recovery.ts";
import { checkLines, findingWords } from "../../src/terminal/check-findings.ts";
import { jobsAdded, numbered, Scratch } from "../store/scratch.ts";

const AT = 1_800_000_000_000;
let scratch: Scratch;
let serverId: string;

beforeEach(async () => {
  scratch = new Scratch();
  serverId = await healthyState();
});
afterEach(() => scratch[Symbol.dispose]());

/** Two snapshots, three segments, a block with jobs 0 and 1, two live jobs, a secret, a token. */
async function healthyState(): Promise<string> {
  const store = await open();
  await store.secrets.set("KEY", "hunter2");
  let state = store.state;
  const append = async (events: readonly Event[]): Promise<number> => {
    state = applyAll(state, events);
    return await store.append(events);
  };
  const gone = (jid: number): Event => ({ kind: "job-canceled", at: AT, jid, exitCode: null, problem: { code: "canceled", data: {} } });
  let sequence = await append([{ kind: "variable-set", variable: { kind: "secret", name: "KEY" } }, jobsAdded(0, 4), gone(0), gone(1)]);
  const ended = await store.snapshot(state, sequence);
  sequence = await append([{ kind: "jobs-archived", jids: ended.map((job) => job.jid), requestsBefore: 0 }]);
  await store.snapshot(state, sequence);
  await append([numbered(1)]);
  await append([numbered(2)]);
  await store.close(null);
  writeFileSync(scratch.path("state", "token"), `${"ab".repeat(32)}\n`, { mode: 0o600 });
  mkdirSync(scratch.path("logs"));
  return store.serverId;
}

async function open() {
  return await openStore(scratch.path("state"), {
    allowSnapshotFailure: false,
    allowNetworkFileSystem: true,
    highestIdInLogs: () => -1,
    now: Date.now,
  });
}

/** Checks, and sees to it that nothing was touched. */
async function checked(knownHosts: string | null = null): Promise<CheckReport> {
  const before = listing();
  const outcome = await runOffline({
    kind: "check",
    stateDir: scratch.path("state"),
    logDir: scratch.path("logs"),
    knownHosts: knownHosts === null ? [] : [knownHosts],
    namedKnownHosts: true,
  });
  expect(listing()).toEqual(before);
  if (outcome.kind !== "checked") throw new Error(JSON.stringify(outcome));
  const { report } = outcome;
  // On a network disk of a test machine that one is rightly told.
  const findings = report.findings.filter((finding) => finding.code !== "network-file-system");
  for (const finding of findings) expect(findingWords(finding).message, finding.code).toMatch(/^["A-Z0-9].*\.$/);
  return { ...report, findings };
}

/** Names, modes, times and contents. */
function listing(): string[] {
  const names = readdirSync(scratch.folder, { recursive: true, encoding: "utf8" }).sort();
  return names.map((name) => {
    const status = statSync(scratch.path(name));
    const content = status.isFile() ? new Bun.CryptoHasher("sha256").update(readFileSync(scratch.path(name))).digest("hex") : "";
    return `${name} ${status.mode.toString(8)} ${status.mtimeMs} ${status.ctimeMs} ${status.size} ${content}`;
  });
}

async function codes(knownHosts: string | null = null): Promise<string[]> {
  return (await checked(knownHosts)).findings.map(({ severity, code }) => `${severity} ${code}`);
}

describe("a healthy state", () => {
  test("has nothing to tell but what was read", async () => {
    const report = await checked();
    expect(report).toMatchObject({ serverPid: null, findings: [], checked: { snapshots: 2, blocks: 1, jobs: 4 } });
    expect(report.checked["records"]).toBeGreaterThanOrEqual(3);
    expect(checkLines(report, { quiet: false })).toEqual([expect.stringMatching(/^All is well: .*; no server runs on it\. Read: /)]);
  });

  test("is as well beside a server, which is named", async () => {
    const store = await open();
    await store.append([numbered(3)]);
    expect(await checked()).toMatchObject({ serverPid: process.pid, findings: [] });
    await store.close(null);
  });
});

describe("damage", () => {
  test("a byte changed in a closed segment, at every place", async () => {
    const [segment = ""] = readdirSync(scratch.path("state", "journal")).sort();
    const file = scratch.path("state", "journal", segment);
    const sound = readFileSync(file);
    for (let at = 0; at < sound.length; at += 3) {
      const bytes = Buffer.from(sound);
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      writeFileSync(file, bytes);
      const found = await codes();
      expect(
        found.some((code) => code === "damage damaged" || code === "damage newer-format"),
        `byte ${at}: ${found}`,
      ).toBe(true);
    }
  });

  test.each(["snapshot.toml", "snapshot.1.toml"])("%s without its footer", async (name) => {
    const file = scratch.path("state", name);
    const text = readFileSync(file, "utf8");
    writeFileSync(file, text.slice(0, text.lastIndexOf("# end:")));
    expect(await codes()).toContain("damage bad-snapshot");
  });

  test("a history block that was edited, and one that is gone", async () => {
    const file = scratch.path("state", "history", "000000.toml");
    appendFileSync(file, "# a remark\n");
    expect(await codes()).toEqual(["damage damaged"]);
    rmSync(file);
    expect(await codes()).toEqual(["damage jobs-missing"]);
  });

  test("secrets and server id that cannot be read", async () => {
    writeFileSync(scratch.path("state", "secrets.toml"), "hunter2 = ");
    const report = await checked();
    expect(report.findings).toMatchObject([{ severity: "damage", code: "damaged" }]);
    expect(JSON.stringify(report)).not.toContain("hunter2");
    writeFileSync(scratch.path("state", "server-id"), "x");
    expect(await codes()).toContain("damage damaged");
  });
});

describe("what needs a person", () => {
  test.each(["token", "secrets.toml", "snapshot.toml", "journal", "."])(
    "%s open to others, with the command that mends it",
    async (name) => {
      chmodSync(join(scratch.path("state"), name), 0o755);
      const { findings } = await checked();
      expect(findings).toMatchObject([{ severity: "attention", code: "open-to-others", data: { mode: "755" } }]);
      expect(findings.map((finding) => findingWords(finding).hint)).toEqual([expect.stringMatching(/^chmod [67]00 \//)]);
    },
  );

  test("a token that is none", async () => {
    truncateSync(scratch.path("state", "token"), 20);
    expect(await codes()).toEqual(["attention token-malformed"]);
  });

  test("a secret without a value", async () => {
    rmSync(scratch.path("state", "secrets.toml"));
    expect(await codes()).toEqual(["attention secret-missing"]);
  });

  test("run directories that belong to nobody; one of an ended job is only noted", async () => {
    const runs = scratch.path("state", "runs");
    mkdirSync(join(runs, serverId, "0.0.aa"), { recursive: true });
    // Kept for a run to come.
    mkdirSync(join(runs, serverId, "spare.0123abcd.7"));
    expect(await codes()).toEqual(["note run-left"]);
    mkdirSync(join(runs, serverId, "99.0.bb"));
    mkdirSync(join(runs, serverId, "stray"));
    mkdirSync(join(runs, "0123456789abcdef"));
    expect((await codes()).sort()).toEqual([
      "attention run-of-no-job",
      "attention run-unknown",
      "attention runs-of-another",
      "note run-left",
    ]);
  });

  test("lines of known_hosts that are passed over, by their number", async () => {
    const key = "AAAAC3NzaC1lZDI1NTE5AAAAIEhIjhT4sWwSq6Wyaay6Yl3oZyl1VVLxkUJ1VvTz8OyM";
    const lines = [
      "# remark",
      "",
      `host ssh-ed25519 ${key}`,
      `@revoked [h]:22 ssh-ed25519 ${key} me`,
      "host ssh-ed25519",
      `host ssh-rsa ${key}`,
    ];
    writeFileSync(scratch.path("known"), `${lines.join("\n")}\n@wrong host ssh-ed25519 ${key}\n`);
    const { findings } = await checked(scratch.path("known"));
    expect(findings.map(({ code, data }) => [code, data["line"]])).toEqual([5, 6, 7].map((line) => ["known-hosts-line", String(line)]));
    expect(await codes(scratch.path("no such file"))).toEqual(["attention known-hosts-unreadable"]);
  });

  test("a log folder that is none, and a state folder that is not there", async () => {
    rmSync(scratch.path("logs"), { recursive: true });
    expect(await codes()).toEqual([]);
    writeFileSync(scratch.path("logs"), "");
    expect(await codes()).toEqual(["attention log-folder-kind"]);
    rmSync(scratch.path("state"), { recursive: true });
    expect(await codes()).toEqual(["attention no-state", "attention log-folder-kind"]);
  });
});

test("what the next start mends by itself is noted, and needs nobody", async () => {
  const [last = ""] = readdirSync(scratch.path("state", "journal")).sort().reverse();
  appendFileSync(scratch.path("state", "journal", last), Buffer.from([1, 2, 3]));
  writeFileSync(scratch.path("state", "snapshot.toml.new"), "half", { mode: 0o600 });
  expect((await codes()).sort()).toEqual(["note left-behind", "note torn-tail"]);
});
