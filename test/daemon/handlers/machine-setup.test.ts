/** machine.setup as the server answers it, and how setup jobs and their machines are seen, waited for and taken away. */
import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { problem } from "../../../src/core/problem.ts";
import { METHODS, type Params, type Result } from "../../../src/protocol/methods.ts";
import { waitFor } from "../../support/wait-for.ts";
import { Desk, ids } from "./desk.ts";

type Setup = Params<"machine.setup">;

const SETUP: Setup = {
  addrs: ["m"],
  existing: false,
  class: "x",
  cmds: ["one {MACHINE}", "two"],
  timeout: null,
  stagger: 0,
  notify: false,
};

async function setUp(desk: Desk, more: Partial<Setup> = {}, requestId?: string): Promise<Result<"machine.setup">> {
  return await desk.call("machine.setup", { ...SETUP, ...more }, requestId === undefined ? {} : { requestId });
}

async function reasonsOf(desk: Desk, jid: number): Promise<readonly { code: string; data: Record<string, string> }[]> {
  const { answers } = await desk.call("job.why", { ids: ids(jid) });
  return answers[0]?.reasons ?? [];
}

async function show(desk: Desk, jid: number): Promise<Result<"job.show">["jobs"][number]> {
  const [job] = (await desk.call("job.show", { ids: ids(jid) })).jobs;
  if (job === undefined) throw new Error(`no job ${jid}`);
  return job;
}

/** The command under way exits; resolves when the next one runs, or the job has ended. */
async function finish(desk: Desk, jid: number, exitCode = 0): Promise<void> {
  const { daemon } = desk;
  await daemon.until(jid, "running");
  const { runId } = daemon.run(jid);
  daemon.hosts.finish(runId, exitCode);
  await waitFor(() => {
    const { state } = daemon.job(jid);
    return state.kind !== "running" && state.kind !== "starting" ? true : state.kind === "running" && state.run.runId !== runId;
  });
}

describe("machine.setup", () => {
  test("queues a job for each machine, and is one request however often it is asked", async () => {
    await using desk = await Desk.open();
    const reply = await setUp(desk, { addrs: ["m", "n"] }, "r1");
    expect(reply).toEqual({ first: 0, count: 2, warnings: [] });
    expect(await setUp(desk, { addrs: ["m", "n"] }, "r1")).toEqual(reply);
    await using next = await desk.restart();
    expect(await setUp(next, { addrs: ["m", "n"] }, "r1")).toEqual(reply);
    expect(next.daemon.engine.state.nextId).toBe(2);
  });

  test("of what is there means the machines of the class, and not those that leave it", async () => {
    await using desk = await Desk.open();
    await desk.daemon.pool("x", "a", "b", "c");
    await desk.daemon.pool("y", "d");
    await desk.add();
    await desk.daemon.until(0, "running");
    await desk.call("machine.remove", { addrs: ["a"], classes: [] });
    expect(await setUp(desk, { addrs: [], existing: true }, "r1")).toMatchObject({ first: 1, count: 2 });
    expect([await show(desk, 1), await show(desk, 2)].map((job) => job.machine)).toEqual(["b", "c"]);
    // Asked again when the class is empty: it was carried out.
    await desk.call("machine.remove", { addrs: [], classes: ["x"] });
    expect(await setUp(desk, { addrs: [], existing: true }, "r1")).toMatchObject({ first: 1, count: 2 });
    const refusal = await setUp(desk, { addrs: [], existing: true, class: "none" }).catch((error: Error) => error.message);
    expect(refusal).toBe('no-such-class {"class":"none"}');
  });

  test("warns of names that nothing defines, in any of the commands", async () => {
    await using desk = await Desk.open();
    const { warnings } = await setUp(desk, { cmds: ["one {MACHINE}", "two {WHAT}"] });
    expect(warnings).toEqual([{ code: "placeholder-undefined", data: { name: "WHAT" } }]);
  });

  test("refuses words that a driver could not be given, and queues nothing", async () => {
    await using desk = await Desk.open({ driver: "/lab/driver" });
    const refusal = await setUp(desk, { cmds: ["fine", "'open"] }).catch((error: Error) => error.message);
    expect(refusal).toStartWith("bad-command");
    expect(desk.daemon.engine.state.nextId).toBe(0);
  });

  test("does not take machines and a whole class together, nor neither, nor no command", () => {
    const { params } = METHODS["machine.setup"];
    const accepts = (more: Partial<Setup>): boolean => v.is(params, { ...SETUP, ...more });
    expect(accepts({})).toBe(true);
    expect(accepts({ addrs: [], existing: true })).toBe(true);
    expect(accepts({ addrs: [] })).toBe(false);
    expect(accepts({ existing: true })).toBe(false);
    expect(accepts({ addrs: [], existing: true, class: null })).toBe(false);
    expect(accepts({ cmds: [] })).toBe(false);
  });
});

