/** Setup jobs: commands in order on one machine, which joins its class when all of them have succeeded, and not before. */
import { describe, expect, test } from "bun:test";
import type { AddSetups } from "../../src/core/command.ts";
import { allLogsOf, type Run, runOf } from "../../src/core/job.ts";
import { problem } from "../../src/core/problem.ts";
import { react } from "../../src/core/react.ts";
import { machineAt } from "../../src/core/state.ts";
import { Lab } from "./lab.ts";

const THREE = ["install", "configure {MACHINE}", "warm-up"];

function setups(more: Partial<AddSetups> = {}): AddSetups {
  return { kind: "add-setups", addrs: ["a"], class: "fast", cmds: THREE, timeoutSeconds: null, staggerSeconds: 0, notify: false, ...more };
}

/** @returns the first id */
function add(lab: Lab, more: Partial<AddSetups> = {}): number {
  const answer = lab.answer(setups(more));
  if (answer.kind !== "jobs") throw new Error(answer.kind);
  return answer.first;
}

let runs = 0;
function nextRun(machine: string): Run {
  runs += 1;
  return { runId: `next-${runs}`, machine, log: `/logs/next-${runs}`, errLog: `/logs/next-${runs}.err` };
}

/** The command under way exits with 0 and the next one is started. */
function succeed(lab: Lab, jid: number): void {
  lab.exit(jid, 0, { nextRun: nextRun(runOf(lab.job(jid).state)?.machine ?? "") });
  if (lab.kind(jid) === "starting") lab.start(jid);
}

function begun(lab: Lab, jid: number): void {
  lab.dispatch();
  lab.start(jid);
}

const commandOf = (lab: Lab, jid: number): number | undefined => runOf(lab.job(jid).state)?.step?.command;

describe("a machine that is set up", () => {
  test("runs all commands in order, as runs of their own, and joins the class after the last", () => {
    const lab = new Lab();
    const jid = add(lab);
    const waiting = lab.add();
    expect(lab.dispatch()).toEqual(["0@a"]);
    lab.start(jid);
    const names = new Set<string>();
    for (const command of [0, 1, 2]) {
      expect(commandOf(lab, jid)).toBe(command);
      expect(machineAt(lab.state, "a")?.class).toBe("");
      expect(lab.dispatch()).toEqual([]);
      names.add(lab.runId(jid));
      succeed(lab, jid);
    }
    expect(names.size).toBe(3);
    expect(lab.kind(jid)).toBe("done");
    expect(lab.machine("a")).toMatchObject({ class: "fast", assignment: { kind: "free" } });
    expect(lab.dispatch()).toEqual([`${waiting}@a`]);
  });

  test("without a class is known only as long as it takes", () => {
    const lab = new Lab();
    const jid = add(lab, { class: null, cmds: ["one"] });
    begun(lab, jid);
    expect(lab.machine("a").class).toBe("");
    succeed(lab, jid);
    expect(machineAt(lab.state, "a")).toBeUndefined();
  });

  test("keeps the class it is in when none is named, and moves when another one is", () => {
    const lab = Lab.withMachines("a");
    const stays = add(lab, { class: null, cmds: ["one"] });
    begun(lab, stays);
    succeed(lab, stays);
    expect(lab.machine("a").class).toBe("fast");
    const moves = add(lab, { class: "slow", cmds: ["one"] });
    begun(lab, moves);
    expect(lab.machine("a").class).toBe("fast");
    succeed(lab, moves);
    expect(lab.machine("a").class).toBe("slow");
  });

  test("that is busy is waited for, and the setup goes before jobs that wait longer", () => {
    const lab = Lab.withMachines("a");
    const job = lab.running();
    const behind = lab.add();
    const jid = add(lab);
    expect(lab.dispatch()).toEqual([]);
    expect(lab.kind(jid)).toBe("waiting");
    lab.exit(job, 0);
    expect(lab.dispatch()).toEqual([`${jid}@a`]);
    lab.start(jid);
    for (const _ of THREE) succeed(lab, jid);
    expect(lab.dispatch()).toEqual([`${behind}@a`]);
  });

  test("is set up by one job after the other", () => {
    const lab = new Lab();
    add(lab, { cmds: ["one"] });
    add(lab, { cmds: ["two"] });
    expect(lab.dispatch()).toEqual(["0@a"]);
    lab.start(0);
    succeed(lab, 0);
    expect(lab.dispatch()).toEqual(["1@a"]);
  });

  test("comes back out of quarantine", () => {
    const lab = Lab.withMachines("a");
    lab.limits = { ...lab.limits, quarantineAfterFailures: 1 };
    const first = add(lab, { cmds: ["one"] });
    begun(lab, first);
    lab.exit(first, 1);
    expect(lab.machine("a").health.kind).toBe("quarantined");
    const second = add(lab, { cmds: ["one"] });
    expect(lab.dispatch()).toEqual([`${second}@a`]);
    lab.start(second);
    succeed(lab, second);
    expect(lab.machine("a").health.kind).toBe("ok");
  });

  test("is left alone while its host key is wrong", () => {
    const lab = new Lab();
    add(lab);
    lab.unreachable("a", problem("host-key-changed"));
    expect(lab.dispatch()).toEqual([]);
    lab.command({ kind: "restore-machines", addrs: ["a"] });
    expect(lab.dispatch()).toEqual(["0@a"]);
  });
});

