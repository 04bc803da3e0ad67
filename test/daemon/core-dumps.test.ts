/** The server leaves no core dump with secrets in it, and takes that from no job. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { parseCoreLimits } from "../../src/daemon/core-dumps.ts";
import { TestDaemon } from "../support/daemon.ts";

const HARD = 4_096;
const own = parseCoreLimits(readFileSync("/proc/self/limits", "latin1"));
const mayDump = own !== null && own.hard >= BigInt(HARD * 512);
if (!mayDump) console.warn("SKIPPED: core dumps of server and job, because none are allowed here");

test.skipIf(!mayDump)(
  "core dumps are off in the server, and in a job as the server's caller had them",
  async () => {
    // In blocks of 512 bytes; lowering needs no rights.
    await using daemon = await TestDaemon.start({ prefix: ["/bin/sh", "-c", `ulimit -Hc ${HARD}; ulimit -Sc 77; exec "$@"`, "sh"] });
    expect(parseCoreLimits(readFileSync(`/proc/${daemon.pid}/limits`, "latin1"))).toEqual({ soft: 0n, hard: BigInt(HARD * 512) });
    await daemon.ok("machine", "add", "local", "x");
    const job = await daemon.ended(await daemon.add("x", "cat /proc/self/limits; env | grep -c EXPJOB_SUPERVISOR"));
    const output = daemon.output(job);
    expect(parseCoreLimits(output)).toEqual({ soft: BigInt(77 * 512), hard: BigInt(HARD * 512) });
    expect(output).toEndWith("\n0\n");
    expect(daemon.stderr).not.toContain("core dumps");
  },
  120_000,
);

test("what /proc says of the limit is read", () => {
  const line = (soft: string, hard: string) => `Max core file size        ${soft}                    ${hard}            bytes     \n`;
  expect(parseCoreLimits(line("0", "unlimited"))).toEqual({ soft: 0n, hard: 2n ** 64n - 1n });
  expect(parseCoreLimits(line("1024", "2048"))).toEqual({ soft: 1_024n, hard: 2_048n });
  expect(parseCoreLimits("")).toBeNull();
});
