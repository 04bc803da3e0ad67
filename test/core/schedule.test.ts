import { describe, expect, test } from "bun:test";
import { problem } from "../../src/core/problem.ts";
import { Lab } from "./lab.ts";

describe("the scheduler", () => {
  test("gives the lowest JID of each class to the machine that has been free longest", () => {
    const lab = Lab.withMachines("a", "b");
    lab.command({ kind: "add-machines", addrs: ["c"], class: "slow" });
    lab.add({ class: "slow" });
    lab.add({ count: 3 });
    lab.add({ class: "slow" });
    expect([...lab.dispatch()].sort()).toEqual(["0@c", "1@a", "2@b"]);
    expect(lab.dispatch()).toEqual([]);
    lab.start(2);
    lab.exit(2, 0);
    lab.start(1);
    lab.exit(1, 0);
    lab.add({ count: 2 });
    // b has been free longer than a by now.
    expect(lab.dispatch()).toEqual(["3@b", "5@a"]);
  });

  test("has an order of its own, whatever the order in which jobs became ready", () => {
    const lab = Lab.withMachines("a");
    lab.add({ count: 3 });
    lab.command({ kind: "hold-jobs", jids: [0], lenient: false });
    lab.command({ kind: "unhold-jobs", jids: [0], lenient: false });
    expect(lab.dispatch()).toEqual(["0@a"]);
  });

  test("passes over jobs that are held, delayed, or wait for a secret", () => {
    const lab = Lab.withMachines("a");
    const failing = lab.running({ retry: { maxFailures: null } });
    lab.exit(failing, 1);
    const delayed = lab.job(failing).retriedBy ?? -1;
    lab.command({ kind: "set-variable", name: "KEY", value: "k", secret: true });
    const secret = lab.add({ cmd: "run {KEY}" });
    lab.command({ kind: "remove-variables", names: ["KEY"] });
    const held = lab.add();
    lab.command({ kind: "hold-jobs", jids: [held], lenient: false });
    const plain = lab.add();
    expect(lab.dispatch()).toEqual([`${plain}@a`]);
    lab.start(plain);
    lab.exit(plain, 0);

    lab.command({ kind: "set-variable", name: "KEY", value: "k2", secret: true });
    expect(lab.dispatch()).toEqual([`${secret}@a`]);
    lab.start(secret);
    lab.exit(secret, 0);
    lab.command({ kind: "back-off-over", jid: delayed });
    expect(lab.dispatch()).toEqual([`${delayed}@a`]);
  });

  test("gives nothing to machines that are busy, unreachable, quarantined, leaving or of another class", () => {
    const lab = Lab.withMachines("busy", "cut", "bad", "leaving");
    lab.add({ count: 4 });
    lab.dispatch();
    for (const jid of [1, 2]) {
      lab.start(jid);
      lab.exit(jid, 0);
    }
    lab.unreachable("cut");
    lab.unreachable("bad", problem("host-key-changed"));
    lab.command({ kind: "remove-machines", addrs: ["leaving"] });
    lab.command({ kind: "add-machines", addrs: ["other"], class: "slow" });
    lab.add({ count: 5 });
    expect(lab.dispatch()).toEqual([]);
    lab.command({ kind: "restore-machines", addrs: ["bad"] });
    expect(lab.dispatch()).toEqual(["4@bad"]);
  });

  test("gives a machine nothing while its job is copying, or unknown with processes that may live", () => {
    const lab = Lab.withMachines("a", "b");
    lab.add({ count: 4, copyTo: "/r" });
    lab.dispatch();
    lab.start(0);
    lab.exit(0, 0, { prefixes: ["out"] });
    lab.start(1);
    lab.lose(1, false);
    expect([lab.kind(0), lab.kind(1), ...lab.dispatch()]).toEqual(["copying", "unknown"]);
  });
});
