/**
 * The simulation as a process of its own, because it takes the place of the clock and the disk of everything in it:
 *
 *   bun test/fault/simulation/main.ts --first 1 --count 1000     one line for each seed that fails, then the sum
 *   bun test/fault/simulation/main.ts --first 7 --trace          what happens in one seed
 *   bun test/fault/simulation/main.ts --scenario NAME --count 50 one of scenarios.ts
 */
import { parseArgs } from "node:util";
import { install } from "./install.ts";

const clock = performance.now.bind(performance);
install();
const { Storm } = await import("./storm.ts");
const { runScenario } = await import("./scenarios.ts");

const { values } = parseArgs({
  options: {
    first: { type: "string", default: "1" },
    count: { type: "string", default: "1" },
    step: { type: "string", default: "1" },
    trace: { type: "boolean", default: false },
    scenario: { type: "string" },
    hashes: { type: "boolean", default: false },
  },
});
const began = clock();
const [first, count, step] = [Number(values.first), Number(values.count), Number(values.step)];
if (values.scenario !== undefined) {
  for (let seed = first; seed < first + count; seed++) {
    const problem = runScenario(values.scenario, seed);
    if (problem !== null) console.log(JSON.stringify({ seed, violations: [problem] }));
  }
  process.exit(0);
}
const sum = { seeds: 0, failed: 0, crashes: 0, powerCuts: 0, executions: 0, records: 0 };
for (let index = 0; index < count; index++) {
  const outcome = Storm.run(first + index * step, values.trace ? (line) => console.log(line) : undefined);
  sum.seeds++;
  sum.crashes += outcome.crashes;
  sum.powerCuts += outcome.powerCuts;
  sum.executions += outcome.executions;
  sum.records += outcome.records;
  if (outcome.violations.length > 0) sum.failed++;
  if (outcome.violations.length > 0 || values.hashes) console.log(JSON.stringify(outcome));
}
console.log(JSON.stringify({ ...sum, seconds: (clock() - began) / 1_000 }));
