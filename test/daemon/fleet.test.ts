/** What is found out about machines, and how often one is looked at. */
import { describe, expect, test } from "bun:test";
import { problem } from "../../src/core/problem.ts";
import { LocalMachineShell } from "../../src/daemon/local-shell.ts";
import type { MachineShell } from "../../src/daemon/machine-shell.ts";
import { FakeHosts, FakeRunner } from "../fakes/runner.ts";
import { waitFor } from "../support/wait-for.ts";
import { Assembly } from "./assembly.ts";

const GONE = problem("unreachable", { machine: "far" });
const NO_SHELL: MachineShell = {
  machine: "far",
  run: async () => {
    throw new Error("no machine is contacted with a driver");
  },
};

describe("a machine that cannot be reached", () => {
  test("is looked at until it answers", async () => {
    await using daemon = await Assembly.open();
    await daemon.pool("x", "far");
    daemon.hosts.unreachable.set("far", GONE);
    expect((await daemon.fleet.check("far")).problem).toEqual(GONE);
    expect(daemon.machine("far").health.kind).toBe("unreachable");
    daemon.hosts.reconnect("far");
    await waitFor(() => daemon.machine("far").health.kind === "ok");
    expect(daemon.timers.has("probe far")).toBe(false);
  });

  test("is still looked at when its job cannot be taken up in the moment in which it answers", async () => {
    const hosts = new FakeHosts();
    const fake = new FakeRunner(hosts);
    let refusals = 2;
    const ssh = Object.assign(Object.create(fake) as FakeRunner, {
      attach: async (...call: Parameters<FakeRunner["attach"]>) =>
        refusals-- > 0 ? { kind: "unreachable" as const, problem: GONE } : await fake.attach(...call),
    });
    await using daemon = await Assembly.open({ runners: { ssh } });
    await daemon.pool("x", "far");
    const { jid, runId } = await daemon.running();
    hosts.disconnect("far", GONE);
    hosts.reconnect("far");
    hosts.finish(runId, 0);
    await daemon.until(jid, "done");
    expect(refusals).toBeLessThan(0);
    await waitFor(() => daemon.machine("far").health.kind === "ok");
  });

  test("is no longer looked at when it has left the pool", async () => {
    await using daemon = await Assembly.open();
    await daemon.pool("x", "far");
    daemon.hosts.unreachable.set("far", GONE);
    await daemon.fleet.check("far");
    expect(daemon.timers.has("probe far")).toBe(true);
    await daemon.engine.submit({ kind: "remove-machines", addrs: ["far"] });
    await waitFor(() => !daemon.timers.has("probe far"));
  });

  test("whose shell never answers is given up after a while, and nothing hangs", async () => {
    const stuck: MachineShell = { machine: "far", run: () => new Promise(() => undefined) };
    await using daemon = await Assembly.open({ shell: () => stuck, answerTimeoutMs: 30 });
    await daemon.pool("x", "far");
    const { problem: found } = await daemon.fleet.check("far");
    expect(found).toMatchObject({ code: "shell-unusable", data: { machine: "far" } });
  });

  test("is looked at again even after a defect of ours", async () => {
    let looks = 0;
    const shell: MachineShell = {
      machine: "far",
      run: async (script) => {
        looks++;
        if (looks < 4) throw new TypeError("planted");
        return await new LocalMachineShell("far").run(script);
      },
    };
    await using daemon = await Assembly.open({ shell: () => shell });
    await daemon.pool("x", "far");
    await daemon.engine.observe({ kind: "machine-unreachable", addr: "far", problem: GONE });
    await waitFor(() => daemon.machine("far").health.kind === "ok");
    expect(daemon.log.errors.join()).toContain("planted");
  });
});

describe("a driver's machine", () => {
  const withDriver = (hosts: FakeHosts) =>
    Assembly.open({ driver: "/bin/true", runners: { driver: new FakeRunner(hosts) }, shell: () => NO_SHELL });

  test("is not contacted by us to find out that it works again", async () => {
    const hosts = new FakeHosts();
    await using daemon = await withDriver(hosts);
    await daemon.pool("x", "far");
    await daemon.engine.observe({ kind: "machine-unreachable", addr: "far", problem: GONE });
    await waitFor(() => daemon.machine("far").health.kind === "ok");
    expect(daemon.log.errors).toEqual([]);
  });

  test("stays in use when `machine check` finds no way of ours to it", async () => {
    await using daemon = await withDriver(new FakeHosts());
    await daemon.pool("x", "far");
    expect((await daemon.fleet.check("far")).problem?.code).toBe("shell-unusable");
    expect(daemon.machine("far").health.kind).toBe("ok");
  });
});

test("check of a local machine asks this host and tells its kernel", async () => {
  await using daemon = await Assembly.open();
  await daemon.pool("x", "local");
  const found = await daemon.fleet.check("local");
  expect(found.problem).toBeNull();
  expect(found.kernel).toBeTruthy();
});

describe("the runner of a new run", () => {
  test.each([
    ["local", null, null, "local"],
    ["far", null, null, "ssh"],
    ["far", "/bin/true", null, "driver"],
    ["local/a", "/bin/true", null, "driver"],
    ["far", "/bin/true", "ssh", "ssh"],
    ["local", "/bin/true", "ssh", "local"],
    ["far", null, "local", "local"],
  ] as const)("on %s with driver %p in a class of %p is %s", async (addr, driver, runner, kind) => {
    await using daemon = await Assembly.open({ driver, classes: { x: { runner, runRoot: null } } });
    expect(daemon.fleet.placeFor(addr, "x")).toEqual({ runner: kind });
  });

  test("over SSH remembers the run root of its class", async () => {
    await using daemon = await Assembly.open({ classes: { x: { runner: null, runRoot: "/scratch" } } });
    expect(daemon.fleet.placeFor("far", "x")).toEqual({ runner: "ssh", runRoot: "/scratch" });
    expect(daemon.fleet.placeFor("local", "x")).toEqual({ runner: "local" });
  });
});
