import { describe, expect, test } from "bun:test";
import { openFilesSoftOf, parseOpenFiles, readCallerLimits } from "../../../src/daemon/runner/caller-limits.ts";
import { hostBootId, isAlive, parseProcessStat, readAllProcesses, readProcessStat } from "../../../src/daemon/runner/process-identity.ts";

describe("process identity", () => {
  test("fields count from the last parenthesis, whatever the program is called", () => {
    const rest = "S 1 20 30 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 0 0";
    for (const name of ["sh", "a b", ") S 1 2 3", "x) R (y", "\n"]) {
      expect(parseProcessStat(`4711 (${name}) ${rest}`)).toEqual({ pid: 4711, state: "S", session: 30, startTime: 987654 });
    }
    for (const text of ["", "4711", "4711 (sh) S 1 2", "x (sh) S"]) expect(parseProcessStat(text)).toBeNull();
  });

  test("this process lives; with another start time or boot it does not", () => {
    const own = readProcessStat(process.pid);
    if (own === null) throw new Error("no /proc");
    const identity = { pid: process.pid, startTime: own.startTime, bootId: hostBootId() };
    expect(isAlive(identity, hostBootId())).toBe(true);
    expect(isAlive({ ...identity, startTime: own.startTime + 1 }, hostBootId())).toBe(false);
    expect(isAlive({ ...identity, bootId: "another" }, hostBootId())).toBe(false);
    expect(readAllProcesses().some((one) => one.pid === process.pid)).toBe(true);
  });
});

describe("what the caller had", () => {
  const limits = (soft: number | string, hard: number | string) =>
    `Limit  Soft Limit  Hard Limit  Units\nMax open files            ${soft}                 ${hard}                files     \n`;

  test("is the parent's soft limit, when the hard limits agree", () => {
    expect(parseOpenFiles(limits(256, 20000))).toEqual({ soft: 256, hard: 20000 });
    expect(openFilesSoftOf(limits(20000, 20000), limits(256, 20000), "bash")).toBe(256);
    expect(openFilesSoftOf(limits(20000, 20000), limits(256, 4096), "bash")).toBeNull();
    expect(openFilesSoftOf(limits(1024, 20000), limits(256, 20000), "bash")).toBeNull();
  });

  test("under systemd is its default for services, or not known", () => {
    expect(openFilesSoftOf(limits(524288, 524288), limits(524288, 524288), "systemd")).toBe(1024);
    expect(openFilesSoftOf(limits(65536, 65536), limits(1048576, 1048576), "systemd")).toBeNull();
  });

  test("is what a shell had that lowered its limit and changed its umask", async () => {
    const program = `import { readCallerLimits } from ${JSON.stringify(import.meta.resolve("../../../src/daemon/runner/caller-limits.ts"))}; console.log(JSON.stringify(readCallerLimits()))`;
    const child = Bun.spawn(["/bin/sh", "-c", 'ulimit -Sn 111; umask 0037; "$0" -e "$1"; :', process.execPath, program], {
      stdout: "pipe",
    });
    expect(JSON.parse(await new Response(child.stdout).text())).toEqual({ umask: 0o037, openFilesSoft: 111 });
    expect(readCallerLimits().umask).toBeNumber();
  });
});
