import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readRecord } from "../../../src/daemon/copier/record.ts";
import { TargetFolders } from "../../../src/daemon/copier/target-folders.ts";
import { CopyFixture, mustBeCopied, mustFail, sha256, tree } from "./copy-fixture.ts";

// A machine that is busy with other tests.
setDefaultTimeout(120_000);

describe("results whose names are taken", () => {
  test("an equal file is left alone: repeating a copy changes nothing", async () => {
    using fixture = new CopyFixture();
    fixture.write({ "exp7/a": "a", "exp7/sub/b": "b", "exp7.log": "log" });
    mustBeCopied(await fixture.copy());
    const before = statSync(join(fixture.target, "exp7/a"));
    const again = mustBeCopied(await fixture.copy());
    expect(again.displaced).toEqual([]);
    expect(tree(fixture.target)).toEqual(tree(fixture.source));
    expect(statSync(join(fixture.target, "exp7/a")).ino).toBe(before.ino);
  });

  test("a different file is kept as NAME.~1~, then .~2~, and the jobs they belong to are told", async () => {
    using fixture = new CopyFixture();
    const targets = new TargetFolders();
    for (const jid of [1, 2, 3]) {
      fixture.write({ "exp7/a": `of job ${jid}`, "exp7/same": "same" });
      const { displaced } = mustBeCopied(await fixture.copy({ jid, runId: `run${jid}`, targets }));
      expect(displaced).toEqual(jid === 1 ? [] : [{ jid: jid - 1, from: "exp7/a", to: `exp7/a.~${jid - 1}~` }]);
    }
    expect([fixture.read("exp7/a.~1~"), fixture.read("exp7/a.~2~"), fixture.read("exp7/a")]).toEqual(["of job 1", "of job 2", "of job 3"]);
    for (const jid of [1, 2, 3]) {
      const record = await readRecord(join(fixture.target, `.expjobserver/${jid}.toml`));
      const path = jid === 3 ? "exp7/a" : `exp7/a.~${jid}~`;
      expect(record?.files.find((file) => file.path === path)?.sha256).toBe(sha256(`of job ${jid}`));
      expect(record?.files.some((file) => file.path === "exp7/same")).toBe(true);
    }
    expect(readdirSync(join(fixture.target, "exp7")).sort()).toEqual(["a", "a.~1~", "a.~2~", "same"]);
  });

  test("it makes no difference whether what was known was read anew or kept", async () => {
    using fixture = new CopyFixture();
    for (const jid of [1, 2, 3]) {
      fixture.write({ "exp7/a": `of job ${jid}` });
      const { displaced } = mustBeCopied(await fixture.copy({ jid, runId: `run${jid}` }));
      expect(displaced).toEqual(jid === 1 ? [] : [{ jid: jid - 1, from: "exp7/a", to: `exp7/a.~${jid - 1}~` }]);
    }
  });

  test("a user's file, which no record names, is kept as well", async () => {
    using fixture = new CopyFixture();
    mkdirSync(join(fixture.target, "exp7"), { recursive: true });
    writeFileSync(join(fixture.target, "exp7/notes"), "by hand");
    writeFileSync(join(fixture.target, "exp7/a"), "by hand");
    writeFileSync(join(fixture.target, "exp7/a.~1~"), "older");
    fixture.write({ "exp7/a": "new" });
    expect(mustBeCopied(await fixture.copy()).displaced).toEqual([{ jid: null, from: "exp7/a", to: "exp7/a.~2~" }]);
    expect(["a", "a.~1~", "a.~2~", "notes"].map((name) => fixture.read(`exp7/${name}`))).toEqual(["new", "older", "by hand", "by hand"]);
  });

  test("a folder makes way for a file, and a file for a folder, with all that is in it", async () => {
    using fixture = new CopyFixture();
    fixture.write({ "exp7/a": "in the folder", "exp7/sub/b": "b", "exp7-x": "a file" });
    mustBeCopied(await fixture.copy({ jid: 1, runId: "run1" }));
    rmSync(fixture.source, { recursive: true });
    fixture.write({ exp7: "now a file", "exp7-x/a": "now a folder" });
    const { displaced } = mustBeCopied(await fixture.copy({ jid: 2, runId: "run2" }));
    expect([...displaced].sort((left, right) => (left.from < right.from ? -1 : 1))).toEqual([
      { jid: 1, from: "exp7", to: "exp7.~1~" },
      { jid: 1, from: "exp7-x", to: "exp7-x.~1~" },
    ]);
    expect(fixture.read("exp7.~1~/sub/b")).toBe("b");
    expect(fixture.read("exp7")).toBe("now a file");
    expect(fixture.read("exp7-x/a")).toBe("now a folder");
    const record = await readRecord(join(fixture.target, ".expjobserver/1.toml"));
    expect(record?.files.map((file) => file.path).sort()).toEqual(["exp7-x.~1~", "exp7.~1~/a", "exp7.~1~/sub/b"]);
  });

  test("a result that is itself called NAME.~1~ takes no backup's name", async () => {
    using fixture = new CopyFixture();
    fixture.write({ "exp7/a": "1", "exp7/a.~1~": "mine" });
    mustBeCopied(await fixture.copy({ jid: 1, runId: "run1" }));
    fixture.write({ "exp7/a": "2" });
    expect(mustBeCopied(await fixture.copy({ jid: 2, runId: "run2" })).displaced).toEqual([{ jid: 1, from: "exp7/a", to: "exp7/a.~2~" }]);
    expect([fixture.read("exp7/a"), fixture.read("exp7/a.~1~"), fixture.read("exp7/a.~2~")]).toEqual(["2", "mine", "1"]);
  });

  test("30 jobs over one name keep every one", async () => {
    using fixture = new CopyFixture();
    const targets = new TargetFolders();
    for (let jid = 1; jid <= 30; jid += 1) {
      fixture.write({ exp7: `of job ${jid}` });
      const { displaced } = mustBeCopied(await fixture.copy({ jid, runId: "r", targets }));
      if (jid > 1) expect(displaced).toEqual([{ jid: jid - 1, from: "exp7", to: `exp7.~${jid - 1}~` }]);
    }
    expect(fixture.read("exp7.~17~")).toBe("of job 17");
  }, 120_000);
});

