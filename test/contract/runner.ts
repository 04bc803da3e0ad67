/**
 * The battery that every Runner passes: local, driver and ssh with real processes, and the fake as far as
 * it goes. A harness says how its runner is opened and reopened; the tests never look behind the interface
 * except into the run directory, whose files supervisor.ts specifies.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { runnerExecutionBattery } from "./runner-execution.ts";
import { exitCodeOf, RunnerTestBed, type RunnerUnderTest, started } from "./runner-test-bed.ts";

export function runnerBattery(name: string, open: () => Promise<RunnerUnderTest>): void {
  describe(`runner contract: ${name}`, () => {
    let bed: RunnerTestBed;
    beforeAll(async () => {
      bed = new RunnerTestBed(await open());
    });
    afterAll(() => bed.close());

    test("a run that is started ends with the exit code of its program", async () => {
      const { request, finish } = bed.endless();
      const before = Date.now();
      const outcome = started(await bed.runner.start(request));
      finish(7);
      const end = await outcome.end;
      expect(end).toMatchObject({ kind: "exited", exitCode: 7 });
      expect(outcome.at).toBeGreaterThanOrEqual(before - 2_000);
      expect(end.kind === "exited" && end.at >= outcome.at).toBe(true);
    });

    test("of twenty starts of one run id at the same time one begins", async () => {
      const { request, finish } = bed.endless(`echo "$$" >>'${join(bed.folder, "ledger")}'`);
      const second = await bed.under.reopen();
      const runners = Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? bed.runner : second));
      const outcomes = await Promise.all(runners.map((runner) => runner.start(request)));
      const begun = outcomes.filter((outcome) => outcome.kind === "started");
      expect(begun).toHaveLength(1);
      expect(outcomes.filter((outcome) => outcome.kind === "not-started")).toEqual([]);
      finish(0);
      await Promise.all(begun.map((outcome) => started(outcome).end));
      if (bed.under.executes) expect(readFileSync(join(bed.folder, "ledger"), "utf8").trim().split("\n")).toHaveLength(1);
    });

    test("a second start after the end does not run it again", async () => {
      const request = bed.endless();
      const outcome = started(await bed.runner.start(request.request));
      request.finish(3);
      await outcome.end;
      expect((await bed.runner.start(request.request)).kind).toBe("uncertain");
      expect(await bed.runner.attach(request.request, request.request.log)).toMatchObject({ kind: "exited", exitCode: 3 });
    });

    test("a run is taken up while it runs, and its end is the true one", async () => {
      const { request, finish } = bed.endless();
      started(await bed.runner.start(request));
      const attached = await (await bed.under.reopen()).attach(request, request.log);
      if (attached.kind !== "running") throw new Error(JSON.stringify(attached));
      expect(Math.abs(attached.startedAt - Date.now())).toBeLessThan(60_000);
      finish(42);
      expect(await attached.end).toMatchObject({ kind: "exited", exitCode: 42 });
    });

    test("a run that ended while nobody looked has its exit code", async () => {
      const { request, finish } = bed.endless();
      const outcome = started(await bed.runner.start(request));
      finish(9);
      await outcome.end;
      expect(await (await bed.under.reopen()).attach(request, request.log)).toMatchObject({ kind: "exited", exitCode: 9 });
    });

    test("a run that nobody began is not started, and a late start does not begin it", async () => {
      const ledger = join(bed.folder, "late");
      const request = bed.request(`echo late >>'${ledger}'`);
      const runner = await bed.under.reopen();
      expect(await runner.attach(request, request.log)).toEqual({ kind: "not-started" });
      expect((await bed.runner.start(request)).kind).not.toBe("started");
      expect(await runner.attach(request, request.log)).toEqual({ kind: "not-started" });
      expect(await Bun.file(ledger).exists()).toBe(false);
    });

    test("stop ends a run by the signal", async () => {
      const { request } = bed.endless();
      const outcome = started(await bed.runner.start(request));
      const stopped = await bed.runner.stop(request, "TERM");
      expect(stopped.kind === "signaled" && stopped.processes > 0).toBe(true);
      expect(exitCodeOf(await outcome.end)).toBe(143);
    });

    test("stop of a run that is over or never was signals nothing", async () => {
      const { request, finish } = bed.endless();
      expect(await bed.runner.stop(request, "KILL")).toEqual({ kind: "signaled", processes: 0 });
      const outcome = started(await bed.runner.start(request));
      finish(0);
      await outcome.end;
      expect(await bed.runner.stop(request, "KILL")).toEqual({ kind: "signaled", processes: 0 });
    });

    test("release may come twice, and for a run that never was", async () => {
      const { request, finish } = bed.endless();
      const outcome = started(await bed.runner.start(request));
      finish(0);
      await outcome.end;
      await bed.runner.release(request);
      await bed.runner.release(request);
      if (bed.under.executes) expect(existsSync(bed.under.runDirectory(request))).toBe(false);
    });

    test("a machine where runs can be started has no problem", async () => {
      expect(await bed.runner.probe(bed.under.machine)).toBeNull();
    });
  });
  runnerExecutionBattery(name, open);
}
