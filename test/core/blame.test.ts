/** Faulty machines told apart from faulty jobs: a slip of the pen empties no class, a bad machine leaves after four. */
import { describe, expect, test } from "bun:test";
import type { Job } from "../../src/core/job.ts";
import { runOf } from "../../src/core/job.ts";
import { jobVariables } from "../../src/core/variables.ts";
import { Lab } from "./lab.ts";

/** What came of a job on a machine: its exit code. */
type Outcome = (job: Job, machine: string) => number;

/** Runs what can run, round after round; back-offs pass. @returns how many runs ended */
function work(lab: Lab, outcome: Outcome, rounds = 200): number {
  let ended = 0;
  for (let round = 0; round < rounds; round++) {
    lab.now += 3_600_000;
    for (const job of lab.state.jobs.values()) {
      if (job.state.kind === "waiting" && job.state.notBefore !== null) lab.command({ kind: "back-off-over", jid: job.jid });
    }
    lab.dispatch();
    const begun = [...lab.state.jobs.values()].filter((job) => job.state.kind === "starting");
    if (begun.length === 0) break;
    for (const { jid } of begun) {
      const job = lab.job(jid);
      const machine = runOf(job.state)?.machine ?? "";
      lab.start(jid);
      lab.exit(jid, outcome(job, machine));
      ended++;
    }
  }
  return ended;
}

function atWork(lab: Lab): string[] {
  return [...lab.state.machines.values()].filter(({ health }) => health.kind === "ok").map(({ addr }) => addr);
}

const values = (count: number): string[] => Array.from({ length: count }, (_, index) => `v${index}`);

describe("one typo in a matrix", () => {
  for (const machines of [["a"], ["a", "b", "c"]]) {
    test(`never empties a class of ${machines.length}: every cell fails, three times each`, () => {
      const lab = Lab.withMachines(...machines);
      lab.addMatrix({ cmd: "bnech --size {SIZE}", keys: [{ name: "SIZE", values: values(20) }], count: 1, retry: { maxFailures: 3 } });
      expect(work(lab, () => 127)).toBe(60);
      expect(atWork(lab)).toEqual(machines);
      lab.add({ cmd: "good" });
      expect(work(lab, () => 0)).toBe(1);
      expect(atWork(lab)).toEqual(machines);
    });
  }

  test("also when other commands have worked everywhere before", () => {
    const lab = Lab.withMachines("a", "b", "c");
    lab.add({ cmd: "good", count: 9 });
    work(lab, () => 0);
    lab.addMatrix({ cmd: "bnech {N}", keys: [{ name: "N", values: values(12) }], count: 1, retry: { maxFailures: 3 } });
    work(lab, () => 127);
    expect(atWork(lab)).toEqual(["a", "b", "c"]);
  });
});

test("a cell that can never work is not held against the machines that tried it, while its neighbours succeed", () => {
  const lab = Lab.withMachines("a", "b", "c");
  lab.addMatrix({ cmd: "bench {N}", keys: [{ name: "N", values: values(6) }], count: 1, retry: { maxFailures: null } });
  const cellFails: Outcome = (job) => (jobVariables(lab.state, job)["N"] === "v0" ? 1 : 0);
  work(lab, cellFails, 40);
  expect(atWork(lab)).toEqual(["a", "b", "c"]);
  for (const machine of lab.state.machines.values()) expect(machine.failures.length).toBeLessThan(2);
});

describe("a bad machine", () => {
  const bad: Outcome = (_job, machine) => (machine === "bad" ? 1 : 0);

  test("that fails four different commands, which work elsewhere, is quarantined after the fourth, with its evidence", () => {
    const lab = Lab.withMachines("bad", "good");
    for (const cmd of ["one", "two", "three", "four", "five"]) lab.add({ cmd, count: 4 });
    work(lab, bad);
    expect(atWork(lab)).toEqual(["good"]);
    const { health } = lab.machine("bad");
    if (health.kind !== "quarantined" || health.reason.kind !== "failures") throw new Error(`it is ${health.kind}`);
    const { failures } = health.reason;
    expect(failures).toHaveLength(4);
    for (const { jid } of failures) expect(lab.stateOf(jid, "failed").run.machine).toBe("bad");
    // It took no more: what it would have failed was left for the other one.
    expect([...lab.state.jobs.values()].filter((job) => job.state.kind === "failed")).toHaveLength(4);
  });

  test("is not, as long as a success comes in between", () => {
    const lab = Lab.withMachines("flaky", "good");
    let runs = 0;
    for (const cmd of ["one", "two", "three"]) lab.add({ cmd, count: 8 });
    work(lab, (_job, machine) => (machine === "flaky" && ++runs % 4 !== 0 ? 1 : 0));
    expect(atWork(lab)).toEqual(["flaky", "good"]);
  });

  test("one of a class of one stays for a command that never worked, and goes when commands of several kinds fail", () => {
    const lab = Lab.withMachines("only");
    lab.add({ cmd: "typo", count: 9 });
    work(lab, () => 1);
    expect(atWork(lab)).toEqual(["only"]);
    for (const cmd of ["two", "three", "four", "five"]) lab.add({ cmd });
    work(lab, () => 1);
    expect(atWork(lab)).toEqual([]);
  });
});

test("a machine that was quarantined for failures that turn out to be the command's own comes back by itself", () => {
  const lab = Lab.withMachines("first", "second");
  // Until the command has failed on another machine too, nobody can tell. The other one is busy for long.
  const long = lab.add({ cmd: "long" });
  lab.dispatch();
  lab.start(long);
  const busy = runOf(lab.job(long).state)?.machine ?? "";
  const other = busy === "first" ? "second" : "first";
  lab.add({ cmd: "typo", count: 5 });
  for (let failures = 0; failures < 4; failures++) {
    const [start = ""] = lab.dispatch();
    const jid = Number(start.split("@")[0]);
    lab.start(jid);
    lab.exit(jid, 127);
  }
  expect(lab.machine(other).health.kind).toBe("quarantined");
  lab.exit(long, 0);
  const [start = ""] = lab.dispatch();
  expect(start.split("@")[1]).toBe(busy);
  const last = Number(start.split("@")[0]);
  lab.start(last);
  lab.exit(last, 127);
  expect(atWork(lab)).toEqual(["first", "second"]);
  expect(lab.machine(other).failures).toEqual([]);
});