describe("a target that cannot be written", () => {
  test("is named with the system's message, and can be tried again", async () => {
    using fixture = new CopyFixture();
    fixture.write({ exp7: "x" });
    writeFileSync(fixture.target, "a file where CP_PATH should be");
    const failure = mustFail(await fixture.copy());
    expect(failure).toMatchObject({ code: "target-unwritable", retryable: true, data: { path: fixture.target } });
    expect(failure.data["message"]).toMatch(/EEXIST|ENOTDIR/);
    rmSync(fixture.target);
    mustBeCopied(await fixture.copy());
  });

  const isRoot = process.getuid?.() === 0;
  if (isRoot) console.warn("SKIPPED: a folder without write permission, because root may write anywhere");
  test.skipIf(isRoot)("without permission it says so", async () => {
    using fixture = new CopyFixture();
    fixture.write({ exp7: "x" });
    mkdirSync(fixture.target);
    chmodSync(fixture.target, 0o500);
    const failure = mustFail(await fixture.copy());
    expect(failure.code).toBe("target-unwritable");
    expect(failure.data["message"]).toContain("EACCES");
  });

  const canMount = isRoot && Bun.which("mount") !== null && mountsHere();
  if (!canMount) console.warn("SKIPPED: a full disk, because a small tmpfs cannot be mounted here");
  test.skipIf(!canMount)("full, it says how much is missing, keeps nothing, and the copy succeeds when there is room", async () => {
    using fixture = new CopyFixture();
    mkdirSync(fixture.target);
    fixture.write({ "exp7/large": Buffer.alloc(6_000_000, 1), "exp7/small": "x" });
    Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", fixture.target]);
    try {
      const failure = mustFail(await fixture.copy());
      expect(failure).toMatchObject({ code: "target-unwritable", retryable: true });
      expect(failure.data["message"]).toContain("no space left");
      expect(tree(fixture.target)).toEqual({});
      Bun.spawnSync(["mount", "-o", "remount,size=20m", fixture.target]);
      mustBeCopied(await fixture.copy());
      expect(tree(fixture.target)).toEqual(tree(fixture.source));
    } finally {
      Bun.spawnSync(["umount", fixture.target]);
    }
  });

  test.skipIf(!canMount)("filled while it is copied, it gives the system's ENOSPC and keeps nothing", async () => {
    using fixture = new CopyFixture();
    mkdirSync(fixture.target);
    // So many names that the inodes run out before the bytes do.
    fixture.write(Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`exp7/${index}`, "x"])));
    Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=100", "tmpfs", fixture.target]);
    try {
      const failure = mustFail(await fixture.copy());
      expect(failure.code).toBe("target-unwritable");
      expect(failure.data["message"]).toContain("ENOSPC");
      expect(readdirSync(join(fixture.target, ".expjobserver/incoming"))).toEqual([]);
      expect(tree(fixture.source)).toHaveProperty("exp7/299");
    } finally {
      Bun.spawnSync(["umount", fixture.target]);
    }
  });
});

