/** Alarms of any length, on a clock that a test holds. */
import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { Timers } from "../../src/daemon/timers.ts";

describe("an alarm", () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  const setUp = () => {
    const rung: string[] = [];
    const timers = new Timers(Date.now);
    return { rung, timers, set: (name: string, inMs: number) => timers.set(name, Date.now() + inMs, () => rung.push(name)) };
  };

  test("goes off at its time and not before", () => {
    const { rung, set, timers } = setUp();
    set("a", 100);
    jest.advanceTimersByTime(99);
    expect(rung).toEqual([]);
    expect(timers.has("a")).toBe(true);
    jest.advanceTimersByTime(1);
    expect(rung).toEqual(["a"]);
    expect(timers.has("a")).toBe(false);
  });

  test("of the past goes off at once, but not in the call that sets it", () => {
    const { rung, set } = setUp();
    set("a", -5);
    expect(rung).toEqual([]);
    jest.advanceTimersByTime(0);
    expect(rung).toEqual(["a"]);
  });

  test("of the same name is replaced", () => {
    const { rung, set } = setUp();
    set("a", 10);
    set("a", 50);
    jest.advanceTimersByTime(20);
    expect(rung).toEqual([]);
    jest.advanceTimersByTime(30);
    expect(rung).toEqual(["a"]);
  });

  test("in a year goes off in a year", () => {
    const { rung, set } = setUp();
    const monthMs = 30 * 86_400_000;
    set("a", 12 * monthMs);
    for (let month = 0; month < 11; month++) jest.advanceTimersByTime(monthMs);
    jest.advanceTimersByTime(monthMs - 1);
    expect(rung).toEqual([]);
    jest.advanceTimersByTime(1);
    expect(rung).toEqual(["a"]);
  });

  test("does not go off when it is cleared, nor after the stop, nor when it is set after the stop", () => {
    const { rung, set, timers } = setUp();
    set("a", 10);
    set("b", 10);
    timers.clear("a");
    timers.stop();
    set("c", 10);
    jest.advanceTimersByTime(100);
    expect(rung).toEqual([]);
  });
});
