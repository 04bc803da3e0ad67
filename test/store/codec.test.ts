/** Snapshot and history codecs: what is written is what is read, exactly, and nothing else is read. */
import { describe, expect, test } from "bun:test";
import { statSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { applyAll } from "../../src/core/apply.ts";
import { EMPTY_STATE, type State } from "../../src/core/state.ts";
import { type Block, encodeBlock } from "../../src/store/history/block-codec.ts";
import { StoredBlock } from "../../src/store/history/stored-block.ts";
import { storePaths } from "../../src/store/paths.ts";
import { readDocument } from "../../src/store/snapshot/document.ts";
import { checkSnapshot, readSnapshot, writeSnapshot } from "../../src/store/snapshot/snapshot-file.ts";
import { decodeState, encodeState, SNAPSHOT_FORMAT } from "../../src/store/snapshot/state-codec.ts";
import { endedJobs, plain, state } from "./random-state.ts";
import { Scratch } from "./scratch.ts";

const ADDED = { kind: "jobs-added", at: 3, timeoutSeconds: null, tag: null } as const;

function document(pieces: Iterable<string>, footer: { readonly sequence: number; readonly jobs: number }): Buffer {
  const body = [...pieces].join("").toWellFormed();
  const sha256 = new Bun.CryptoHasher("sha256").update(body).digest("hex");
  return Buffer.from(`${body}# end: sequence = ${footer.sequence}, jobs = ${footer.jobs}, sha256 = ${sha256}\n`);
}

function roundTrip(before: State, sequence: number): State {
  const bytes = document(encodeState(before, sequence), { sequence, jobs: before.jobs.size });
  const reading = readDocument(bytes, SNAPSHOT_FORMAT);
  if (reading.kind !== "document") throw new Error(JSON.stringify(reading));
  const decoded = decodeState(reading.content, reading.footer);
  if (decoded.kind === "bad") throw new Error(decoded.reason);
  return decoded.state;
}

describe("the snapshot", () => {
  test("gives back any state as it was", () => {
    fc.assert(
      fc.property(state, fc.nat(), (before, sequence) => {
        expect(plain(roundTrip(before, sequence))).toEqual(plain(before));
      }),
      { numRuns: 200 },
    );
  });

  test("is read part by part: a large one comes back as it was, and a table that is twice or without its spec is refused", async () => {
    using scratch = new Scratch();
    const paths = storePaths(scratch.folder);
    const commands = Array.from(
      { length: 3_000 },
      (_, index) => `run ${index} "[[jobs]]"\n[[specs]]\nid = ${index}\n日本🧪 ${"x".repeat(99)}`,
    );
    const before = applyAll(EMPTY_STATE, [
      ...commands.map((cmd, first) => ({ ...ADDED, first, count: 1, spec: specOf("x", cmd) }) as const),
      { ...ADDED, first: 3_000, count: 20_000, spec: specOf("y", "many") },
      { kind: "request-answered", at: 1, id: "r", answer: { kind: "done" } },
    ]);
    await writeSnapshot(paths, { state: before, sequence: 7 });
    const reading = readSnapshot(paths.snapshot);
    if (reading.kind !== "good") throw new Error(JSON.stringify(reading));
    expect(statSync(paths.snapshot).size).toBeGreaterThan(4 * 128 * 1024);
    expect(reading.snapshot.sequence).toBe(7);
    expect(plain(reading.snapshot.state)).toEqual(plain(before));
    expect(checkSnapshot(paths.snapshot)).toEqual({ kind: "whole" });
    const text = [...encodeState(before, 7)].join("");
    for (const broken of [text.replace("\njid = 2999\n", "\njid = 5\n"), text.replace("\nspec = 2999\n", "\nspec = 9999\n")]) {
      writeFileSync(paths.snapshot, document([broken], { sequence: 7, jobs: 23_000 }));
      expect(readSnapshot(paths.snapshot)).toMatchObject({ kind: "bad", reason: expect.stringMatching(/^jobs: job (5|2999) /) });
    }
  });

  test("has one spec for requests that ask for the same one after the other, and comes back as it was with any number of others", () => {
    const texts = [...Array.from({ length: 5_000 }, (_, index) => `run ${index}`), ...Array.from({ length: 10 }, () => "run 0")];
    const events = texts.map((cmd, first) => ({ ...ADDED, first, count: 1, spec: specOf("x", cmd) }) as const);
    const before = applyAll(EMPTY_STATE, events);
    expect([...encodeState(before, 1)].join("").match(/^\[\[specs\]\]$/gm)).toHaveLength(5_001);
    expect(plain(roundTrip(before, 1))).toEqual(plain(before));
  });

  test("has one spec for what is alike wherever it comes from: a recovered one may have its fields in another order", () => {
    const spec = specOf("x", "run");
    const turned = Object.fromEntries(Object.entries(spec).toReversed()) as typeof spec;
    const before = applyAll(EMPTY_STATE, [
      { ...ADDED, first: 0, count: 1, spec },
      { ...ADDED, first: 1, count: 1, spec: turned },
    ]);
    expect([...encodeState(before, 1)].join("").match(/^\[\[specs\]\]$/gm)).toHaveLength(1);
  });

  test("gives back the indexes that apply made", () => {
    const events = [
      { kind: "machines-added", at: 1, addrs: ["a", "b", "c"], class: "x" },
      { kind: "machine-unreachable", at: 2, addr: "b", problem: { code: "unreachable", data: {} } },
      { kind: "jobs-added", at: 3, first: 0, count: 5, spec: specOf("x", "run {A}"), timeoutSeconds: null, tag: null },
      { kind: "job-held", at: 4, jid: 3 },
      { kind: "job-starting", at: 5, jid: 0, run: { runId: "r", machine: "a", log: "l", errLog: "e" }, bootId: null },
    ] as const;
    const before = applyAll(EMPTY_STATE, events);
    expect(plain(roundTrip(before, 1))).toEqual(plain(before));
  });

  test("writes a matrix of 100,000 waiting jobs as a few tables", () => {
    const values = Array.from({ length: 1000 }, (_, index) => String(index));
    const before = applyAll(EMPTY_STATE, [
      {
        kind: "matrix-added",
        at: 1_800_000_000_000,
        id: 0,
        first: 1,
        keys: [{ name: "N", values }],
        repeats: 100,
        spec: specOf("fast", "run {N}"),
        timeoutSeconds: null,
      },
    ]);
    const text = [...encodeState(before, 1)].join("");
    expect(text.match(/^\[\[jobs\]\]$/gm)).toHaveLength(10);
    expect(text).toContain("count = 10000\n");
    expect(plain(roundTrip(before, 1))).toEqual(plain(before));
  });

  test("refuses a field that it does not know", () => {
    const text = [...encodeState(EMPTY_STATE, 1)].join("").replace("next_id = 0", "next_id = 0\nextra = 1");
    const reading = readDocument(document([text], { sequence: 1, jobs: 0 }), SNAPSHOT_FORMAT);
    if (reading.kind !== "document") throw new Error(reading.kind);
    expect(decodeState(reading.content, reading.footer)).toMatchObject({ kind: "bad", reason: expect.stringContaining("extra") });
  });

  test("is told from one of a newer format", () => {
    const text = [...encodeState(EMPTY_STATE, 1)].join("").replace("format = 1\n", "format = 2\n");
    expect(readDocument(document([text], { sequence: 1, jobs: 0 }), SNAPSHOT_FORMAT)).toEqual({ kind: "newer", format: 2 });
  });

  test("shows no value of a secret variable", () => {
    const before = applyAll(EMPTY_STATE, [{ kind: "variable-set", variable: { kind: "secret", name: "PASSWORD" } }]);
    expect([...encodeState(before, 1)].join("")).toContain('name = "PASSWORD"\nsecret = true\n');
  });
});

describe("a history block", () => {
  test("gives back any ended jobs as they were", () => {
    fc.assert(
      fc.property(endedJobs(fc.integer({ min: 3000, max: 3999 })), fc.nat(), (jobs, sequence) => {
        const block: Block = { number: 3, sequence, jobs: new Map(jobs.map((job) => [job.jid, job])) };
        const bytes = document(encodeBlock(block), { sequence, jobs: jobs.length });
        const read = StoredBlock.read(bytes, "f", 3);
        expect([...read.all().values()]).toEqual(jobs.toSorted((a, b) => a.jid - b.jid));
        expect([...read.jids()]).toEqual([...read.all().keys()]);
        expect(() => StoredBlock.read(bytes, "f", 4)).toThrow("damaged");
      }),
      { numRuns: 100 },
    );
  });
});

function specOf(className: string, cmd: string) {
  return { kind: "job", class: className, cmd, copyTo: null, retry: null, notify: false, variables: {}, secrets: [] } as const;
}
