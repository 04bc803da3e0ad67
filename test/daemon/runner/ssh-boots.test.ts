/** A machine that is away when its run could be forgotten, and one that was booted since a start was decided. Needs sshd. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { RunnerTestBed, started } from "../../contract/runner-test-bed.ts";
import { sshdAvailable } from "../../support/sshd.ts";
import { waitFor } from "../../support/wait-for.ts";
import { openSshRunner, type SshRunnerUnderTest } from "./ssh-runner-harness.ts";

setDefaultTimeout(120_000);

if (!sshdAvailable()) console.warn("SKIPPED: boots of a machine over SSH, because sshd is not installed");

describe.skipIf(!sshdAvailable())("a machine over SSH", () => {
  async function withMachine(check: (bed: RunnerTestBed, under: SshRunnerUnderTest) => Promise<void>): Promise<void> {
    const under = await openSshRunner();
    const bed = new RunnerTestBed(under);
    try {
      await check(bed, under);
    } finally {
      await bed.close();
    }
  }

  test("that was away when a run was let go keeps its directory until it is back, no longer", () =>
    withMachine(async (bed, { runner, sshd, machine, runDirectory }) => {
      const request = bed.request("exit 0");
      await started(await runner.start(request)).end;
      await sshd.kill();
      await runner.release(request);
      expect(existsSync(runDirectory(request))).toBe(true);
      await sshd.start();
      await waitFor(async () => (await runner.probe(machine)) === null, { everyMs: 50 });
      expect(existsSync(runDirectory(request))).toBe(false);
    }));

  test("tells its boot, and a start that was decided for another one sends nothing", () =>
    withMachine(async (bed, { runner, machine, runDirectory }) => {
      const boot = await runner.bootOf(machine);
      expect(boot).toMatchObject({ kind: "known", bootId: expect.stringMatching(/^[0-9a-f-]{36}$/) });
      const request = bed.request("exit 0");
      const hostBootId = "00000000-0000-0000-0000-000000000000";
      expect(await runner.start({ ...request, hostBootId })).toMatchObject({ kind: "not-started", problem: { code: "unreachable" } });
      expect(existsSync(runDirectory(request))).toBe(false);
      // Decided for a boot that is over, and of which nothing is left: it may have begun there.
      expect(await runner.attach({ ...request, hostBootId }, request.log)).toMatchObject({ kind: "lost", problem: { code: "rebooted" } });
      expect(await runner.attach(request, request.log)).toEqual({ kind: "not-started" });
    }));
});
