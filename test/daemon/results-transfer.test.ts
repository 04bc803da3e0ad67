/** `job cpresults` and `mvresults` with real files: what is where afterwards, and what the records say. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FILES_INLINE_MAX } from "../../src/core/job.ts";
import { readRecord } from "../../src/daemon/copier/record.ts";
import { contents, Scene, write } from "./transfer/scene.ts";

setDefaultTimeout(120_000);

const FILES = { "out/a": "first", "out/sub/b": "second" };

describe("results and logs that are copied", () => {
  test("are in the new place with a record beside them; the job's own stay where they were, and say so", async () => {
    await using scene = await Scene.open();
    const jid = await scene.ended(FILES);
    const before = await scene.job(jid);
    const taken = await scene.take(jid, scene.path("new/{JID}"));
    expect(taken).toMatchObject({
      resultsPath: scene.path("new/0/out"),
      log: scene.path("new/0/0-log"),
      fileCount: 2,
      bytes: 11,
      problems: [],
    });
    expect(contents(scene.path("new/0"))).toEqual({
      ...FILES,
      "0-log": readFileSync(scene.path("0-log"), "utf8"),
      "0-log.err": "errors of job 0\n",
    });
    const record = await readRecord(scene.path("new/0/.expjobserver/0.toml"));
    expect(record?.files.map((file) => file.path).toSorted()).toEqual(["out/a", "out/sub/b"]);
    expect(record?.logs.map((file) => file.path)).toEqual(["0-log", "0-log.err"]);
    expect(contents(scene.path("results"))).toEqual(FILES);
    expect(await scene.job(jid)).toEqual(before);
  });

  test("again are left as they are, also when jobs with equal names are in one folder", async () => {
    await using scene = await Scene.open();
    for (const text of ["one", "two"]) await scene.ended({ "out/a": text }, { copyTo: scene.path("results/{JID}") });
    const to = scene.path("new");
    for (const jid of [0, 1]) expect((await scene.take(jid, to)).problems).toEqual([]);
    const first = contents(to);
    expect(first).toMatchObject({ "out/a": "two", "out/a.~1~": "one" });
    for (const jid of [0, 1, 1, 0]) expect((await scene.take(jid, to)).problems).toEqual([]);
    expect(contents(to)).toEqual(first);
    expect((await readRecord(join(to, ".expjobserver/0.toml")))?.files.map((file) => file.path)).toEqual(["out/a.~1~"]);
    expect(readdirSync(join(to, ".expjobserver/incoming"))).toEqual([]);
  });

  test("of a job that is forgotten meanwhile are whole in the old place, and the answer is that there is no such job", async () => {
    await using scene = await Scene.open();
    const jid = await scene.ended(FILES);
    // Whoever records the move finds the job gone.
    const taking = scene.take(jid, scene.path("new"), "move");
    await scene.daemon.cancel(jid, true);
    expect(await taking.catch((error: unknown) => error)).toMatchObject({ code: "no-such-job", data: { jid } });
    expect(contents(scene.path("results"))).toEqual(FILES);
    expect(scene.daemon.log.errors).toEqual([]);
  });

  test("never overwrite: a differing file of a user, and of another job, is kept as NAME.~1~, and that job's record follows", async () => {
    await using scene = await Scene.open();
    const to = scene.path("new");
    const other = await scene.ended({ "out/a": "other" }, { copyTo: to });
    const jid = await scene.ended(FILES, { copyTo: scene.path("results") });
    write(join(to, "out/sub/b"), "by hand");
    expect((await scene.take(jid, to)).problems).toEqual([]);
    expect(contents(to)).toMatchObject({ ...FILES, "out/a.~1~": "other", "out/sub/b.~1~": "by hand" });
    expect((await scene.results(other)).files?.map((file) => file.path)).toEqual(["out/a.~1~"]);
  });

  test("leave out what a user has changed, removed or made a link, name it, and take the rest", async () => {
    await using scene = await Scene.open();
    const jid = await scene.ended({ ...FILES, "out/c": "third", "out/d/e": "fourth" });
    writeFileSync(scene.path("results/out/a"), "FIRST");
    rmSync(scene.path("results/out/sub/b"));
    renameSync(scene.path("results/out/d"), scene.path("elsewhere"));
    symlinkSync(scene.path("elsewhere"), scene.path("results/out/d"));
    const taken = await scene.take(jid, scene.path("new"));
    expect(taken.problems.map(({ code, data }) => [code, data["path"]]).toSorted()).toEqual([
      ["results-altered", scene.path("results/out/a")],
      ["results-altered", scene.path("results/out/d/e")],
      ["results-gone", scene.path("results/out/sub/b")],
    ]);
    expect(Object.keys(contents(scene.path("new"))).toSorted()).toEqual(["0-log", "0-log.err", "out/c"]);
  });

  test("of a job that failed or was canceled are its logs; a log that is gone is named, one that was compressed is taken", async () => {
    await using scene = await Scene.open();
    const jid = await scene.ended(FILES, { exitCode: 3 });
    rmSync(scene.path("0-log.err"));
    writeFileSync(scene.path("0-log.gz"), "compressed");
    rmSync(scene.path("0-log"));
    const taken = await scene.take(jid, scene.path("new"), "move");
    expect(taken).toMatchObject({ resultsPath: null, log: scene.path("new/0-log"), errLog: null });
    expect(taken.problems.map(({ code, data }) => [code, data["path"]])).toEqual([["log-gone", scene.path("0-log.err")]]);
    expect(contents(scene.path("new"))).toEqual({ "0-log.gz": "compressed" });
    expect(await scene.logs(jid)).toEqual([scene.path("new/0-log"), scene.path("0-log.err")]);
    expect((await scene.job(jid)).state.kind).toBe("failed");
  });

  test("into the folder where they are: only the logs come along, and nothing is lost", async () => {
    await using scene = await Scene.open();
    const jid = await scene.ended(FILES);
    symlinkSync(scene.path("results"), scene.path("same"));
    for (const mode of ["copy", "move", "move", "copy"] as const) {
      expect((await scene.take(jid, scene.path("same"), mode)).problems).toEqual([]);
      expect(contents(scene.path("results"))).toMatchObject({ ...FILES, "0-log.err": "errors of job 0\n" });
    }
    expect((await readRecord((await scene.results(jid)).record))?.files).toHaveLength(2);
  });

  test("end with their reader before anything is in place", async () => {
    await using scene = await Scene.open();
    const jid = await scene.ended(FILES);
    const taken = await scene.take(jid, scene.path("new"), "move", AbortSignal.abort());
    expect(taken.problems.map(({ code }) => code)).toEqual(["canceled"]);
    expect(contents(scene.path("new"))).toEqual({});
    expect((await scene.results(jid)).path).toBe(scene.path("results/out"));
  });
});

describe("results and logs that are moved", () => {
  test("are in the new place only, the job says so, and moving them again changes nothing", async () => {
    await using scene = await Scene.open();
    const jid = await scene.ended(FILES);
    const log = readFileSync(scene.path("0-log"), "utf8");
    for (let times = 1; times <= 2; times += 1) {
      expect((await scene.take(jid, scene.path("new"), "move")).problems).toEqual([]);
      expect(contents(scene.path("new"))).toEqual({ ...FILES, "0-log": log, "0-log.err": "errors of job 0\n" });
      // The folder itself is the user's; what we made in it is gone.
      expect(readdirSync(scene.path("results"))).toEqual([]);
      expect(await scene.results(jid)).toMatchObject({ path: scene.path("new/out"), record: scene.path("new/.expjobserver/0.toml") });
      expect(await scene.logs(jid)).toEqual([scene.path("new/0-log"), scene.path("new/0-log.err")]);
      expect(existsSync(scene.path("0-log"))).toBe(false);
    }
    expect((await scene.take(jid, scene.path("newer"), "move")).problems).toEqual([]);
    expect(readdirSync(scene.path("new"))).toEqual([]);
    expect(await scene.logs(jid)).toEqual([scene.path("newer/0-log"), scene.path("newer/0-log.err")]);
  });

  test("leave other jobs' files, a user's own, and what was changed since; the record there keeps what stayed", async () => {
    await using scene = await Scene.open();
    const jid = await scene.ended({ ...FILES, "out/c": "third" });
    const other = await scene.ended({ out2: "of the other" }, { prints: ["out2"] });
    write(scene.path("results/out/notes"), "by hand");
    writeFileSync(scene.path("results/out/c"), "THIRD");
    const taken = await scene.take(jid, scene.path("new"), "move");
    expect(taken.problems.map(({ code }) => code)).toEqual(["results-altered"]);
    expect(contents(scene.path("results"))).toEqual({ "out/notes": "by hand", "out/c": "THIRD", out2: "of the other" });
    expect((await readRecord(scene.path("results/.expjobserver/0.toml")))?.files.map((file) => file.path)).toEqual(["out/c"]);
    expect((await scene.results(jid)).files?.map((file) => file.path).toSorted()).toEqual(["out/a", "out/sub/b"]);
    expect((await scene.results(other)).path).toBe(scene.path("results/out2"));
  });

  test("leave a file that equals another job's and has the same name to that job", async () => {
    await using scene = await Scene.open();
    const [first, second] = [await scene.ended(FILES), await scene.ended({ "out/a": "of the second" })];
    for (const jid of [first, second]) {
      expect((await scene.take(jid, scene.path("new", String(jid)), "move")).problems).toEqual([]);
      if (jid === first) expect(contents(scene.path("results"))).toEqual({ "out/a": "of the second", "out/sub/b": "second" });
    }
    expect(contents(scene.path("new/0"))).toMatchObject({ "out/a.~1~": "first", "out/sub/b": "second" });
    expect(contents(scene.path("new/1"))).toMatchObject({ "out/a": "of the second", "out/sub/b": "second" });
    expect(readdirSync(scene.path("results"))).toEqual([]);
  });

  test("of a job of the past, with more files than a job keeps: the record beside them has the list", async () => {
    await using scene = await Scene.open();
    const files = Object.fromEntries(Array.from({ length: FILES_INLINE_MAX + 5 }, (_, index) => [`out/f${index}`, `text ${index}`]));
    const jid = await scene.ended(files);
    const ended = await scene.job(jid);
    await scene.daemon.store.snapshot(scene.daemon.engine.state, scene.daemon.engine.sequence);
    await scene.daemon.engine.observe({ kind: "jobs-in-history", jobs: [ended] });
    expect(scene.daemon.engine.state.jobs.has(jid)).toBe(false);
    expect((await scene.take(jid, scene.path("new"), "move")).problems).toEqual([]);
    expect(await scene.results(jid)).toMatchObject({ files: null, fileCount: FILES_INLINE_MAX + 5, path: scene.path("new/out") });
    expect(contents(scene.path("new"))).toMatchObject(files);
    expect(contents(scene.path("results"))).toEqual({});
    rmSync(scene.path("new/.expjobserver/0.toml"));
    expect((await scene.take(jid, scene.path("newer"), "move")).problems.map(({ code }) => code)).toEqual(["record-unreadable"]);
    expect(contents(scene.path("new"))).toMatchObject(files);
  });

  test("stay where they are when the server stops in between: its record is what counts", async () => {
    await using scene = await Scene.open();
    const jid = await scene.ended(FILES);
    scene.daemon.engine.stop();
    await scene.take(jid, scene.path("new"), "move");
    expect(contents(scene.path("results"))).toEqual(FILES);
    expect((await scene.results(jid)).path).toBe(scene.path("results/out"));
    expect(existsSync(scene.path("0-log"))).toBe(true);
  });

  const isRoot = process.getuid?.() === 0;
  if (!isRoot) console.warn("SKIPPED: a move to another file system, because only root can mount one");
  test.skipIf(!isRoot)("to another file system, and from one that is full, arrive whole", async () => {
    await using scene = await Scene.open();
    const jid = await scene.ended({ ...FILES, "out/large": "x".repeat(3_000_000) });
    mkdirSync(scene.path("small"));
    Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=1m", "none", scene.path("small")]);
    try {
      const refused = await scene.take(jid, scene.path("small/new"), "move");
      expect(refused.problems.map(({ code }) => code)).toEqual(["target-unwritable"]);
      expect(contents(scene.path("small"))).toEqual({});
      expect(Object.keys(contents(scene.path("results")))).toHaveLength(3);
      Bun.spawnSync(["mount", "-o", "remount,size=20m", scene.path("small")]);
      expect((await scene.take(jid, scene.path("small/new"), "move")).problems).toEqual([]);
      expect(contents(scene.path("small/new"))["out/large"]).toHaveLength(3_000_000);
      expect(contents(scene.path("results"))).toEqual({});
      // Bound to another name it is the same folder: nothing may be removed there.
      mkdirSync(scene.path("bound"));
      Bun.spawnSync(["mount", "--bind", scene.path("small/new"), scene.path("bound")]);
      expect((await scene.take(jid, scene.path("bound"), "move")).problems).toEqual([]);
      expect(Object.keys(contents(scene.path("small/new"))).toSorted()).toEqual(["0-log", "0-log.err", "out/a", "out/large", "out/sub/b"]);
    } finally {
      Bun.spawnSync(["umount", scene.path("bound")], { stderr: "ignore" });
      Bun.spawnSync(["umount", scene.path("small")]);
    }
  });
});

describe("results that were never copied", () => {
  test("are fetched from the machine: the job is done, and what was kept there for them goes", async () => {
    await using scene = await Scene.open({ isTargetFull: true });
    const jid = await scene.ended(FILES);
    expect((await scene.job(jid)).state).toMatchObject({ kind: "failed", resultsNotCopied: true });
    expect(scene.daemon.hosts.runs.size).toBe(1);
    const taken = await scene.take(jid, scene.path("new"));
    expect(taken).toMatchObject({ resultsPath: scene.path("new/out"), fileCount: 2, problems: [] });
    expect(await scene.results(jid)).toMatchObject({ path: scene.path("new/out") });
    expect(contents(scene.path("new"))).toMatchObject({ ...FILES, "0-log.err": "errors of job 0\n" });
    expect(scene.daemon.hosts.runs.size).toBe(0);
    expect(contents(scene.path("machine"))).toEqual(FILES);
  });

  test("have what was passed over as a warning of the job; that is no error", async () => {
    await using scene = await Scene.open({ isTargetFull: true });
    mkdirSync(scene.path("machine/out"), { recursive: true });
    symlinkSync("/etc/passwd", scene.path("machine/out/link"));
    const jid = await scene.ended(FILES);
    const taken = await scene.take(jid, scene.path("new"));
    expect([taken.problems, taken.warnings.map(({ code }) => code)]).toEqual([[], ["results-skipped"]]);
    expect((await scene.job(jid)).state).toMatchObject({ kind: "done", warning: { code: "results-skipped" } });
    expect(existsSync(scene.path("new/out/link"))).toBe(false);
  });

  test("because they were to be recorded only can be fetched later", async () => {
    await using scene = await Scene.open();
    const jid = await scene.ended(FILES, { copyTo: null });
    expect((await scene.job(jid)).state).toMatchObject({ kind: "done", results: null });
    expect((await scene.take(jid, scene.path("new"), "move")).problems).toEqual([]);
    expect(await scene.results(jid)).toMatchObject({ path: scene.path("new/out"), fileCount: 2 });
    expect(await scene.logs(jid)).toEqual([scene.path("new/0-log"), scene.path("new/0-log.err")]);
  });

  test("and are not there any more leave the job as it is, say why, and its log is taken all the same", async () => {
    await using scene = await Scene.open({ isTargetFull: true });
    const jid = await scene.ended(FILES);
    rmSync(scene.path("machine"), { recursive: true });
    const taken = await scene.take(jid, scene.path("new"));
    expect(taken).toMatchObject({ resultsPath: null, log: scene.path("new/0-log") });
    expect(taken.problems.map(({ code }) => code)).toEqual(["results-missing"]);
    expect((await scene.job(jid)).state).toMatchObject({ kind: "failed", resultsNotCopied: true });
  });

  test("asked for twice at once are fetched once", async () => {
    await using scene = await Scene.open({ isTargetFull: true });
    const jid = await scene.ended(FILES);
    const both = await Promise.all([scene.take(jid, scene.path("new"), "move"), scene.take(jid, scene.path("new"), "move")]);
    expect(both.map(({ resultsPath, problems }) => [resultsPath, problems])).toEqual([
      [scene.path("new/out"), []],
      [scene.path("new/out"), []],
    ]);
    expect(Object.keys(contents(scene.path("new"))).toSorted()).toEqual(["0-log", "0-log.err", "out/a", "out/sub/b"]);
  });
});
