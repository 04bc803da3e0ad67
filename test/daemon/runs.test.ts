/** Runs against hosts that we hold in our hands: whatever goes wrong, each run is followed, settled or looked at again. */
import { describe, expect, test } from "bun:test";
import { problem } from "../../src/core/problem.ts";
import type { Runner } from "../../src/daemon/runner/runner.ts";
import { FakeHosts, FakeRunner } from "../fakes/runner.ts";
import { waitFor } from "../support/wait-for.ts";
import { Assembly } from "./assembly.ts";

/** A runner of which one method is ours. */
function runner(hosts: FakeHosts, more: Partial<Runner>): Runner {
  const fake = new FakeRunner(hosts);
  return {
    start: (request) => fake.start(request),
    attach: (run, log) => fake.attach(run, log),
    stop: (run, signal) => fake.stop(run, signal),
    release: (run) => fake.release(run),
    probe: (machine) => fake.probe(machine),
    ...more,
  };
}

describe("a start", () => {
  test("that throws leaves the job to a later look, which finds out and starts it anew", async () => {
    const hosts = new FakeHosts();
    const fake = new FakeRunner(hosts);
    let broken = true;
    const local = runner(hosts, {
      start: async (request) => {
        if (broken) throw new Error("planted");
        return await fake.start(request);
      },
    });
    await using daemon = await Assembly.open({ runners: { local } });
    await daemon.pool("x", "local");
    const jid = await daemon.add();
    await waitFor(() => daemon.log.errors.length > 0);
    broken = false;
    await waitFor(() => hosts.begun.length === 1 || fake.hosts.begun.length === 1);
    await daemon.until(jid, "running");
    expect(daemon.log.errors.join()).toContain("planted");
  });

  test("is not taken away by a look at the machine meanwhile", async () => {
    const hosts = new FakeHosts();
    const fake = new FakeRunner(hosts);
    const held = Promise.withResolvers<void>();
    const local = runner(hosts, {
      start: async (request) => {
        await held.promise;
        return await fake.start(request);
      },
    });
    await using daemon = await Assembly.open({ runners: { local } });
    await daemon.pool("x", "local");
    const jid = await daemon.add();
    const attached = daemon.runs.attach(jid);
    held.resolve();
    expect(await attached).toBe("followed");
    await daemon.until(jid, "running");
    expect(hosts.begun).toHaveLength(1);
  });

  test("is one record with the end of a job that is over at once, and keeps its own time", async () => {
    const hosts = new FakeHosts(() => 5_000);
    const fake = new FakeRunner(hosts);
    const local = runner(hosts, {
      start: async (request) => {
        const outcome = await fake.start(request);
        hosts.finish(request.runId, 0);
        return outcome.kind === "started" ? { ...outcome, at: 4_000 } : outcome;
      },
    });
    await using daemon = await Assembly.open({ runners: { local } });
    await daemon.pool("x", "local");
    const records: string[][] = [];
    daemon.engine.subscribe(({ events }) => records.push(events.map(({ kind }) => kind)));
    const jid = await daemon.add();
    await daemon.untilEnded(jid);
    expect(records).toEqual([
      ["jobs-added", "job-starting"],
      ["job-started", "job-done"],
    ]);
    expect(daemon.job(jid).state).toMatchObject({ kind: "done", startedAt: 4_000, endedAt: 5_000 });
  });

  test("whose words cannot be made refuses that job only", async () => {
    await using daemon = await Assembly.open({ driver: "/bin/true", runners: {} });
    await daemon.pool("x", "local");
    const bad = await daemon.add({ cmd: "'open" });
    const good = await daemon.add();
    await daemon.until(good, "running");
    expect(daemon.job(bad).state).toMatchObject({ problem: { code: "start-failed", data: { reason: "command" } } });
    expect(daemon.gate.problem).toBeNull();
  });

  test("that waits for a secret value is not tried without end", async () => {
    await using daemon = await Assembly.open();
    await daemon.pool("x", "local");
    await daemon.engine.submit({ kind: "set-variable", name: "KEY", value: "", secret: true });
    const jid = await daemon.add({ cmd: "echo {KEY}" });
    await waitFor(() => daemon.log.lines.length > 0);
    await daemon.until(jid, "waiting");
    const tries = daemon.log.lines.length;
    const began = performance.now();
    await daemon.store.secrets.set("KEY", "v");
    await daemon.until(jid, "running");
    // It is tried again each 20 ms.
    expect(daemon.log.lines.length - tries).toBeLessThan(5 + (performance.now() - began) / 20);
  });

  test("cut off half-way is settled by the first answer of the machine", async () => {
    await using daemon = await Assembly.open();
    daemon.hosts.unreachable.set("far", problem("unreachable"));
    await daemon.pool("x", "far");
    const jid = await daemon.add();
    await waitFor(() => daemon.machine("far").health.kind === "unreachable");
    expect(daemon.job(jid).state.kind).toBe("starting");
    daemon.hosts.reconnect("far");
    await daemon.until(jid, "running");
    expect(daemon.hosts.begun).toHaveLength(1);
    expect(daemon.machine("far").health.kind).toBe("ok");
  });
});

