import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import {
  createRunDirectory,
  listRunDirectories,
  parsePidLine,
  parseRunDirectoryName,
  parseStatus,
  readRunDirectory,
  runDirectoryName,
  withdrawRun,
} from "../../../src/daemon/runner/run-directory.ts";

const BOOT = "14900664-06c4-428a-94fe-a00b5b56339a";

describe("a run directory", () => {
  let folder: string;
  let count = 0;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "expjob-run-directory-"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const holding = (files: Readonly<Record<string, string>>) => {
    count += 1;
    const directory = join(folder, `${count}.0.r`);
    mkdirSync(directory);
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
    return directory;
  };

  test("has a name that reads back", () => {
    const run = fc.record({ jid: fc.nat(), command: fc.nat({ max: 999_999_999 }), runId: fc.stringMatching(/^[0-9a-z]+$/) });
    fc.assert(fc.property(run, (one) => expect(parseRunDirectoryName(runDirectoryName(one))).toEqual(one)));
    for (const name of ["", "1", "1.0", "1.0.", "01.0.a", "1.0.A", "1.0.a/b", "-1.0.a", "1.0.a.b", "1.0.a\n"]) {
      expect(parseRunDirectoryName(name)).toBeNull();
    }
  });

  test.each([
    ["unclaimed", {}],
    ["claimed", { claim: "" }],
    ["claimed", { claim: "", pid: "" }],
    ["claimed", { claim: "", pid: `12 34 ${BOOT} en` }],
    ["withdrawn", { claim: "withdrawn end\n" }],
    ["withdrawn", { claim: "", pid: "withdrawn end\n" }],
    ["refused", { claim: "", status: "refused log end\n" }],
    ["begun", { claim: "", pid: `12 34 ${BOOT} end\n` }],
    ["begun", { claim: "", pid: `12 34 ${BOOT} end\n`, status: "" }],
    ["begun", { claim: "", pid: `12 34 ${BOOT} end\n`, status: "1" }],
    ["exited", { claim: "", pid: `12 34 ${BOOT} end\n`, status: "1 end\n" }],
    ["exited", { claim: "", pid: "", status: "1 end\n" }],
  ])("is %s with %p", (kind, files) => {
    expect(readRunDirectory(holding(files)).kind).toBe(kind as "begun");
  });

  test("is missing when it is not there", () => {
    expect(readRunDirectory(join(folder, "nothing"))).toEqual({ kind: "missing" });
  });

  test("tells what is damaged", () => {
    const directory = holding({ claim: "", pid: `12 34 ${BOOT} end\n`, status: "garbage\n" });
    expect(readRunDirectory(directory)).toMatchObject({ kind: "begun", damage: join(directory, "status") });
  });

  test.each([
    ["a FIFO", (path: string) => spawnSync("mkfifo", [path])],
    ["a folder", (path: string) => mkdirSync(path)],
    ["a link to a status", (path: string) => symlinkSync(join(holding({ status: "0 end\n" }), "status"), path)],
    ["a link into nowhere", (path: string) => symlinkSync("/nonexistent/x", path)],
    ["a gigabyte", (path: string) => truncateSync(writeEmpty(path), 2 ** 30)],
  ])("takes %s in the place of a status for damage, at once", (_what, make) => {
    const directory = holding({ claim: "", pid: `12 34 ${BOOT} end\n` });
    make(join(directory, "status"));
    expect(readRunDirectory(directory).kind).toBe("begun");
  });

  test("status and pid count only as the supervisor writes them", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 255 }), (exitCode) =>
        expect(parseStatus(`${exitCode} end\n`)).toEqual({ kind: "exited", exitCode }),
      ),
    );
    const full = `4711 99 ${BOOT} end\n`;
    expect(parsePidLine(full)).toEqual({ pid: 4711, startTime: 99, bootId: BOOT });
    for (let cut = 0; cut < full.length; cut += 1) expect(parsePidLine(full.slice(0, cut))).toBeNull();
    for (let cut = 0; cut < "137 end\n".length; cut += 1) expect(parseStatus("137 end\n".slice(0, cut))).toBeNull();
    for (const text of ["0 99 x end\n", `0 99 ${BOOT} end\n`, `-1 99 ${BOOT} end\n`, ` ${full}`, full + full])
      expect(parsePidLine(text)).toBeNull();
  });

  test("can be withdrawn until it has begun, again and again", () => {
    expect(withdrawRun(join(folder, "new", "1.0.r"))).toBe(true);
    const claimed = holding({ claim: "" });
    expect([withdrawRun(claimed), withdrawRun(claimed), readRunDirectory(claimed).kind]).toEqual([true, true, "withdrawn"]);
    const begun = holding({ claim: "", pid: `12 34 ${BOOT} end\n` });
    expect([withdrawRun(begun), readRunDirectory(begun).kind]).toEqual([false, "begun"]);
  });

  test("is for its owner only, and may be there already", () => {
    const directory = join(folder, "deep", "er", "1.0.r");
    createRunDirectory(directory);
    createRunDirectory(directory);
    for (const path of [directory, join(folder, "deep", "er"), join(folder, "deep")]) expect(statSync(path).mode & 0o777).toBe(0o700);
  });

  test("is listed, and what is none is named", () => {
    const root = join(folder, "root");
    expect(listRunDirectories(root)).toEqual({ runs: [], strangers: [] });
    for (const name of ["7.0.abc", "8.2.z9", "notes"]) mkdirSync(join(root, name), { recursive: true });
    writeFileSync(join(root, "9.0.file"), "");
    const { runs, strangers } = listRunDirectories(root);
    expect(runs.sort((a, b) => a.jid - b.jid)).toEqual([
      { jid: 7, command: 0, runId: "abc" },
      { jid: 8, command: 2, runId: "z9" },
    ]);
    expect(strangers.sort()).toEqual(["9.0.file", "notes"]);
  });
});

function writeEmpty(path: string): string {
  writeFileSync(path, "");
  return path;
}
