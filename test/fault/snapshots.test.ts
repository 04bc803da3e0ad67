/**
 * The snapshots of a real server, abused: cut at every line, damaged at random bytes, missing, alone and together with
 * parts of the journal. Each time the state is read exactly, from the older generation if need be, or refused with all
 * files as they were. Guarantees D4, D5.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openStore, readState } from "../../src/store/recovery.ts";
import { StoreError } from "../../src/store/store-error.ts";
import { plain } from "../store/random-state.ts";
import { contents } from "../store/scratch.ts";
import { TestDaemon } from "../support/daemon.ts";
import { chooseSeed, count, randomFrom, report, timeoutMs } from "./forms.ts";

const seed = chooseSeed();
const randomBytes = count("snapshots", { short: 300, long: 20_000 });
const NEWEST = "snapshot.toml";
const OLDER = "snapshot.1.toml";

let daemon: TestDaemon;
/** As a kill leaves it: two generations, history, and records after the newest. Its server's folders are not touched. */
let whole: string;
let expected: unknown;

beforeAll(async () => {
  daemon = await TestDaemon.start();
  await daemon.ok("machine", "add", "local/1", "local/2", "snap");
  for (let life = 0; life < 3; life++) {
    const jids = [0, 1, 0, 1, 0].map((exitCode) => daemon.add("snap", `exit ${exitCode}`));
    await daemon.ok("job", "add", "nobody", "echo 'waits' # \"quoted\"");
    await daemon.ok("job", "matrix", "add", "nobody", "echo {A}", "A=1,2");
    await daemon.ok("var", "set", `V${life}`, "line");
    for (const jid of jids) await daemon.ended(await jid);
    if (life < 2) {
      await daemon.stop();
      await daemon.start();
    }
  }
  await daemon.kill();
  whole = join(daemon.folder, "whole");
  cpSync(daemon.stateDir, whole, { recursive: true });
  for (const name of [NEWEST, OLDER]) expect(existsSync(join(whole, name))).toBe(true);
  expected = plain(readState(whole).state);
}, 120_000);
afterAll(async () => await daemon[Symbol.asyncDispose]());

/** A copy to be damaged. */
function copied(): string {
  const folder = join(daemon.folder, "copy");
  rmSync(folder, { recursive: true, force: true });
  cpSync(whole, folder, { recursive: true });
  return folder;
}

/** null: exact, or refused with all files as they were. */
async function judged(folder: string, wanted: "exact" | "refused" | "either"): Promise<string | null> {
  const before = listing(folder);
  try {
    const { state } = readState(folder);
    if (wanted === "refused") return "it was read";
    return Bun.deepEquals(plain(state), expected) ? null : "another state was read";
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    if (error.code !== "damaged") return error.message;
    if (wanted === "exact") return error.message;
  }
  try {
    const store = await openStore(folder, {
      allowSnapshotFailure: false,
      allowNetworkFileSystem: true,
      highestIdInLogs: () => -1,
      now: Date.now,
    });
    await store.close(null);
    return "it was opened";
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== "damaged") throw error;
    return Bun.deepEquals(listing(folder), before) ? null : "files were changed by the refusal";
  }
}

/** Hashes of all files, without the lock, which is taken and let go. */
function listing(folder: string): readonly string[] {
  return [...contents(folder)].filter(([name]) => name !== "lock").map(([name, text]) => `${name} ${Bun.hash(text)}`);
}

function lineEnds(file: string): readonly number[] {
  const text = readFileSync(file, "latin1");
  return [0, ...[...text.matchAll(/\n/g)].map((match) => match.index + 1)].filter((end) => end < text.length);
}