describe("a run out of sight", () => {
  test("is followed again when its machine is back, and its true end is taken", async () => {
    await using daemon = await Assembly.open();
    await daemon.pool("x", "far");
    const { jid, runId } = await daemon.running();
    daemon.hosts.disconnect("far");
    await waitFor(() => daemon.machine("far").health.kind === "unreachable");
    expect(daemon.job(jid).state.kind).toBe("running");
    daemon.hosts.finish(runId, 3);
    daemon.hosts.reconnect("far");
    await daemon.until(jid, "failed");
    expect(daemon.job(jid).state).toMatchObject({ exitCode: 3 });
    expect(daemon.hosts.begun).toHaveLength(1);
  });

  test("on a machine whose host key changed is taken up after `machine restore`", async () => {
    await using daemon = await Assembly.open();
    await daemon.pool("x", "far");
    const { jid, runId } = await daemon.running();
    daemon.hosts.disconnect("far", problem("host-key-changed"));
    await waitFor(() => daemon.machine("far").health.kind === "quarantined");
    daemon.hosts.finish(runId, 0);
    daemon.hosts.reconnect("far");
    expect(daemon.job(jid).state.kind).toBe("running");
    await daemon.engine.submit({ kind: "restore-machines", addrs: ["far"] });
    await daemon.until(jid, "done");
  });

  test("again, while a full disk keeps us from writing down that it was found, is looked for again", async () => {
    const first = await Assembly.open();
    await first.pool("x", "far");
    const { jid, runId } = await first.running();
    await using daemon = await first.restart();
    const written = Promise.withResolvers<void>();
    const observe = daemon.engine.observe.bind(daemon.engine);
    const seen = new Set<string>();
    daemon.engine.observe = async (fact) => {
      seen.add(fact.kind);
      if (fact.kind === "run-found") await written.promise;
      await observe(fact);
    };
    void daemon.begin();
    await waitFor(() => seen.has("run-found"));
    daemon.hosts.disconnect("far");
    await waitFor(() => daemon.machine("far").health.kind === "unreachable");
    daemon.hosts.reconnect("far");
    await waitFor(() => seen.has("machine-reachable"));
    written.resolve();
    daemon.hosts.finish(runId, 3);
    await daemon.until(jid, "failed");
    expect(daemon.job(jid).state).toMatchObject({ exitCode: 3 });
  });

  test("whose directory cannot be read for a while is asked again", async () => {
    const hosts = new FakeHosts();
    const fake = new FakeRunner(hosts);
    let fails = 3;
    const local = runner(hosts, {
      attach: async (run, log) =>
        fails-- > 0 ? { kind: "unreachable", problem: problem("run-directory-failed", { path: "/r" }) } : await fake.attach(run, log),
    });
    const first = await Assembly.open({ runners: { local } });
    await first.pool("x", "local");
    const { jid, runId } = await first.running();
    await using daemon = await first.restart();
    await daemon.begin();
    hosts.finish(runId, 0);
    await daemon.until(jid, "done");
    expect(fails).toBeLessThan(0);
  });
});

describe("an unknown job", () => {
  test("keeps its machine until its session is seen to be empty, and then loses it without anybody asking", async () => {
    const hosts = new FakeHosts();
    const fake = new FakeRunner(hosts);
    let sessionEmpty = false;
    const local = runner(hosts, {
      attach: async (run, log) => {
        const outcome = await fake.attach(run, log);
        return outcome.kind === "lost" ? { ...outcome, sessionEmpty } : outcome;
      },
    });
    await using daemon = await Assembly.open({ runners: { local } });
    await daemon.pool("x", "local");
    const { jid, runId } = await daemon.running();
    // The fakes are the daemon's own: the loss goes through them.
    hosts.lose(runId, problem("supervisor-gone"), { sessionEmpty: false });
    await daemon.until(jid, "unknown");
    expect(daemon.machine("local").assignment.kind).toBe("busy");
    sessionEmpty = true;
    await waitFor(() => daemon.machine("local").assignment.kind === "free");
    expect(daemon.job(jid).state).toMatchObject({ kind: "unknown", holdsMachine: false });
  });

  test("whose run left no trace after it was seen to start is neither run again nor its machine given away", async () => {
    const first = await Assembly.open();
    await first.pool("x", "local");
    const { jid, runId } = await first.running();
    first.hosts.runs.delete(runId);
    await using daemon = await first.restart();
    await daemon.begin();
    expect(daemon.job(jid).state).toMatchObject({ kind: "unknown", holdsMachine: true });
    await daemon.cancel(jid);
    expect(daemon.machine("local").assignment.kind).toBe("free");
    expect(daemon.hosts.begun).toHaveLength(1);
  });
});