describe("the record beside the results", () => {
  test("says how they came to be, and can be read back", async () => {
    using fixture = new CopyFixture();
    fixture.write({ 'exp7/new\nline"\\[[files]]': "x", "exp7/b": "" });
    const facts = { hostname: "node1", kernel: "Linux 6.1", cpu: "A processor" };
    const provenance = {
      command: "measure\n[[files]]\n'\"",
      variables: { n: "1", "odd name": "\n[[files]]\n" },
      machine: "root@node1:22",
      facts,
      startedAt: 1000,
      endedAt: 2500,
      exitCode: 0,
    };
    const outcome = mustBeCopied(await fixture.copy({ provenance, now: () => 9000 }));
    expect(outcome.record).toBe(join(fixture.target, ".expjobserver/7.toml"));
    expect(await readRecord(outcome.record)).toEqual({
      ...provenance,
      jid: 7,
      runId: "run1",
      copiedAt: 9000,
      prefixes: ["exp7"],
      startDirectory: fixture.source,
      files: outcome.files,
      logs: [],
      displaced: [],
      warnings: [],
    });
  });

  test("of 1,200 files is written and read whole", async () => {
    using fixture = new CopyFixture();
    fixture.write(Object.fromEntries(Array.from({ length: 1200 }, (_, index) => [`exp7/${index}`, `${index}`])));
    const outcome = mustBeCopied(await fixture.copy());
    expect((await readRecord(outcome.record))?.files).toEqual(outcome.files);
  });

  test("that is damaged or not there does not stop a copy; what it named is kept all the same", async () => {
    using fixture = new CopyFixture();
    fixture.write({ exp7: "1" });
    const { record } = mustBeCopied(await fixture.copy({ jid: 1, runId: "a" }));
    writeFileSync(record, readFileSync(record, "utf8").slice(0, 60));
    fixture.write({ exp7: "2" });
    expect(mustBeCopied(await fixture.copy({ jid: 2, runId: "b" })).displaced).toEqual([{ jid: null, from: "exp7", to: "exp7.~1~" }]);
    expect(fixture.read("exp7.~1~")).toBe("1");
    expect(await readRecord(join(fixture.target, ".expjobserver/99.toml"))).toBeNull();
    expect(existsSync(record)).toBe(true);
  });
});

function mountsHere(): boolean {
  const tried = Bun.spawnSync(["sh", "-c", "d=$(mktemp -d) && mount -t tmpfs -o size=1m tmpfs $d && umount $d; s=$?; rmdir $d; exit $s"], {
    stderr: "ignore",
  });
  return tried.exitCode === 0;
}