describe("the snapshots of a server", () => {
  test(
    `cut at every line and damaged at ${randomBytes} random bytes give the exact state, or are refused and left alone (seed ${seed})`,
    async () => {
      const startedAt = performance.now();
      const chance = randomFrom(seed);
      const wrong: string[] = [];
      let tried = 0;
      const note = (what: string, fault: string | null): void => {
        tried++;
        if (fault !== null) wrong.push(`${what}: ${fault}`);
      };
      const folder = copied();
      const [newest, older] = [join(folder, NEWEST), join(folder, OLDER)];
      const [newestBytes, olderBytes] = [readFileSync(newest), readFileSync(older)];
      for (const end of lineEnds(newest)) {
        writeFileSync(newest, newestBytes.subarray(0, end));
        note(`newest cut at ${end}`, await judged(folder, "exact"));
      }
      writeFileSync(newest, newestBytes);
      for (const end of lineEnds(older)) {
        writeFileSync(older, olderBytes.subarray(0, end));
        note(`older cut at ${end}`, await judged(folder, "exact"));
        // Both: nothing good is left.
        writeFileSync(newest, newestBytes.subarray(0, Math.min(end, newestBytes.length - 1)));
        note(`both cut at ${end}`, await judged(folder, "refused"));
        writeFileSync(newest, newestBytes);
      }
      writeFileSync(older, olderBytes);
      for (let index = 0; index < randomBytes; index++) {
        const at = Math.floor(chance() * newestBytes.length);
        writeFileSync(newest, damagedAt(newestBytes, at, chance));
        note(`newest damaged at ${at}`, await judged(folder, "exact"));
        if (index % 4 !== 0) continue;
        const other = Math.floor(chance() * olderBytes.length);
        writeFileSync(older, damagedAt(olderBytes, other, chance));
        note(`both damaged at ${at} and ${other}`, await judged(folder, "refused"));
        writeFileSync(older, olderBytes);
      }
      report({ name: "snapshots", count: tried, violations: wrong.length, seed, seconds: (performance.now() - startedAt) / 1_000 });
      expect(wrong).toEqual([]);
    },
    timeoutMs(60_000),
  );

  test("and parts of the journal that are missing, in every combination, never give another state, but for the last segment alone", async () => {
    const startedAt = performance.now();
    const segments = readdirSync(join(whole, "journal"))
      .sort()
      .map((name) => join("journal", name));
    const parts = [NEWEST, OLDER, "server-id", ...segments];
    const [last, beforeIt] = segments.toReversed();
    if (last === undefined || beforeIt === undefined) throw new Error("two segments expected");
    const wrong: string[] = [];
    let tried = 0;
    for (let mask = 1; mask < 2 ** parts.length; mask++) {
      const folder = copied();
      const missing = parts.filter((_, index) => (mask & (1 << index)) !== 0);
      for (const part of missing) rmSync(join(folder, part));
      // Nothing says that there was another segment: known, and the one thing that a person can remove unseen.
      if (missing.includes(last) && !missing.includes(beforeIt)) continue;
      tried++;
      const fault = await judged(folder, "either");
      if (fault !== null) wrong.push(`without ${missing.join(", ")}: ${fault}`);
    }
    const seconds = (performance.now() - startedAt) / 1_000;
    report({ name: "snapshots-missing", count: tried, violations: wrong.length, seed: null, seconds, note: parts.join(", ") });
    expect(wrong).toEqual([]);
  }, 120_000);

  test("are taken up by the server itself: the older one with a word about it, none at all with exit code 7", async () => {
    const listed = async (): Promise<string> => {
      await daemon.start();
      const text = await daemon.ok("job", "ls", "0-1000", "--json");
      await daemon.kill();
      return text;
    };
    const before = await listed();
    const newest = join(daemon.stateDir, NEWEST);
    const bytes = readFileSync(newest);
    writeFileSync(newest, bytes.subarray(0, bytes.length / 2));
    expect(await listed()).toBe(before);
    expect(daemon.stderr + readFileSync(join(daemon.logDir, "server.log"), "utf8")).toContain("older-snapshot-used");
    for (const name of [NEWEST, OLDER]) writeFileSync(join(daemon.stateDir, name), bytes.subarray(0, bytes.length / 2));
    const files = listing(daemon.stateDir);
    const { code, stderr } = await daemon.startToFail();
    expect([code, stderr.includes(newest)]).toEqual([7, true]);
    expect(listing(daemon.stateDir)).toEqual(files);
  }, 120_000);
});

function damagedAt(bytes: Buffer, at: number, chance: () => number): Buffer {
  const damaged = Buffer.from(bytes);
  damaged[at] = (damaged[at] ?? 0) ^ (1 + Math.floor(chance() * 255));
  return damaged;
}
