import { describe, expect, test } from "bun:test";
import { problem } from "../../src/core/problem.ts";
import { Lab } from "./lab.ts";

describe("machine add", () => {
  test("puts machines in the pool, once each", () => {
    const lab = Lab.withMachines("a", "b", "a");
    expect([...lab.state.machines.values()].map(({ addr, class: name }) => `${addr} ${name}`)).toEqual(["a fast", "b fast"]);
  });

  test("moves one that is there and keeps its running job", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running();
    lab.command({ kind: "add-machines", addrs: ["a"], class: "slow" });
    expect(lab.machine("a")).toMatchObject({ class: "slow", assignment: { kind: "busy", jid } });
    lab.exit(jid, 0);
    lab.add({ class: "slow" });
    expect(lab.dispatch()).toEqual(["1@a"]);
  });

  test("takes back one that was leaving", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running();
    lab.command({ kind: "remove-machines", addrs: ["a"] });
    lab.command({ kind: "add-machines", addrs: ["a"], class: "fast" });
    lab.exit(jid, 143);
    expect(lab.kind(jid)).toBe("canceled");
    expect(lab.machine("a").assignment.kind).toBe("free");
  });

  test("refuses names that are none", () => {
    const lab = new Lab();
    expect(lab.refusal({ kind: "add-machines", addrs: ["a", "-x"], class: "fast" })).toBe("bad-machine-name: -x");
    expect(lab.refusal({ kind: "add-machines", addrs: ["a"], class: "a b" })).toBe("bad-class-name: a b");
    expect(lab.refusal({ kind: "move-machines", addrs: ["a"], class: "" })).toBe("bad-class-name");
    expect(lab.state.machines.size).toBe(0);
  });
});

describe("machine rm", () => {
  test("takes a free machine out at once", () => {
    const lab = Lab.withMachines("a", "b");
    lab.command({ kind: "remove-machines", addrs: ["a", "nowhere"] });
    expect([...lab.state.machines.values()].map(({ addr }) => addr)).toEqual(["b"]);
    lab.add({ count: 2 });
    expect(lab.dispatch()).toEqual(["0@b"]);
  });

  test("cancels the job that runs there; the machine goes when its end is proven", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running({ retry: { maxFailures: null } });
    lab.command({ kind: "remove-machines", addrs: ["a"] });
    expect(lab.machine("a").assignment).toEqual({ kind: "leaving", since: lab.now, jid });
    lab.exit(jid, 137);
    expect(lab.stateOf(jid, "canceled")).toMatchObject({ exitCode: 137, problem: { code: "machine-removed" } });
    expect(lab.state.machines.size).toBe(0);
    expect(lab.job(jid).retriedBy).toBeNull();
  });

  test("cancels a job that is copying from there", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running({ copyTo: "/r" });
    lab.exit(jid, 0, { prefixes: ["out"] });
    lab.command({ kind: "remove-machines", addrs: ["a"] });
    expect(lab.stateOf(jid, "canceled").problem.code).toBe("machine-removed");
    expect(lab.state.machines.size).toBe(0);
  });

  test("of a machine with an unknown job ends that job", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running();
    lab.lose(jid, false);
    lab.command({ kind: "remove-machines", addrs: ["a"] });
    expect(lab.kind(jid)).toBe("canceled");
    expect(lab.state.machines.size).toBe(0);
  });

  test("twice is once", () => {
    const lab = Lab.withMachines("a");
    lab.running();
    lab.command({ kind: "remove-machines", addrs: ["a"] });
    lab.command({ kind: "remove-machines", addrs: ["a"] });
    lab.exit(0, 143);
    expect(lab.state.machines.size).toBe(0);
  });
});

describe("machine mv and restore", () => {
  const quarantined = () => {
    const lab = Lab.withMachines("a");
    lab.unreachable("a", problem("host-key-changed"));
    expect(lab.machine("a").health.kind).toBe("quarantined");
    return lab;
  };

  test("mv ends a quarantine and touches nothing that runs", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running();
    lab.unreachable("a", problem("host-key-changed"));
    lab.command({ kind: "move-machines", addrs: ["a", "nowhere"], class: "slow" });
    expect(lab.machine("a")).toMatchObject({ class: "slow", health: { kind: "ok" }, assignment: { kind: "busy", jid } });
    expect(lab.kind(jid)).toBe("running");
  });

  test("restore puts a quarantined machine back to work, with a clean record", () => {
    const lab = quarantined();
    lab.add();
    expect(lab.dispatch()).toEqual([]);
    lab.command({ kind: "restore-machines", addrs: ["a", "nowhere"] });
    expect(lab.machine("a")).toMatchObject({ health: { kind: "ok" }, failures: [] });
    expect(lab.dispatch()).toEqual(["0@a"]);
  });

  test("a quarantine is not ended by the machine's answering, nor overwritten by its silence", () => {
    const lab = quarantined();
    expect(lab.command({ kind: "machine-reachable", addr: "a" })).toEqual([]);
    expect(lab.unreachable("a")).toEqual([]);
  });
});

