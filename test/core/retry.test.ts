import { describe, expect, test } from "bun:test";
import { backOffMs, mayRetry } from "../../src/core/retry.ts";
import { signalName } from "../../src/core/signal.ts";
import { Lab } from "./lab.ts";

describe("retries", () => {
  test("wait 10 s, then twice as long each time, at most 10 min", () => {
    const limits = { backOffFirstMs: 10_000, backOffMaxMs: 600_000 };
    const seconds = [1, 2, 3, 4, 5, 6, 7, 8, 100, 100_000].map((failures) => backOffMs(failures, limits) / 1_000);
    expect(seconds).toEqual([10, 20, 40, 80, 160, 320, 600, 600, 600, 600]);
  });

  test("are made only when asked for, and until the failures in all are reached", () => {
    const lab = new Lab();
    const attempt = (retry: { maxFailures: number | null } | null, number: number) =>
      mayRetry({ ...lab.job(lab.add({ retry })), attempt: number });
    expect(attempt(null, 1)).toBe(false);
    expect(attempt({ maxFailures: 1 }, 1)).toBe(false);
    expect(attempt({ maxFailures: 3 }, 2)).toBe(true);
    expect(attempt({ maxFailures: 3 }, 3)).toBe(false);
    expect(attempt({ maxFailures: null }, 1_000)).toBe(true);
  });
});

test("exit codes above 128 have the names that the shell's `kill -l` gives them", () => {
  const { stdout } = Bun.spawnSync(["bash", "-c", "for n in {1..31}; do kill -l $n; done"]);
  const names = stdout.toString().trim().split("\n");
  expect(names).toHaveLength(31);
  expect(names.map((_, index) => signalName(129 + index))).toEqual(names.map((name) => `SIG${name}`));
  expect([0, 1, 127, 128, 160, 255].map(signalName)).toEqual([null, null, null, null, null, null]);
});