describe("a command that fails", () => {
  test("is named with its number, ends the setup, and keeps a new machine out", () => {
    const lab = new Lab();
    const jid = add(lab);
    begun(lab, jid);
    succeed(lab, jid);
    lab.exit(jid, 3);
    expect(lab.stateOf(jid, "failed")).toMatchObject({
      exitCode: 3,
      problem: {
        code: "nonzero-exit",
        data: { exit_code: "3", command: "configure {MACHINE}", command_number: "2", command_count: "3" },
      },
    });
    expect(machineAt(lab.state, "a")).toBeUndefined();
  });

  test("quarantines a machine of the pool, and says which job and command it was", () => {
    const lab = Lab.withMachines("a");
    const jid = add(lab);
    begun(lab, jid);
    lab.exit(jid, 1);
    lab.add();
    expect(lab.dispatch()).toEqual([]);
    expect(lab.machine("a").health).toMatchObject({
      kind: "quarantined",
      reason: { kind: "problem", problem: { code: "setup-failed", data: { jid: "0", machine: "a", command_number: "1" } } },
    });
  });

  test("is not retried, and does not count against the machine", () => {
    const lab = Lab.withMachines("a");
    const jid = add(lab);
    begun(lab, jid);
    lab.exit(jid, 1);
    expect(lab.job(jid).retriedBy).toBeNull();
    expect(lab.machine("a").failures).toEqual([]);
  });
});

describe("the timeout", () => {
  test("is for all commands together: it counts from the start of the first", () => {
    const lab = new Lab();
    const jid = add(lab, { timeoutSeconds: 60 });
    lab.now = 10_000;
    begun(lab, jid);
    lab.now = 50_000;
    succeed(lab, jid);
    expect(lab.stateOf(jid, "running").startedAt).toBe(10_000);
    lab.now = 70_000;
    lab.command({ kind: "timeout-reached", jid, runId: lab.runId(jid) });
    lab.exit(jid, 143);
    expect(lab.stateOf(jid, "failed").problem).toMatchObject({ code: "timed-out", data: { seconds: "60", command_number: "2" } });
  });

  test("of a command that is over does not stop the next", () => {
    const lab = new Lab();
    const jid = add(lab);
    begun(lab, jid);
    const former = lab.runId(jid);
    succeed(lab, jid);
    lab.command({ kind: "timeout-reached", jid, runId: former });
    expect(lab.stateOf(jid, "running").stop).toBeNull();
  });
});

describe("between two commands", () => {
  /** Command 1 is over, and command 2 turned out not to have started. */
  function interrupted(lab: Lab, more: Partial<AddSetups> = {}): number {
    const jid = add(lab, more);
    begun(lab, jid);
    lab.exit(jid, 0, { nextRun: nextRun("a") });
    lab.command({ kind: "run-not-started", jid, runId: lab.runId(jid), problem: problem("unreachable", { machine: "a" }) });
    expect(lab.kind(jid)).toBe("waiting");
    return jid;
  }

  test("a machine may go away: the rest is run when it is back, and nothing twice", () => {
    const lab = new Lab();
    const jid = interrupted(lab);
    expect(lab.dispatch()).toEqual([]);
    lab.command({ kind: "machine-reachable", addr: "a" });
    expect(lab.dispatch()).toEqual([`${jid}@a`]);
    expect(commandOf(lab, jid)).toBe(1);
    lab.start(jid);
    succeed(lab, jid);
    expect(commandOf(lab, jid)).toBe(2);
    succeed(lab, jid);
    expect(lab.kind(jid)).toBe("done");
  });

  test("the logs of what is over are kept", () => {
    const lab = new Lab();
    const jid = add(lab);
    begun(lab, jid);
    for (const _ of THREE) succeed(lab, jid);
    expect(lab.stateOf(jid, "done").run.step?.earlier.map(({ log }) => log)).toHaveLength(2);
  });

  test("a machine of the pool is half set up: it takes neither a job nor another setup", () => {
    const lab = Lab.withMachines("a", "b");
    const jid = interrupted(lab);
    lab.command({ kind: "machine-reachable", addr: "a" });
    lab.command({ kind: "hold-jobs", jids: [jid], lenient: false });
    const job = lab.add({ count: 2 });
    const other = add(lab);
    expect(lab.dispatch()).toEqual([`${job}@b`]);
    lab.command({ kind: "unhold-jobs", jids: [jid], lenient: false });
    expect(lab.dispatch()).toEqual([`${jid}@a`]);
    expect(commandOf(lab, jid)).toBe(1);
    expect(lab.kind(other)).toBe("waiting");
  });

  test("a person may cancel it: the machine goes, the logs there are stay known, also where they are moved to", () => {
    const lab = new Lab();
    const jid = interrupted(lab);
    const [log = ""] = allLogsOf(lab.job(jid).state);
    lab.cancel([jid]);
    expect(lab.stateOf(jid, "canceled")).toMatchObject({ run: null, startedAt: lab.now, step: { command: 1 } });
    expect(machineAt(lab.state, "a")).toBeUndefined();
    lab.command({ kind: "logs-moved", job: lab.job(jid), moves: [{ from: log, to: "/elsewhere" }] });
    expect(allLogsOf(lab.job(jid).state)).toEqual(["/elsewhere", `/logs/${jid}.err`]);
  });

  test("the run directory of what is over may go, and the next is started", () => {
    const lab = new Lab();
    const jid = add(lab);
    begun(lab, jid);
    const before = lab.state;
    const former = lab.runId(jid);
    const [advanced] = lab.exit(jid, 0, { nextRun: nextRun("a") });
    if (advanced === undefined) throw new Error("nothing happened");
    const effects = react(advanced, before, lab.state);
    expect(effects.map((effect) => effect.kind)).toEqual(["start-run", "release-run"]);
    const released = effects.flatMap((effect) => (effect.kind === "release-run" ? [runOf(effect.job.state)?.runId] : []));
    expect(released).toEqual([former]);
  });
});

