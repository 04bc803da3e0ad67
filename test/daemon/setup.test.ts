/** Setup jobs through the daemon: each command once, in order, whatever happens to the server and to the machine in between. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { AddSetups } from "../../src/core/command.ts";
import { logsOf } from "../../src/core/job.ts";
import { problem } from "../../src/core/problem.ts";
import { machineAt } from "../../src/core/state.ts";
import { LocalRunner } from "../../src/daemon/runner/local.ts";
import type { Runner } from "../../src/daemon/runner/runner.ts";
import { FakeHosts, FakeRunner } from "../fakes/runner.ts";
import { waitFor } from "../support/wait-for.ts";
import { Assembly } from "./assembly.ts";

const THREE = ["one", "two", "three"];

/** @returns the first id */
async function setUp(daemon: Assembly, more: Partial<AddSetups> = {}): Promise<number> {
  const setups: AddSetups = {
    kind: "add-setups",
    addrs: ["m"],
    class: "x",
    cmds: THREE,
    timeoutSeconds: null,
    staggerSeconds: 0,
    notify: false,
    ...more,
  };
  const answer = await daemon.engine.submit(setups);
  if (answer.kind !== "jobs") throw new Error(answer.kind);
  return answer.first;
}

/** What ran, in order. */
function begun({ begun: requests }: FakeHosts): string[] {
  return requests.map(({ program }) => (program.kind === "shell" ? program.text : program.words.join(" ")));
}

/** Resolves when that command of the job runs. */
async function underWay(daemon: Assembly, jid: number, command: number): Promise<string> {
  const running = (): boolean => {
    const { state } = daemon.job(jid);
    return state.kind === "running" && state.run.step?.command === command;
  };
  await waitFor(running, { what: () => JSON.stringify([command, daemon.job(jid).state, daemon.log.lines]) });
  return daemon.run(jid).runId;
}

/** A runner that never hears whether the run it was asked for has begun, from that command on. */
function mute(hosts: FakeHosts, command: number): { readonly local: Runner; readonly asked: () => boolean } {
  const fake = new FakeRunner(hosts);
  let asked = false;
  const local: Runner = {
    start: async (request) => {
      if (request.command < command) return await fake.start(request);
      asked = true;
      return await new Promise(() => undefined);
    },
    attach: (run, log) => fake.attach(run, log),
    stop: (run, signal) => fake.stop(run, signal),
    release: (run) => fake.release(run),
    probe: (machine) => fake.probe(machine),
  };
  return { local, asked: () => asked };
}

describe("on this host, with real shells", () => {
  function local(folder: string): LocalRunner {
    const environment = { PATH: process.env["PATH"] ?? "/usr/bin:/bin", HOME: folder };
    return new LocalRunner({ root: join(folder, "runs"), workDirectory: folder, environment, warn: () => undefined });
  }

  async function open(): Promise<Assembly> {
    const first = await Assembly.open();
    return await first.restart({ runners: { local: local(first.folder) } });
  }

  test("each command has a log of its own, and knows its machine, class and variables", async () => {
    await using daemon = await open();
    await daemon.begin();
    await daemon.engine.submit({ kind: "set-variable", name: "WHAT", value: "tools", secret: false });
    const jid = await setUp(daemon, {
      addrs: ["local/a"],
      cmds: ["echo install {WHAT} on {MACHINE}", "echo $EXPJOB_JID $EXPJOB_CLASS $EXPJOB_VAR_WHAT; echo hm >&2"],
    });
    await daemon.until(jid, "done");
    const texts = logsOf(daemon.run(jid)).map((path) => readFileSync(path, "utf8"));
    expect(texts).toEqual(["install tools on local/a\n", "", "0 x tools\n", "hm\n"]);
    expect(daemon.machine("local/a")).toMatchObject({ class: "x", assignment: { kind: "free" } });
  });

  test("a command that fails is the last", async () => {
    await using daemon = await open();
    await daemon.begin();
    const jid = await setUp(daemon, { addrs: ["local/a"], cmds: ["true", "exit 7", "echo three >three"] });
    await daemon.until(jid, "failed");
    expect(daemon.job(jid).state).toMatchObject({ exitCode: 7, problem: { data: { command: "exit 7", command_number: "2" } } });
    expect(await Bun.file(join(daemon.folder, "three")).exists()).toBe(false);
    expect(machineAt(daemon.engine.state, "local/a")).toBeUndefined();
  });

  test("one timeout stops whichever command is under way", async () => {
    await using daemon = await open();
    await daemon.begin();
    const jid = await setUp(daemon, { addrs: ["local/a"], cmds: ["true", "sleep 600"], timeoutSeconds: 1 });
    await daemon.until(jid, "failed");
    expect(daemon.job(jid).state).toMatchObject({ problem: { code: "timed-out", data: { seconds: "1", command: "sleep 600" } } });
  });
});

