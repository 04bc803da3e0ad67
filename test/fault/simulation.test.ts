/**
 * The daemon in a simulated world (simulation/storm.ts): whatever people, machines, disk and network do, and however often
 * it dies, nothing is lost, nothing runs twice, ends are true, and in the end everything has run.
 *
 *   EXPJOB_TEST_SEED=n bun test test/fault/simulation.test.ts         one seed again
 *   bun test/fault/simulation/main.ts --first n --trace               and what happens in it
 */
import { describe, expect, test } from "bun:test";
import { chooseSeed, count, isLongForm, report, timeoutMs } from "./forms.ts";
import { REGRESSIONS } from "./regressions.ts";
import { runSeeds, simulate } from "./simulation/lanes.ts";
import { SCENARIO_NAMES } from "./simulation/scenario-names.ts";

const isReplay = process.env["EXPJOB_TEST_SEED"] !== undefined;
/** The short form plays the same worlds each time, so that it fails for a change and not for a dice; the long form looks for new ones. */
const seed = isReplay || isLongForm() ? chooseSeed() : 1;
const seeds = count("simulation", isReplay ? { short: 1, long: 1 } : { short: 1_000, long: 500_000 });

describe("the simulated world", () => {
  test(
    "keeps every promise on seeds that once broke one",
    async () => {
      for (const [kept, found] of REGRESSIONS) expect({ found, lines: (await runSeeds(kept, 1)).lines }).toEqual({ found, lines: [] });
    },
    timeoutMs(240_000),
  );

  test(
    `keeps every promise on ${seeds} seeds from ${seed}`,
    async () => {
      const began = performance.now();
      const { lines, ...sums } = await runSeeds(seed, seeds);
      report({
        name: "simulation",
        count: sums.seeds,
        violations: lines.length,
        seed,
        seconds: (performance.now() - began) / 1_000,
        note: `${sums.crashes} crashes, ${sums.powerCuts} of them power cuts; ${sums.executions} runs`,
      });
      expect(lines.slice(0, 5)).toEqual([]);
      expect(sums.seeds).toBe(seeds);
      if (!isReplay) expect(sums.crashes).toBeGreaterThan(seeds);
    },
    timeoutMs(600_000),
  );

  test("is the same world when a seed is played again", async () => {
    const hashesOf = async (first: number, several: number): Promise<readonly string[]> =>
      (await simulate(["--first", `${first}`, "--count", `${several}`, "--hashes"])).slice(0, -1);
    const together = await hashesOf(seed, 6);
    expect(together).toHaveLength(6);
    expect(await hashesOf(seed, 6)).toEqual(together);
    // Also when others were played before it in the same process.
    expect(await hashesOf(seed + 5, 1)).toEqual(together.slice(5));
  }, 240_000);

  for (const name of SCENARIO_NAMES) {
    test(`survives ${name}`, async () => {
      expect(await simulate(["--scenario", name, "--first", `${seed}`, "--count", "100"])).toEqual([]);
    }, 240_000);
  }
});