describe("many machines", () => {
  test("have a job each, and start as far apart as --stagger says", () => {
    const lab = new Lab();
    lab.now = 5_000;
    add(lab, { addrs: ["a", "b", "c"], staggerSeconds: 30 });
    expect([0, 1, 2].map((jid) => lab.stateOf(jid, "waiting").notBefore)).toEqual([null, 35_000, 65_000]);
    expect(lab.dispatch()).toEqual(["0@a"]);
    lab.command({ kind: "back-off-over", jid: 1 });
    expect(lab.dispatch()).toEqual(["1@b"]);
  });

  test("named twice have one", () => {
    expect(new Lab().answer(setups({ addrs: ["a", "b", "a"] }))).toEqual({ kind: "jobs", first: 0, count: 2 });
  });

  test("of which one has no name of a machine have none", () => {
    const lab = new Lab();
    expect(lab.refusal(setups({ addrs: ["a", "-oProxyCommand=x"] }))).toStartWith("bad-machine-name");
    expect(lab.refusal(setups({ class: "-c" }))).toStartWith("bad-class-name");
    expect(lab.refusal(setups({ cmds: ["a", " "] }))).toBe("bad-command: empty");
  });

  test("remember no more than a job may, all commands together", () => {
    const lab = new Lab();
    lab.limits = { ...lab.limits, commandLineCharactersMax: 20 };
    lab.command({ kind: "set-variable", name: "V", value: "0123456789", secret: false });
    expect(lab.refusal(setups({ cmds: ["0123456789", "0123456789"] }))).toBeNull();
    expect(lab.refusal(setups({ cmds: ["0123456789", "01234567890"] }))).toStartWith("limit-exceeded: command-line");
    expect(lab.refusal(setups({ cmds: ["{V}"] }))).toBeNull();
    expect(lab.refusal(setups({ cmds: ["{V}{V}"] }))).toStartWith("limit-exceeded");
  });
});

describe("people", () => {
  test("who take the machine away cancel its setup, whether it waits or runs", () => {
    const lab = new Lab();
    add(lab);
    const second = add(lab);
    begun(lab, 0);
    lab.command({ kind: "remove-machines", addrs: ["a"] });
    expect(lab.kind(second)).toBe("canceled");
    expect(lab.stateOf(0, "running").stop?.cause).toBe("machine-removed");
    lab.exit(0, 143);
    expect(lab.kind(0)).toBe("canceled");
    expect(machineAt(lab.state, "a")).toBeUndefined();
  });

  test("who cancel a running one get no next command", () => {
    const lab = new Lab();
    add(lab);
    begun(lab, 0);
    lab.cancel([0]);
    lab.exit(0, 0, { nextRun: nextRun("a") });
    expect(lab.kind(0)).toBe("canceled");
  });

  test("who cancel a running one leave a machine of the pool half set up: it gets no job until somebody has seen to it", () => {
    const lab = Lab.withMachines("a");
    add(lab);
    begun(lab, 0);
    lab.cancel([0]);
    lab.exit(0, 143);
    expect(lab.machine("a").health).toMatchObject({
      kind: "quarantined",
      reason: { kind: "problem", problem: { code: "setup-failed", data: { jid: "0", canceled: "yes", command_number: "1" } } },
    });
  });

  test("who clone one get it for the same machine, from the first command", () => {
    const lab = new Lab();
    add(lab);
    begun(lab, 0);
    for (const _ of THREE) succeed(lab, 0);
    lab.command({ kind: "clone-jobs", jobs: [lab.job(0)], count: 1, restart: false });
    expect(lab.dispatch()).toEqual(["1@a"]);
    expect(commandOf(lab, 1)).toBe(0);
  });
});