describe("a restart of the server", () => {
  test("in the middle of a command takes it up, and goes on with the next", async () => {
    const first = await Assembly.open();
    const jid = await setUp(first);
    first.hosts.finish(await underWay(first, jid, 0), 0);
    const second = await underWay(first, jid, 1);
    await using daemon = await first.restart();
    await daemon.begin();
    await underWay(daemon, jid, 1);
    daemon.hosts.finish(second, 0);
    daemon.hosts.finish(await underWay(daemon, jid, 2), 0);
    await daemon.until(jid, "done");
    expect(begun(daemon.hosts)).toEqual(THREE);
    expect(daemon.machine("m").class).toBe("x");
  });

  test("during which a command ended learns of it, and goes on with the next", async () => {
    const first = await Assembly.open();
    const jid = await setUp(first);
    const runId = await underWay(first, jid, 0);
    await using daemon = await first.restart();
    daemon.hosts.finish(runId, 0);
    await daemon.begin();
    daemon.hosts.finish(await underWay(daemon, jid, 1), 0);
    await underWay(daemon, jid, 2);
    expect(begun(daemon.hosts)).toEqual(THREE);
  });

  test("between two commands starts the next one, once", async () => {
    const hosts = new FakeHosts();
    const silent = mute(hosts, 1);
    const first = await Assembly.open({ runners: { local: silent.local } });
    const jid = await setUp(first, { addrs: ["local/m"] });
    hosts.finish(await underWay(first, jid, 0), 0);
    await waitFor(silent.asked);
    expect(first.job(jid).state).toMatchObject({ kind: "starting", run: { step: { command: 1 } } });
    await using daemon = await first.restart({ runners: { local: new FakeRunner(hosts) } });
    await daemon.begin();
    hosts.finish(await underWay(daemon, jid, 1), 0);
    hosts.finish(await underWay(daemon, jid, 2), 0);
    await daemon.until(jid, "done");
    expect(begun(hosts)).toEqual(THREE);
  });

  test("does not forget what --stagger asked for", async () => {
    const first = await Assembly.open();
    await setUp(first, { addrs: ["m", "n"], staggerSeconds: 3_600 });
    await using daemon = await first.restart();
    await daemon.begin();
    expect(daemon.job(1).state).toMatchObject({ kind: "waiting", notBefore: daemon.job(1).created + 3_600_000 });
  });
});

describe("a machine that goes away", () => {
  test("between two commands gets the rest when it is back, and nothing twice", async () => {
    await using daemon = await Assembly.open();
    await daemon.pool("x", "m");
    const jid = await setUp(daemon);
    const first = await underWay(daemon, jid, 0);
    daemon.hosts.refuse("m", problem("unreachable", { machine: "m" }));
    daemon.hosts.finish(first, 0);
    await daemon.until(jid, "waiting");
    const job = await daemon.add();
    expect(daemon.job(jid).state).toMatchObject({ step: { command: 1 } });
    expect(daemon.machine("m").health.kind).toBe("unreachable");
    daemon.hosts.allow("m");
    for (const command of [1, 2]) daemon.hosts.finish(await underWay(daemon, jid, command), 0);
    await daemon.until(jid, "done");
    await daemon.until(job, "running");
    expect(begun(daemon.hosts)).toEqual([...THREE, "true"]);
  });

  test("during a command is waited for, and its true end is taken", async () => {
    await using daemon = await Assembly.open();
    const jid = await setUp(daemon);
    const first = await underWay(daemon, jid, 0);
    daemon.hosts.disconnect("m");
    await waitFor(() => daemon.machine("m").health.kind === "unreachable");
    daemon.hosts.finish(first, 0);
    daemon.hosts.reconnect("m");
    await underWay(daemon, jid, 1);
    expect(begun(daemon.hosts)).toEqual(["one", "two"]);
  });

  test("and was never there is tried again, and set up when it comes", async () => {
    await using daemon = await Assembly.open();
    daemon.hosts.refuse("m", problem("unreachable", { machine: "m" }));
    const jid = await setUp(daemon, { cmds: ["one"] });
    await waitFor(() => daemon.machine("m").health.kind === "unreachable");
    daemon.hosts.allow("m");
    daemon.hosts.finish(await underWay(daemon, jid, 0), 0);
    await daemon.until(jid, "done");
    expect(daemon.machine("m")).toMatchObject({ class: "x", health: { kind: "ok" } });
  });
});

test("what is canceled in the middle is stopped, and the next command never begins", async () => {
  await using daemon = await Assembly.open();
  const jid = await setUp(daemon);
  daemon.hosts.finish(await underWay(daemon, jid, 0), 0);
  const second = await underWay(daemon, jid, 1);
  await daemon.cancel(jid);
  await daemon.until(jid, "canceled");
  expect(daemon.hosts.signals).toEqual([{ runId: second, signal: "TERM" }]);
  expect(begun(daemon.hosts)).toEqual(["one", "two"]);
  expect(machineAt(daemon.engine.state, "m")).toBeUndefined();
});

test("a driver is given the words of each command", async () => {
  const hosts = new FakeHosts();
  await using daemon = await Assembly.open({ driver: "/lab/driver", runners: { driver: new FakeRunner(hosts) } });
  const jid = await setUp(daemon, { cmds: ["install '{MACHINE} x'", "warm-up"] });
  hosts.finish(await underWay(daemon, jid, 0), 0);
  hosts.finish(await underWay(daemon, jid, 1), 0);
  await daemon.until(jid, "done");
  expect(hosts.begun.map(({ program }) => program.kind === "words" && program.words)).toEqual([
    ["/lab/driver", "install", "m x"],
    ["/lab/driver", "warm-up"],
  ]);
});

test("the run directory of a command goes when the next one begins", async () => {
  await using daemon = await Assembly.open();
  const jid = await setUp(daemon);
  const first = await underWay(daemon, jid, 0);
  daemon.hosts.finish(first, 0);
  await underWay(daemon, jid, 1);
  await waitFor(() => !daemon.hosts.runs.has(first));
  expect(daemon.hosts.runs.size).toBe(1);
});
