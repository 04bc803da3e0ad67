/** --allow-snap-fail: an unreadable state is moved, never deleted, and no id is given twice. */
import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { contents, jobsAdded, Scratch } from "./scratch.ts";
import { busyDirectory, refusalOf, Session, same, stateIn } from "./session.ts";

describe("--allow-snap-fail", () => {
  test("moves all that is unreadable aside, deletes nothing, and begins above every id seen anywhere", async () => {
    using scratch = new Scratch();
    await busyDirectory(scratch.folder);
    mkdirSync(scratch.path("runs", "0123456789abcdef", "41.0.abc"), { recursive: true });
    const before = contents(scratch.folder);
    for (const name of ["snapshot.toml", "snapshot.1.toml"]) writeFileSync(scratch.path(name), "no snapshot");
    const session = await Session.open(scratch.folder, { allowSnapshotFailure: true, highestIdInLogs: () => 50 });
    const saved = "unreadable-20261122T120000Z";
    expect(session.store.notes).toMatchObject([{ code: "state-set-aside", data: { saved: scratch.path(saved), nextId: 1000 } }]);
    expect(session.state).toMatchObject({ nextId: 1000, jobs: { size: 0 } });
    for (const [name, text] of before) {
      if (/^(journal|history)\//.test(name)) expect(readFileSync(scratch.path(saved, name), "latin1")).toBe(text);
    }
    expect(existsSync(scratch.path("runs", "0123456789abcdef", "41.0.abc"))).toBe(true);
    await session.append(jobsAdded(1000, 1));
    const expected = await session.drop();
    same(await stateIn(scratch.folder), expected);
    rmSync(scratch.path("snapshot.toml"));
    expect(await refusalOf(scratch.folder)).toMatchObject({ code: "damaged" });
  });

  test.each([
    ["in the journal", (folder: string) => writeFileSync(join(folder, "server-id"), "bad"), 60],
    ["in run directories", (folder: string) => mkdirSync(join(folder, "runs", "a", "77.0.r"), { recursive: true }), 78],
    [
      "in what an interrupted move left",
      (folder: string) => mkdirSync(join(folder, "unreadable-1", "runs", "a", "99.0.r"), { recursive: true }),
      100,
    ],
  ])("sees ids %s", async (_, damage, nextId) => {
    using scratch = new Scratch();
    const session = await Session.open(scratch.folder);
    await session.append(jobsAdded(0, 60));
    await session.drop();
    writeFileSync(scratch.path("server-id"), "bad");
    damage(scratch.folder);
    const state = await stateIn(scratch.folder, { allowSnapshotFailure: true });
    expect(state.nextId).toBe(nextId);
  });

  test("does nothing to a state that is sound", async () => {
    using scratch = new Scratch();
    const expected = await busyDirectory(scratch.folder);
    same(await stateIn(scratch.folder, { allowSnapshotFailure: true }), expected);
    expect(readdirSync(scratch.folder).filter((name) => name.startsWith("unreadable"))).toEqual([]);
  });
});
