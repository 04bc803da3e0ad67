/** When starting is paused, and for whose sake it is not. */
import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { problem } from "../../src/core/problem.ts";
import { DispatchGate } from "../../src/daemon/dispatch-gate.ts";

describe("the gate", () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  test("closes for what is this host's, tells why, and opens by itself, later each time", () => {
    let opened = 0;
    const gate = new DispatchGate(() => opened++);
    const cause = problem("driver-missing", { path: "/d" });
    for (const pauseMs of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      gate.notStarted(cause);
      gate.notStarted(cause);
      expect(gate.open).toBe(false);
      jest.advanceTimersByTime(pauseMs - 1);
      expect(gate.open).toBe(false);
      jest.advanceTimersByTime(1);
      expect(gate.open).toBe(true);
      expect(gate.problem).toEqual(cause);
    }
    expect(opened).toBe(7);
    gate.started();
    expect(gate.problem).toBeNull();
    gate.notStarted(cause);
    jest.advanceTimersByTime(1_000);
    expect(gate.open).toBe(true);
  });

  test.each([
    problem("unreachable", { machine: "a" }),
    problem("no-space", { machine: "a", path: "/" }),
    problem("start-failed", { machine: "a", reason: "supervisor-died" }),
    problem("start-failed", { reason: "command" }),
    problem("command-too-long"),
    problem("secret-missing", { name: "KEY" }),
  ])("stays open for $code of one machine or one job", (cause) => {
    const gate = new DispatchGate(() => undefined);
    gate.notStarted(cause);
    expect(gate.open).toBe(true);
  });

  test("that is stopped never opens again", () => {
    let opened = 0;
    const gate = new DispatchGate(() => opened++);
    gate.notStarted(problem("no-space", { path: "/" }));
    gate.stop();
    jest.advanceTimersByTime(60_000);
    expect([gate.open, opened]).toEqual([false, 0]);
  });
});