describe("a setup job is shown", () => {
  test("with its machine also while it waits, and with the command under way", async () => {
    await using desk = await Desk.open();
    desk.daemon.dispatching = false;
    await setUp(desk, { class: null });
    expect(await show(desk, 0)).toMatchObject({
      kind: "setup",
      class: "",
      machine: "m",
      command_line: "one m",
      cmd_logs: [],
      started: null,
    });
    desk.daemon.dispatching = true;
    await desk.daemon.engine.dispatch();
    await finish(desk, 0);
    expect(await show(desk, 0)).toMatchObject({ cmd: "one {MACHINE}", cmds: SETUP.cmds, command_line: "two", status: "running" });
    await finish(desk, 0);
    const job = await show(desk, 0);
    expect(job.status).toBe("done");
    const { logs } = await desk.call("job.logs", { ids: ids(0), running: false });
    expect(logs.map(({ command }) => command)).toEqual([1, 2]);
    expect(job.cmd_logs).toEqual(logs.map(({ log, err_log }) => ({ log: log ?? "", err_log: err_log ?? "" })));
    expect(new Set(logs.flatMap(({ log, err_log }) => [log, err_log])).size).toBe(4);
  });

  test("without a log before it starts, like any other job; one that is no setup job has no number", async () => {
    await using desk = await Desk.open();
    await desk.add();
    expect((await desk.call("job.logs", { ids: ids(0), running: false })).logs).toEqual([
      { jid: 0, status: "waiting", log: null, err_log: null },
    ]);
    expect(await show(desk, 0)).not.toHaveProperty("cmd_logs");
  });

  test("and its machine is in no class, busy, last in the list, and nothing that TAB offers as a class", async () => {
    await using desk = await Desk.open();
    await setUp(desk, { addrs: ["m", "n"], stagger: 3_600 });
    await desk.daemon.pool("x", "z");
    await desk.daemon.until(0, "running");
    const { machines } = await desk.call("machine.list", { class: null });
    expect(machines.map(({ addr, class: of, state, running }) => [addr, of, state, running])).toEqual([
      ["z", "x", "free", null],
      ["m", "", "busy", 0],
      ["n", "", "busy", null],
    ]);
    expect((await desk.call("machine.list", { class: "x" })).machines).toHaveLength(1);
    expect((await desk.call("completion.list", { kinds: ["classes"] })).classes).toEqual([{ name: "x", machines: 1 }]);
  });
});

describe("job.why of a setup job says that", () => {
  test("its machine is busy, and which setup goes before it", async () => {
    await using desk = await Desk.open();
    await desk.daemon.pool("x", "m");
    await desk.add();
    await desk.daemon.until(0, "running");
    await setUp(desk);
    await setUp(desk);
    const busy = { code: "machine", data: { addr: "m", state: "busy", running: "0" } };
    expect(await reasonsOf(desk, 1)).toEqual([busy]);
    expect(await reasonsOf(desk, 2)).toEqual([busy, { code: "setup-ahead", data: { addr: "m", jobs: "1" } }]);
  });

  test("it is not its turn yet", async () => {
    await using desk = await Desk.open();
    await setUp(desk, { addrs: ["m", "n"], stagger: 60 });
    expect(await reasonsOf(desk, 1)).toMatchObject([{ code: "stagger" }]);
  });

  test("its machine cannot be reached, or has a wrong host key", async () => {
    await using desk = await Desk.open();
    const { daemon } = desk;
    daemon.hosts.refuse("m", problem("unreachable", { machine: "m" }));
    daemon.hosts.refuse("n", problem("host-key-changed", { machine: "n" }));
    await setUp(desk, { addrs: ["m", "n"] });
    await waitFor(() => daemon.machine("m").health.kind === "unreachable" && daemon.machine("n").health.kind === "quarantined");
    const machineReason = async (jid: number) => (await reasonsOf(desk, jid)).find(({ code }) => code === "machine")?.data;
    expect(await machineReason(0)).toMatchObject({ addr: "m", state: "unreachable", problem: "unreachable" });
    expect(await machineReason(1)).toMatchObject({ addr: "n", state: "quarantined", problem: "host-key-changed" });
  });

  test("a secret is missing", async () => {
    await using desk = await Desk.open();
    await desk.call("variable.set", { name: "KEY", value: "s3cret", secret: true });
    desk.daemon.dispatching = false;
    await setUp(desk, { cmds: ["use {KEY}"] });
    await desk.call("variable.remove", { names: ["KEY"] });
    expect(await reasonsOf(desk, 0)).toEqual([{ code: "secret-missing", data: { name: "KEY" } }]);
    expect(await show(desk, 0)).toMatchObject({ command_line: "use ********" });
  });
});

