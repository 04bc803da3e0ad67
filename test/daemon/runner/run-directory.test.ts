import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import fc from "fast-check";
import {
  createRunDirectory,
  listRunDirectories,
  parseClaim,
  parseExit,
  readExitCode,
  readRunDirectory,
  withdrawRun,
} from "../../../src/daemon/runner/run-directory.ts";
import { runFileOf } from "../../support/run-file.ts";

const BOOT = "14900664-06c4-428a-94fe-a00b5b56339a";

describe("a run directory", () => {
  let folder: string;
  let count = 0;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "expjob-run-directory-"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  /** A directory whose run file says this; `NAME` is its name. */
  const holding = (text: string | null) => {
    count += 1;
    const directory = join(folder, `${count}.0.r`);
    mkdirSync(directory);
    if (text !== null) writeFileSync(runFileOf(directory), text.replaceAll("NAME", `${count}.0.r`));
    return directory;
  };

  const BEGUN = `\nbegin 12 34 ${BOOT} NAME end\n`;

  test.each([
    ["unclaimed", null],
    ["unclaimed", ""],
    ["unclaimed", "\n"],
    ["unclaimed", BEGUN.trimEnd()],
    ["unclaimed", `\nbegin 12 34 ${BOOT} 1.0.other end\n\nexit 0 1.0.other end\n`],
    ["withdrawn", "\nwithdrawn NAME end\n"],
    ["withdrawn", `\nbegin 12 34 ${BOOT} NAME\nwithdrawn NAME end\n`],
    ["withdrawn", `\nwithdrawn NAME end\n${BEGUN}`],
    ["refused", "\nrefused log NAME end\n"],
    ["begun", BEGUN],
    ["begun", `${BEGUN}\nwithdrawn NAME end\n`],
    ["begun", `${BEGUN}\nrefused log NAME end\n`],
    ["begun", `${BEGUN}\nexit 1 NAME end`],
    ["begun", `${BEGUN}\nexit 1 1.0.other end\n`],
    ["exited", `${BEGUN}\nexit 1 NAME end\n`],
    ["exited", `${BEGUN}\nexit 1 NAME end\n\nwithdrawn NAME end\n\nrefused log NAME end\n`],
    ["exited", `${BEGUN}\nexit\nexit 1 NAME end\n`],
    ["exited", "\nexit 1 NAME end\n"],
    ["damaged", "\nwho knows NAME end\n"],
    ["damaged", `garbage${BEGUN.trimStart()}`],
  ])("is %s with %p", (kind, text) => {
    expect(readRunDirectory(holding(text)).kind).toBe(kind as "begun");
  });

  test("is missing when it is not there", () => {
    expect(readRunDirectory(join(folder, "nothing"))).toEqual({ kind: "missing" });
  });

  test("tells what is damaged", () => {
    const directory = holding(`${BEGUN}garbage\n`);
    expect(readRunDirectory(directory)).toMatchObject({ kind: "begun", damage: runFileOf(directory) });
    for (const sound of [BEGUN, `${BEGUN}\nwithdrawn NAME end\n`])
      expect(readRunDirectory(holding(sound))).toMatchObject({ kind: "begun", damage: null });
  });

  test.each([
    ["a FIFO", "damaged", (path: string) => spawnSync("mkfifo", [path])],
    ["a folder", "damaged", (path: string) => mkdirSync(path)],
    ["a link to another", "damaged", (path: string) => symlinkSync(runFileOf(holding(BEGUN)), path)],
    ["a link into nowhere", "damaged", (path: string) => symlinkSync("/nonexistent/x", path)],
    ["a gigabyte of nothing", "damaged", (path: string) => truncateSync(writeEmpty(path), 2 ** 30)],
  ])("with %s in the place of its file is %s, at once", (_what, kind, make) => {
    const directory = holding(null);
    make(runFileOf(directory));
    expect(readRunDirectory(directory).kind).toBe(kind as "begun");
  });

  test("lines count only as they were written, whole and for this run", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 255 }), (exitCode) => expect(parseExit(`exit ${exitCode} 1.0.r end`, "1.0.r")).toBe(exitCode)),
    );
    const [begun, exited] = [`begin 4711 99 ${BOOT} 1.0.r end`, "exit 137 1.0.r end"];
    expect(parseClaim(begun, "1.0.r")).toEqual({ kind: "begun", identity: { pid: 4711, startTime: 99, bootId: BOOT } });
    for (let cut = 0; cut < begun.length; cut += 1) expect(parseClaim(begun.slice(0, cut), "1.0.r")).toBeNull();
    for (let cut = 0; cut < exited.length; cut += 1) expect(parseExit(exited.slice(0, cut), "1.0.r")).toBeNull();
    for (const line of [begun, exited, "withdrawn 1.0.r end"])
      expect([parseClaim(line, "1.0.x"), parseExit(line, "1.0.x")]).toEqual([null, null]);
    for (const text of [
      "begin 0 99 x 1.0.r end",
      `begin 0 99 ${BOOT} 1.0.r end`,
      `begin -1 99 ${BOOT} 1.0.r end`,
      ` ${begun}`,
      begun + begun,
    ])
      expect(parseClaim(text, "1.0.r")).toBeNull();
    const directory = holding(null);
    const whole = `\nexit 137 ${basename(directory)} end\n`;
    for (let cut = 0; cut <= whole.length; cut += 1) {
      writeFileSync(runFileOf(directory), whole.slice(0, cut));
      expect(readExitCode(directory)).toBe(cut === whole.length ? 137 : null);
    }
  });

  test("can be withdrawn until it has begun, again and again", () => {
    expect(withdrawRun(join(folder, "new", "1.0.r"))).toBe(true);
    const cutShort = holding(`\nbegin 12 34 ${BOOT}`);
    expect([withdrawRun(cutShort), withdrawRun(cutShort), readRunDirectory(cutShort).kind]).toEqual([true, true, "withdrawn"]);
    const begun = holding(BEGUN);
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