describe("a stop", () => {
  test("of a run that ignores TERM ends with KILL after the grace", async () => {
    await using daemon = await Assembly.open();
    await daemon.pool("x", "local");
    const { jid, runId } = await daemon.running();
    daemon.hosts.ignoringTerm.add(runId);
    await daemon.cancel(jid);
    await daemon.until(jid, "canceled");
    expect(daemon.hosts.signals.map(({ signal }) => signal)).toEqual(["TERM", "KILL"]);
  });

  test("that was asked for before a restart is carried out after it", async () => {
    const first = await Assembly.open();
    await first.pool("x", "local");
    const { jid, runId } = await first.running();
    first.hosts.ignoringTerm.add(runId);
    await first.cancel(jid);
    await using daemon = await first.restart();
    expect(daemon.job(jid).state).toMatchObject({ kind: "running", stop: { cause: "user" } });
    await daemon.begin();
    await daemon.until(jid, "canceled");
  });

  test("that was asked for while the run began reaches it when it has", async () => {
    const hosts = new FakeHosts();
    const fake = new FakeRunner(hosts);
    const held = Promise.withResolvers<void>();
    const local = runner(hosts, {
      start: async (request) => {
        await held.promise;
        return await fake.start(request);
      },
    });
    await using daemon = await Assembly.open({ runners: { local } });
    await daemon.pool("x", "local");
    const jid = await daemon.add();
    await daemon.cancel(jid);
    expect(hosts.signals).toEqual([]);
    held.resolve();
    await daemon.until(jid, "canceled");
    expect(hosts.signals.map(({ signal }) => signal)).toEqual(["TERM"]);
  });

  test("at the timeout is counted from the start, over restarts too", async () => {
    const first = await Assembly.open();
    await first.pool("x", "local");
    const { jid } = await first.running({ timeoutSeconds: 1 });
    await using daemon = await first.restart();
    await daemon.begin();
    await daemon.until(jid, "failed");
    expect(daemon.job(jid).state).toMatchObject({ problem: { code: "timed-out" }, exitCode: 143 });
  });
});

describe("the end of a run", () => {
  const logProblem = problem("no-space", { path: "/logs/0" });
  const cut = (hosts: FakeHosts): Runner => {
    const fake = new FakeRunner(hosts);
    return runner(hosts, {
      start: async (request) => {
        const outcome = await fake.start(request);
        if (outcome.kind !== "started") return outcome;
        const end = outcome.end.then((reached) => (reached.kind === "exited" ? { ...reached, logProblem } : reached));
        return { ...outcome, end };
      },
    });
  };

  test("with a log that is not whole is said, and the run directory with the rest stays", async () => {
    const hosts = new FakeHosts();
    await using daemon = await Assembly.open({ runners: { local: cut(hosts) } });
    await daemon.pool("x", "local");
    const { jid, runId } = await daemon.running();
    hosts.finish(runId, 0);
    await daemon.until(jid, "done");
    expect(daemon.job(jid).state).toMatchObject({ warning: { code: "no-space" } });
    expect(daemon.log.lines.join()).toContain("is not whole");
    expect(hosts.runs.has(runId)).toBe(true);
  });

  test("with results to fetch is no success when lines of its log are missing", async () => {
    const hosts = new FakeHosts();
    await using daemon = await Assembly.open({ runners: { local: cut(hosts) } });
    await daemon.pool("x", "local");
    const { jid, runId } = await daemon.running({ copyTo: "/results" });
    daemon.printed(jid, "RESULTS: a\n");
    hosts.finish(runId, 0);
    await daemon.until(jid, "failed");
    expect(daemon.job(jid).state).toMatchObject({ exitCode: 0, resultsNotCopied: true, problem: logProblem });
  });

  test("releases its directory when all is safe", async () => {
    await using daemon = await Assembly.open();
    await daemon.pool("x", "local");
    const { jid, runId } = await daemon.running();
    expect(daemon.hosts.runs.has(runId)).toBe(true);
    daemon.hosts.finish(runId, 0);
    await daemon.until(jid, "done");
    await waitFor(() => !daemon.hosts.runs.has(runId));
  });
});

describe("the runner of a run", () => {
  test("is the one it began with, when the server is started with a driver since", async () => {
    const first = await Assembly.open();
    await first.pool("x", "far");
    const { jid, runId } = await first.running();
    expect(first.run(jid).runner).toBe("ssh");
    const other = new FakeHosts();
    await using daemon = await first.restart({ driver: "/bin/true", runners: { driver: new FakeRunner(other) } });
    await daemon.begin();
    daemon.hosts.finish(runId, 0);
    await daemon.until(jid, "done");
    expect(other.runs.size).toBe(0);
  });

  test("alone decides whether this host's boot id says anything about a run directory", async () => {
    const seen: (string | undefined)[] = [];
    const hosts = new FakeHosts();
    const ssh = runner(hosts, {
      attach: async (run) => {
        seen.push(run.hostBootId);
        return { kind: "not-started" };
      },
    });
    hosts.unreachable.set("far", problem("unreachable"));
    await using daemon = await Assembly.open({ runners: { ssh, local: ssh } });
    await daemon.pool("x", "far");
    const jid = await daemon.add();
    await daemon.until(jid, "starting");
    hosts.reconnect("far");
    await waitFor(() => seen.length > 0);
    expect(seen[0]).toBeUndefined();
  });
});