test("a job that waits for a class is told of the setup that brings a machine, and does not warn", async () => {
  await using desk = await Desk.open();
  await setUp(desk);
  expect(await desk.add()).toMatchObject({ first: 1, warnings: [] });
  expect(await reasonsOf(desk, 1)).toEqual([{ code: "class-in-setup", data: { class: "x", jobs: "0" } }]);
});

test("a machine in the middle of a setup is said to be that, and gets no job", async () => {
  await using desk = await Desk.open();
  const { daemon } = desk;
  await daemon.pool("x", "m");
  await setUp(desk);
  await daemon.until(0, "running");
  daemon.hosts.refuse("m", problem("no-space", { path: "/" }));
  daemon.hosts.finish(daemon.run(0).runId, 0);
  await daemon.until(0, "waiting");
  await desk.add();
  expect((await reasonsOf(desk, 1)).find(({ code }) => code === "machine")).toEqual({
    code: "machine",
    data: { addr: "m", state: "half-set-up", setup: "0" },
  });
});

describe("a machine that is only being set up", () => {
  test("may be taken away: its jobs, the one that runs and those that wait, are named", async () => {
    await using desk = await Desk.open();
    await setUp(desk);
    await setUp(desk);
    await desk.daemon.until(0, "running");
    expect(await desk.call("machine.remove", { addrs: ["m"], classes: [] })).toEqual({ removed: ["m"], canceled: [0, 1], missing: [] });
    await desk.daemon.until(0, "canceled");
    expect((await desk.call("machine.list", { class: null })).machines).toEqual([]);
  });

  test("may be checked and restored", async () => {
    await using desk = await Desk.open();
    desk.daemon.hosts.refuse("m", problem("host-key-changed", { machine: "m" }));
    await setUp(desk);
    await waitFor(() => desk.daemon.machine("m").health.kind === "quarantined");
    expect((await desk.call("machine.check", { addrs: [] })).results).toMatchObject([{ addr: "m" }]);
    desk.daemon.hosts.allow("m");
    expect(await desk.call("machine.restore", { addrs: ["m"] })).toEqual({ failed: [] });
    await desk.daemon.until(0, "running");
  });
});

test("a setup job can be held, let go, waited for and canceled like any other", async () => {
  await using desk = await Desk.open();
  await desk.daemon.pool("x", "m");
  await desk.add();
  await desk.daemon.until(0, "running");
  await setUp(desk, { cmds: ["one"] });
  expect(await desk.call("job.hold", { ids: ids(1) })).toEqual({ done: [1], failed: [] });
  desk.daemon.hosts.finish(desk.daemon.run(0).runId, 0);
  await desk.daemon.until(0, "done");
  expect((await show(desk, 1)).status).toBe("held");
  await desk.call("job.unhold", { ids: ids(1) });
  const waited = desk.call("job.wait", { ids: ids(1), timeout: null });
  await finish(desk, 1);
  expect(await waited).toMatchObject({ timed_out: false, jobs: [{ jid: 1, status: "done", kind: "setup" }] });
  await setUp(desk);
  await desk.daemon.until(2, "running");
  expect(await desk.call("job.cancel", { ids: ids(2), forget: false })).toMatchObject({ done: [2], failed: [] });
  await desk.daemon.until(2, "canceled");
  expect(desk.daemon.machine("m").assignment.kind).toBe("free");
});
