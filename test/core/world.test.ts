/** Random histories of a whole laboratory. A failure prints the seed: `EXPJOB_TEST_SEED=n bun test test/core/world`. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { applyAll } from "../../src/core/apply.ts";
import type { Event } from "../../src/core/event.ts";
import { EMPTY_STATE } from "../../src/core/state.ts";
import { ACTIONS, type Step, World } from "./world.ts";

const seed = Number(process.env["EXPJOB_TEST_SEED"] ?? Date.now() % 2 ** 31);
const sequences = Number(process.env["EXPJOB_TEST_SEQUENCES"] ?? 1_000);

/** What random histories have seldom: results that are copied late. */
const SELDOM: Step[] = (
  [
    ["add-machine", 0],
    ["add-jobs", 2],
    ["start", 0],
    ["exit", 0],
    ["copy", 0],
    ["fetch-later", 0],
  ] as const
).map(([action, pick]) => ({ action, pick, detail: 1 }));

const step: fc.Arbitrary<Step> = fc.record({ action: fc.constantFrom(...ACTIONS), pick: fc.nat(1_000), detail: fc.nat(1_000) });

test(`the rules hold in every history (seed ${seed})`, () => {
  let events = 0;
  const seen = new Set<string>();
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 120, size: "max" }), (steps) => {
      const world = new World();
      // The world itself refuses a broken invariant, an id drawn or a run started twice, two runs on one machine.
      for (const one of steps) world.take(one);
      world.settle();
      expect(world.lies()).toEqual([]);
      expect(world.overlooked()).toEqual([]);
      expect(world.live().filter(({ state }) => state.kind !== "held")).toEqual([]);

      const written = JSON.parse(JSON.stringify(world.journal)) as Event[];
      expect(applyAll(EMPTY_STATE, written)).toEqual(world.state);
      events += world.journal.length;
      for (const { kind } of world.journal) seen.add(kind);
    }),
    { seed, numRuns: sequences, includeErrorInReport: true, examples: [[SELDOM]] },
  );
  console.log(`${sequences} histories, ${events} events, seed ${seed}`);
  // Every kind of event came about, or the world is too small. Answers to requests and moved logs are not the rules' own.
  expect([...seen].sort()).toEqual(
    [
      "job-advanced",
      "job-canceled",
      "job-copying",
      "job-done",
      "job-due",
      "job-failed",
      "job-forgotten",
      "job-found",
      "job-held",
      "job-lost",
      "job-not-started",
      "job-recalled",
      "job-results-changed",
      "job-started",
      "job-starting",
      "job-stop-requested",
      "job-tagged",
      "job-timeout-set",
      "job-unheld",
      "jobs-added",
      "jobs-archived",
      "line-set",
      "machine-moved",
      "machine-quarantined",
      "machine-recovered",
      "machine-removed",
      "machine-unreachable",
      "machines-added",
      "matrix-added",
      "tag-added",
      "variable-removed",
      "variable-set",
    ].sort(),
  );
}, 180_000);
