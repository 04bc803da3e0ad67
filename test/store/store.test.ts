/** A state directory as a whole: what is there after reopening, what is refused, and that a refusal touches nothing. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { violations } from "../../src/core/invariants.ts";
import { contents, jobDone, jobsAdded, numbered, Scratch } from "./scratch.ts";
import { busyDirectory, refusalOf, Session, same, stateIn } from "./session.ts";

describe("a fresh directory", () => {
  test("starts empty, private whatever the umask, with a server id that stays", async () => {
    using scratch = new Scratch();
    const folder = scratch.path("deep", "state");
    const mask = process.umask(0);
    const session = await Session.open(folder);
    await session.append(numbered(1));
    await session.store.secrets.set("S", "v");
    await session.close();
    process.umask(mask);
    expect(session.store.notes).toEqual([]);
    for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
      const status = statSync(join(folder, name));
      expect([name, status.mode & 0o777]).toEqual([name, status.isDirectory() ? 0o700 : 0o600]);
    }
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    const again = await Session.open(folder);
    expect(again.store.serverId).toBe(session.store.serverId);
    expect(again.store.serverId).toMatch(/^[0-9a-f]{16}$/);
    await again.drop();
  });

  test("is refused to a second server while the first has it", async () => {
    using scratch = new Scratch();
    const session = await Session.open(scratch.folder);
    expect((await refusalOf(scratch.folder)).data).toEqual({ file: session.store.paths.lock, pid: process.pid });
    await session.drop();
    await stateIn(scratch.folder);
  });
});

describe("reopening", () => {
  test("gives the same state from journal alone, from snapshot alone, and from both", async () => {
    using scratch = new Scratch();
    const first = await Session.open(scratch.folder);
    await first.append({ kind: "machines-added", at: 1, addrs: ["m"], class: "x" }, jobsAdded(0, 5));
    await first.append(...jobDone(0));
    const begun = await first.drop();
    same(await stateIn(scratch.folder), begun);
    const second = await Session.open(scratch.folder);
    const closed = await second.close();
    expect([...begun.jobs.keys()]).toEqual([0, 1, 2, 3, 4]);
    expect([...closed.jobs.keys()]).toEqual([1, 2, 3, 4]);
    same(await stateIn(scratch.folder), closed);
    const third = await Session.open(scratch.folder);
    await third.append(...jobDone(1));
    const expected = await third.drop();
    const read = await stateIn(scratch.folder);
    same(read, expected);
    expect(violations(read)).toEqual([]);
  });

  test("finds ended jobs in history, and no forgotten one, over any number of restarts", async () => {
    using scratch = new Scratch();
    const expected = await busyDirectory(scratch.folder);
    const session = await Session.open(scratch.folder);
    same(session.state, expected);
    const past = await session.store.history.read([0, 1, 2, 999, 5000]);
    expect([...past.keys()]).toEqual([0, 1]);
    expect(past.get(1)).toMatchObject({ jid: 1, state: { kind: "done", run: { runId: "r1" } } });
    const job = past.get(0);
    if (job === undefined) throw new Error("no job 0");
    await session.append({ kind: "job-recalled", job }, { kind: "job-forgotten", jid: 0 });
    expect([...(await session.store.history.read([0, 1])).keys()]).toEqual([1]);
    await session.drop();
    const again = await Session.open(scratch.folder);
    expect([...(await again.store.history.read([0, 1])).keys()]).toEqual([1]);
    await again.close();
    expect(readFileSync(scratch.path("history", "000000.toml"), "utf8")).not.toContain("jid = 0\n");
  });

  test("after a clean stop has no past to read: the last snapshot is without it, and the history has it", async () => {
    using scratch = new Scratch();
    const session = await Session.open(scratch.folder);
    await session.append({ kind: "machines-added", at: 1, addrs: ["m"], class: "x" }, jobsAdded(0, 3));
    await session.append(...jobDone(0));
    await session.close();
    expect(readFileSync(scratch.path("snapshot.toml"), "utf8")).not.toContain('state = "done"');
    const again = await Session.open(scratch.folder);
    expect([...again.state.jobs.keys()]).toEqual([1, 2]);
    expect((await again.store.history.read([0])).get(0)?.state.kind).toBe("done");
    await again.close();
  });

  test("takes nothing more once it is being closed", async () => {
    using scratch = new Scratch();
    const session = await Session.open(scratch.folder);
    await session.append(numbered(1));
    const closed = session.close();
    await expect(session.store.append([numbered(2)])).rejects.toMatchObject({ code: "closed" });
    await expect(session.store.snapshot(session.state, session.store.sequence)).rejects.toMatchObject({ code: "closed" });
    const left = await closed;
    same(await stateIn(scratch.folder), left);
  });

  test("knows what a start would replay, also what processes before it wrote", async () => {
    using scratch = new Scratch();
    const first = await Session.open(scratch.folder);
    await first.append(numbered(1));
    const bytes = first.store.journalBytes;
    await first.drop();
    const second = await Session.open(scratch.folder);
    expect(second.store.journalBytes).toBe(bytes);
    await second.append(numbered(2));
    expect(second.store.journalBytes).toBe(2 * bytes);
    await second.snapshot();
    expect(second.store.journalBytes).toBeLessThan(2 * bytes);
    await second.drop();
  });

  test("keeps the journal since the older snapshot, and no more", async () => {
    using scratch = new Scratch();
    const session = await Session.open(scratch.folder);
    for (let round = 1; round <= 5; round++) {
      await session.append(numbered(round));
      await session.snapshot();
    }
    await session.drop();
    expect(readdirSync(scratch.path("journal"))).toHaveLength(2);
    rmSync(scratch.path("snapshot.toml"));
    same(await stateIn(scratch.folder), session.state);
  });

  test("takes appends made while a snapshot is written", async () => {
    using scratch = new Scratch();
    const session = await Session.open(scratch.folder);
    await session.append({ kind: "machines-added", at: 1, addrs: ["m"], class: "x" }, jobsAdded(0, 3000));
    const snapshot = session.store.snapshot(session.state, session.store.sequence);
    for (let value = 0; value < 50; value++) await session.append(numbered(value));
    await snapshot;
    const expected = await session.drop();
    expect(expected.nextId).toBeGreaterThanOrEqual(3_000);
    same(await stateIn(scratch.folder), expected);
  });

  test("removes the half of secrets.toml that a crash left beside it: its values are in one file only", async () => {
    using scratch = new Scratch();
    const session = await Session.open(scratch.folder);
    await session.store.secrets.set("S", "kept");
    await session.append({ kind: "variable-set", variable: { kind: "secret", name: "S" } });
    await session.drop();
    writeFileSync(scratch.path("secrets.toml.new"), 'format = 1\n[secrets]\nS = "canary', { mode: 0o600 });
    const again = await Session.open(scratch.folder);
    expect(readdirSync(scratch.folder).filter((name) => name.startsWith("secrets"))).toEqual(["secrets.toml"]);
    expect(again.store.secrets.get("S")).toBe("kept");
    await again.close();
  });

  test("removes the value of a secret that no variable names, and keeps the others", async () => {
    using scratch = new Scratch();
    const session = await Session.open(scratch.folder);
    await session.store.secrets.set("KEPT", "a\nb");
    await session.append({ kind: "variable-set", variable: { kind: "secret", name: "KEPT" } });
    await session.store.secrets.set("LEFT", "canary");
    await session.close();
    const again = await Session.open(scratch.folder);
    expect(again.store.notes).toEqual([{ code: "orphan-secrets-removed", data: { count: 1 } }]);
    expect(again.store.secrets.get("KEPT")).toBe("a\nb");
    expect(again.store.secrets.names()).toEqual(["KEPT"]);
    await again.close();
    for (const [name, text] of contents(scratch.folder)) {
      expect(text).not.toContain("canary");
      if (name !== "secrets.toml") expect(text).not.toContain("a\nb");
    }
  });
});

describe("a damaged directory", () => {
  test("with its newest snapshot cut at any line is opened from the older one and the journal, exactly", async () => {
    using scratch = new Scratch();
    const expected = await busyDirectory(scratch.path("whole"));
    const text = readFileSync(scratch.path("whole", "snapshot.toml"), "utf8");
    const ends = [0, ...[...text.matchAll(/\n/g)].map((match) => match.index + 1)].slice(0, -1);
    for (const end of ends) {
      const folder = scratch.path(`cut-${end}`);
      await Bun.$`cp -r ${scratch.path("whole")} ${folder}`;
      writeFileSync(join(folder, "snapshot.toml"), text.slice(0, end));
      const session = await Session.open(folder);
      expect(session.store.notes.map((note) => note.code)).toEqual(["older-snapshot-used", "bad-snapshot-saved"]);
      same(session.state, expected);
      const left = await session.close();
      same(await stateIn(folder), left);
      rmSync(folder, { recursive: true });
    }
    expect(ends.length).toBeGreaterThan(30);
  }, 120_000);

  test("with both snapshots cut at any line, or any byte changed, is refused and left alone", async () => {
    using scratch = new Scratch();
    const folder = scratch.folder;
    await busyDirectory(folder);
    const [newest, older] = [scratch.path("snapshot.toml"), scratch.path("snapshot.1.toml")].map((file) => ({
      file,
      text: readFileSync(file, "latin1"),
    }));
    if (newest === undefined || older === undefined) throw new Error("two snapshots expected");
    for (let at = 0; at < newest.text.length; at += 97) {
      writeFileSync(newest.file, newest.text.slice(0, at), "latin1");
      const changed = String.fromCharCode(older.text.charCodeAt(at % older.text.length) ^ 1);
      const index = at % older.text.length;
      writeFileSync(older.file, older.text.slice(0, index) + changed + older.text.slice(index + 1), "latin1");
      expect(await refusalOf(folder)).toMatchObject({ code: "damaged", data: { file: newest.file } });
    }
  }, 120_000);

  test("without its newest snapshot is opened from the older one; without both it is refused", async () => {
    using scratch = new Scratch();
    const expected = await busyDirectory(scratch.folder);
    rmSync(scratch.path("snapshot.toml"));
    const session = await Session.open(scratch.folder);
    expect(session.store.notes.map((note) => note.data["reason"])).toEqual(["missing"]);
    same(session.state, expected);
    await session.drop();
    rmSync(scratch.path("snapshot.1.toml"));
    expect(await refusalOf(scratch.folder)).toMatchObject({ code: "damaged" });
  });

  test("without its journal, or with a segment missing, is refused", async () => {
    using scratch = new Scratch();
    await busyDirectory(scratch.folder);
    renameSync(scratch.path("journal"), scratch.path("elsewhere"));
    expect(await refusalOf(scratch.folder)).toMatchObject({ code: "damaged", data: { file: scratch.path("journal") } });
    renameSync(scratch.path("elsewhere"), scratch.path("journal"));
    const segments = readdirSync(scratch.path("journal")).sort();
    rmSync(scratch.path("journal", segments.at(-1) ?? ""));
    expect(await refusalOf(scratch.folder)).toMatchObject({ code: "damaged" });
  });

  test("with its newest snapshot cut and the segment begun before it missing is refused: what followed the older one is gone", async () => {
    using scratch = new Scratch();
    await busyDirectory(scratch.folder);
    writeFileSync(scratch.path("snapshot.toml"), "format = 1");
    const last = readdirSync(scratch.path("journal")).sort().at(-1);
    rmSync(scratch.path("journal", last ?? ""));
    expect(await refusalOf(scratch.folder)).toMatchObject({ code: "damaged", data: { file: scratch.path("journal") } });
  });

  test("without snapshot and journal is refused while anything else of a state is there", async () => {
    using scratch = new Scratch();
    mkdirSync(scratch.path("runs", "0123456789abcdef"), { recursive: true });
    expect(await refusalOf(scratch.folder)).toMatchObject({ code: "damaged", data: { file: scratch.path("journal") } });
  });

  test("whose journal lost its end is refused when the history knows later ids", async () => {
    using scratch = new Scratch();
    await busyDirectory(scratch.folder);
    writeFileSync(scratch.path("history", "000007.toml"), "");
    expect(await refusalOf(scratch.folder)).toMatchObject({ code: "damaged" });
  });

  test("without its server id is refused: its runs would not be found", async () => {
    using scratch = new Scratch();
    await busyDirectory(scratch.folder);
    rmSync(scratch.path("server-id"));
    expect(await refusalOf(scratch.folder)).toMatchObject({ code: "damaged", data: { file: scratch.path("server-id") } });
  });

  test("with a torn tail is opened: the tail is saved and cut, and that is noted", async () => {
    using scratch = new Scratch();
    const expected = await busyDirectory(scratch.folder);
    const last = readdirSync(scratch.path("journal")).sort().at(-1) ?? "";
    const whole = readFileSync(scratch.path("journal", last));
    writeFileSync(scratch.path("journal", last), Buffer.concat([whole, whole.subarray(40, 70)]));
    const session = await Session.open(scratch.folder);
    expect(session.store.notes).toMatchObject([{ code: "torn-tail-cut", data: { bytes: 30, offset: whole.length } }]);
    same(session.state, expected);
    await session.drop();
    expect(readFileSync(scratch.path("journal", `${last}.torn-1`))).toEqual(whole.subarray(40, 70));
    expect(readFileSync(scratch.path("journal", last))).toEqual(whole);
  });

  test("with a flipped bit in a record that was durable is refused with file and offset", async () => {
    using scratch = new Scratch();
    await busyDirectory(scratch.folder);
    const last = scratch.path("journal", readdirSync(scratch.path("journal")).sort().at(-1) ?? "");
    const bytes = readFileSync(last);
    bytes[60] = (bytes[60] ?? 0) ^ 4;
    writeFileSync(last, bytes);
    expect(await refusalOf(scratch.folder)).toMatchObject({ code: "damaged", data: { file: last, offset: 32 } });
  });

  test("with an event that does not fit the state is refused at its record", async () => {
    using scratch = new Scratch();
    const session = await Session.open(scratch.folder);
    await session.append(numbered(1));
    await session.store.append([{ kind: "job-held", at: 1, jid: 77 }]);
    await session.drop();
    const refusal = await refusalOf(scratch.folder);
    expect(refusal).toMatchObject({ code: "damaged", data: { file: scratch.path("journal", "00000001") } });
    expect(refusal.data["reason"]).toContain("77");
  });

  test("of a newer release is refused untouched, also when told to allow failures", async () => {
    using scratch = new Scratch();
    await busyDirectory(scratch.folder);
    const body = readFileSync(scratch.path("snapshot.toml"), "utf8")
      .replace("format = 1\n", "format = 9\n")
      .replace(/# end: .*\n$/, "");
    const sha256 = new Bun.CryptoHasher("sha256").update(body).digest("hex");
    writeFileSync(scratch.path("snapshot.toml"), `${body}# end: sequence = 1, jobs = 0, sha256 = ${sha256}\n`);
    for (const allowSnapshotFailure of [false, true]) {
      expect(await refusalOf(scratch.folder, { allowSnapshotFailure })).toMatchObject({ code: "newer-format", data: { format: 9 } });
    }
  });

  test("with a bad secrets file is refused, and the error quotes nothing of it", async () => {
    using scratch = new Scratch();
    await busyDirectory(scratch.folder);
    writeFileSync(scratch.path("secrets.toml"), 'format = 1\n[secrets]\nA = "canary\n');
    const refusal = await refusalOf(scratch.folder);
    expect(refusal.code).toBe("damaged");
    expect(Bun.inspect(refusal)).not.toContain("canary");
  });
});

test("a snapshot that fails leaves journal and older snapshots as they are, and close lets go of the lock", async () => {
  using scratch = new Scratch();
  await busyDirectory(scratch.folder);
  const session = await Session.open(scratch.folder);
  await session.append(numbered(7));
  mkdirSync(scratch.path("snapshot.toml.new"));
  await expect(session.close()).rejects.toMatchObject({ code: "io" });
  rmSync(scratch.path("snapshot.toml.new"), { recursive: true });
  same(await stateIn(scratch.folder), session.state);
});
