import { describe, expect, test } from "bun:test";
import { paletteOf } from "../../src/terminal/colour.ts";
import { formatDuration, formatInstant, formatMilliseconds } from "../../src/terminal/duration.ts";
import { countsCell, summaryLine } from "../../src/terminal/job-status.ts";
import { formatBytes } from "../../src/terminal/size.ts";
import { NO_COUNTS } from "./samples.ts";

describe("units", () => {
  test("durations have two units at most", () => {
    const cases: [number, string][] = [
      [0, "0s"],
      [0.9, "0s"],
      [59.9, "59s"],
      [60, "1m"],
      [3_235, "53m55s"],
      [7_380, "2h3m"],
      [90_061, "1d1h"],
      [-5, "0s"],
    ];
    for (const [seconds, text] of cases) expect(formatDuration(seconds)).toBe(text);
  });

  test("milliseconds, sizes and instants are short", () => {
    expect([1.234, 999, 1_500, 90_000].map(formatMilliseconds)).toEqual(["1.2 ms", "999 ms", "1.5 s", "1m30s"]);
    expect([0, 999, 1_000, 1_500_000, 999_999, 123_456_789_000].map(formatBytes)).toEqual([
      "0 B",
      "999 B",
      "1.00 kB",
      "1.50 MB",
      "1.00 MB",
      "123 GB",
    ]);
    expect(formatInstant("2026-11-22T20:00:00.000Z")).toBe("2026-11-22 20:00:00 UTC");
    expect(formatInstant("soon")).toBe("soon");
  });

  test("counts name every state that has jobs", () => {
    const counts = { waiting: 1, held: 2, running: 3, copying: 4, done: 5, failed: 6, canceled: 7, unknown: 8 };
    expect(countsCell(counts, paletteOf({ colours: false }))).toBe("5D 6F 7C 7R 1W 2H 8U");
    expect(summaryLine(counts, 200)).toBe("36 jobs: 1 waiting, 2 held, 3 running, 4 copying, 5 done, 6 failed, 7 canceled, 8 unknown");
    expect(summaryLine(counts, 60)).toBe("36 jobs: 5D 6F 7C 7R 1W 2H 8U");
    expect(summaryLine({ ...NO_COUNTS, done: 1 }, 30)).toBe("1 job: 1 done");
  });
});