describe("a machine that cannot be reached", () => {
  test("is given nothing until it answers; its job is not queued again", () => {
    const lab = Lab.withMachines("a", "b");
    const jid = lab.running();
    lab.unreachable("a");
    lab.unreachable("b");
    lab.add();
    expect(lab.kind(jid)).toBe("running");
    expect(lab.dispatch()).toEqual([]);
    lab.command({ kind: "machine-reachable", addr: "b" });
    expect(lab.dispatch()).toEqual(["1@b"]);
    lab.exit(jid, 0);
    expect(lab.kind(jid)).toBe("done");
  });

  test("is reported once for one reason", () => {
    const lab = Lab.withMachines("a");
    expect(lab.unreachable("a")).toHaveLength(1);
    expect(lab.unreachable("a")).toEqual([]);
    expect(lab.unreachable("a", problem("authentication-refused"))).toHaveLength(1);
    expect(lab.unreachable("nowhere")).toEqual([]);
  });

  test("is not blamed when a start failed for a reason of the server's own", () => {
    const lab = Lab.withMachines("a");
    lab.add();
    lab.dispatch();
    lab.command({ kind: "run-not-started", jid: 0, runId: lab.runId(0), problem: problem("driver-missing") });
    expect(lab.stateOf(0, "waiting").problem?.code).toBe("driver-missing");
    expect(lab.machine("a").health.kind).toBe("ok");
  });

  test("when a start fails for that, goes out of use in the same step as the job goes back", () => {
    const lab = Lab.withMachines("a");
    lab.add();
    lab.dispatch();
    lab.command({ kind: "run-not-started", jid: 0, runId: lab.runId(0), problem: problem("unreachable") });
    expect(lab.stateOf(0, "waiting").problem?.code).toBe("unreachable");
    expect(lab.dispatch()).toEqual([]);
  });
});

describe("faulty machines", () => {
  /** Runs one job on a machine of its own class. */
  const ran = (lab: Lab, addr: string, job: { cmd: string; exitCode: number }): number => {
    const jid = lab.add({ class: addr, cmd: job.cmd });
    expect(lab.dispatch()).toEqual([`${jid}@${addr}`]);
    lab.start(jid);
    lab.exit(jid, job.exitCode);
    return jid;
  };
  const labOf = (...addrs: readonly string[]): Lab => {
    const lab = new Lab();
    for (const addr of addrs) lab.command({ kind: "add-machines", addrs: [addr], class: addr });
    return lab;
  };

  test("four counted failures in a row quarantine a machine, with the evidence", () => {
    const lab = labOf("good", "bad");
    ran(lab, "good", { cmd: "measure", exitCode: 0 });
    const failed = [1, 2, 3, 4].map((exitCode) => ran(lab, "bad", { cmd: "measure", exitCode }));
    const { health } = lab.machine("bad");
    expect(health).toMatchObject({ kind: "quarantined", reason: { kind: "failures" } });
    expect(health.kind === "quarantined" && health.reason.kind === "failures" ? health.reason.failures.map(({ jid }) => jid) : []).toEqual(
      failed,
    );
    expect(lab.machine("good").health.kind).toBe("ok");
  });

  test("a success in between begins the count again", () => {
    const lab = labOf("good", "bad");
    ran(lab, "good", { cmd: "measure", exitCode: 0 });
    for (const exitCode of [1, 1, 1, 0, 1, 1, 1]) ran(lab, "bad", { cmd: "measure", exitCode });
    expect(lab.machine("bad").health.kind).toBe("ok");
    expect(lab.machine("bad").failures).toHaveLength(3);
  });

  test("a command that fails everywhere quarantines nothing", () => {
    const lab = labOf("a", "b");
    for (let round = 0; round < 6; round++) {
      ran(lab, "a", { cmd: "broken", exitCode: 1 });
      ran(lab, "b", { cmd: "broken", exitCode: 1 });
    }
    expect([lab.machine("a").health.kind, lab.machine("b").health.kind]).toEqual(["ok", "ok"]);
  });

  test("failed copies, cancellations and lost runs are not counted", () => {
    const lab = labOf("a");
    for (let round = 0; round < 6; round++) {
      const copied = lab.running({ class: "a", copyTo: "/r" });
      lab.exit(copied, 0, { prefixes: ["out"] });
      lab.command({ kind: "results-failed", jid: copied, runId: lab.runId(copied), problem: problem("results-missing") });
      const canceled = lab.running({ class: "a" });
      lab.cancel([canceled]);
      lab.exit(canceled, 143);
      const lost = lab.running({ class: "a" });
      lab.lose(lost, true);
    }
    expect(lab.machine("a")).toMatchObject({ health: { kind: "ok" }, failures: [] });
  });

  test("how many it takes can be set", () => {
    const lab = labOf("good", "bad");
    lab.limits = { ...lab.limits, quarantineAfterFailures: 1 };
    ran(lab, "good", { cmd: "measure", exitCode: 0 });
    ran(lab, "bad", { cmd: "measure", exitCode: 1 });
    expect(lab.machine("bad").health.kind).toBe("quarantined");
  });
});
