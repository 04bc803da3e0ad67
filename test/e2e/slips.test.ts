/** Slips of the hand on the built binary: each gives one line that says what is wrong, one that says what to do, and its exit code. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { run, TestDaemon } from "../support/daemon.ts";

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.start();
  await daemon.ok("machine", "add", "local/1", "here");
  await daemon.ended(await daemon.add("here", "echo words"));
});
afterAll(async () => await daemon[Symbol.asyncDispose]());

const lines = (text: string): string[] => text.split("\n").filter((line) => line !== "");

describe("refused before anything is sent", () => {
  const slips: readonly (readonly [what: string, words: readonly string[], said: string, help: string])[] = [
    ["a mistyped command", ["jb", "ls"], 'no command "jb"', "`j job`"],
    ["a mistyped subcommand", ["job", "lss"], 'no command "job lss"', "`j job ls`"],
    ["a mistyped flag", ["job", "ls", "--runing"], 'no flag "--runing"', "--running"],
    ["a bad duration", ["job", "add", "here", "true", "--timeout", "5x"], '"5x"', "90s, 15m"],
    ["an unreadable file", ["machine", "rm", "-f", "/nowhere/machines.txt"], "/nowhere/machines.txt", "one machine a line"],
    ["a word too few", ["job", "add", "here"], "CMD", "j job add CLASS CMD"],
    ["a flag without its value", ["job", "add", "here", "true", "--timeout"], "--timeout needs a value", "--timeout"],
  ];
  test.each(slips)("%s: exit 2", async (_what, words, said, help) => {
    const before = await daemon.ok("job", "ls", "-q");
    const { code, stdout, stderr } = await daemon.j(...words);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    const [wrong = "", way = "", ...more] = lines(stderr);
    expect(wrong).toContain(said);
    expect(way).toContain(help);
    expect(more).toEqual([]);
    expect(await daemon.ok("job", "ls", "-q")).toBe(before);
  });
});

describe("queued, with a warning", () => {
  test("a class without machines", async () => {
    const { code, stdout, stderr } = await daemon.j("job", "add", "nowhere", "true", "-q");
    expect({ code, warned: lines(stderr).length }).toEqual({ code: 0, warned: 2 });
    expect(stderr).toContain('no machine in class "nowhere"');
    expect((await daemon.show(Number(stdout))).status).toBe("waiting");
  });

  test("a placeholder that nothing defines is left as typed", async () => {
    const { code, stdout, stderr } = await daemon.j("job", "add", "here", "echo {UNDEFINED}", "-q");
    expect({ code, warned: lines(stderr).length }).toEqual({ code: 0, warned: 2 });
    expect(stderr).toContain("{UNDEFINED}");
    const job = await daemon.ended(Number(stdout));
    expect(daemon.output(job)).toBe("{UNDEFINED}\n");
  });
});

test("less that is not installed: exit 1, and the log is where it was", async () => {
  const programs = join(daemon.folder, "few-programs");
  mkdirSync(programs);
  symlinkSync("/bin/sh", join(programs, "sh"));
  const { code, stdout, stderr } = await run([daemon.binary.j, "job", "log", "-l", "0"], {
    cwd: daemon.folder,
    env: { ...daemon.environment, PATH: programs },
  });
  expect({ code, stdout, lines: lines(stderr).length }).toEqual({ code: 1, stdout: "", lines: 2 });
  expect(stderr).toContain("less");
});
