/** Connections that die around a run: it runs once, its end is the true one and its log is whole. Needs sshd. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDead, readAllProcesses, readProcessStat } from "../../../src/daemon/runner/process-identity.ts";
import type { AttachOutcome, RunEnd, RunRequest } from "../../../src/daemon/runner/runner.ts";
import { RunnerTestBed, started } from "../../contract/runner-test-bed.ts";
import { CutProxy } from "../../support/cut-proxy.ts";
import { freePort } from "../../support/free-port.ts";
import { exitCodeIn, supervisorPidIn } from "../../support/run-file.ts";
import { isAlive } from "../../support/sshd.ts";
import { waitFor } from "../../support/wait-for.ts";
import { mountSmall } from "./small-file-system.ts";
import { OwnSshRunner, openSshRunner, type SshRunnerUnderTest } from "./ssh-runner-harness.ts";

// Real servers on a machine that is busy with other tests.
setDefaultTimeout(120_000);

interface Stage {
  readonly bed: RunnerTestBed;
  readonly under: SshRunnerUnderTest;
  /** A way to the machine that can be cut; `request` names it. */
  readonly proxy: CutProxy;
  readonly runner: OwnSshRunner;
  request(text: string): RunRequest;
}

async function onStage(check: (stage: Stage) => Promise<void>, limits = {}): Promise<void> {
  const under = await openSshRunner();
  const bed = new RunnerTestBed(under);
  await using proxy = await CutProxy.start({ host: under.sshd.address, port: under.sshd.port });
  const machine = `127.0.0.1:${proxy.port}`;
  under.sshd.writeClientConfig([`Host ${machine}`, `  HostKeyAlias [127.0.0.1]:${under.sshd.port}`]);
  const known = readFileSync(under.sshd.client.knownHostsFile, "utf8");
  writeFileSync(under.sshd.client.knownHostsFile, `${known}${known.replace(`]:${under.sshd.port} `, `]:${proxy.port} `)}`);
  using runner = new OwnSshRunner({ ...under.side, limits });
  try {
    await check({ bed, under, proxy, runner, request: (text) => ({ ...bed.request(text), machine }) });
  } finally {
    await bed.close();
  }
}

/** As the daemon does: until the machine answers. */
async function attachAgain(runner: OwnSshRunner, request: RunRequest): Promise<Exclude<AttachOutcome, { kind: "unreachable" }>> {
  let outcome: AttachOutcome = await runner.attach(request, request.log);
  await waitFor(async () => {
    if (outcome.kind === "unreachable") outcome = await runner.attach(request, request.log);
    return outcome.kind !== "unreachable";
  });
  if (outcome.kind === "unreachable") throw new Error(JSON.stringify(outcome));
  return outcome;
}

async function endOf(outcome: AttachOutcome): Promise<RunEnd | AttachOutcome> {
  return outcome.kind === "running" ? await outcome.end : outcome;
}

function linesOf(path: string): string[] {
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
}

describe("a connection that dies", () => {
  test("before the start request keeps the run from starting, and says so", () =>
    onStage(async ({ under, runner, bed }) => {
      const request = { ...bed.request("true"), machine: `127.0.0.1:${await freePort("127.0.0.1")}` };
      expect(await runner.start(request)).toMatchObject({ kind: "not-started", problem: { code: "unreachable" } });
      // Whoever looked whether it listens may still be going.
      await waitFor(() => under.sshd.sessionProcesses().length === 0);
    }));

  test("in or after the start request leaves a run that ran once or never, and attach knows which", () =>
    onStage(async ({ bed, proxy, runner, request }) => {
      const seen = { started: 0, notStarted: 0 };
      for (let round = 0; round < 24; round += 1) {
        const ledger = join(bed.folder, `ledger-${round}`);
        // Long, so that it can be cut in the middle.
        const one = request(`: ${"x".repeat(60_000)}\necho "$EXPJOB_JID" >>'${ledger}'; echo out; exit 7`);
        expect(await runner.probe(one.machine)).toBeNull();
        const before = proxy.bytesToTarget;
        const starting = runner.start(one);
        let isOver = false;
        void starting.then(() => {
          isOver = true;
        });
        await waitFor(() => isOver || proxy.bytesToTarget - before > round * 3_000, { everyMs: 1 });
        proxy.cut();
        const outcome = await starting;
        if (outcome.kind === "started") expect(await outcome.end).toMatchObject({ kind: expect.stringMatching(/disconnected|exited/) });
        const after = await endOf(await attachAgain(runner, one));
        const ran = linesOf(ledger).length;
        expect(after).toMatchObject(ran === 0 ? { kind: "not-started" } : { kind: "exited", exitCode: 7 });
        expect(ran).toBeLessThan(2);
        if (ran === 1) expect(bed.stdout(one)).toBe("out\n");
        seen[ran === 0 ? "notStarted" : "started"] += 1;
      }
      expect(seen.notStarted).toBeGreaterThan(0);
      expect(seen.started).toBeGreaterThan(0);
    }));

  test("again and again while a job writes loses no byte of its log and repeats none", () =>
    onStage(async ({ bed, proxy, runner, request }) => {
      // The second half is written when it was taken up once, however long that took.
      const go = join(bed.folder, "go on");
      const half = `[ $i != 1500 ] || until [ -e '${go}' ]; do sleep 0.02; done`;
      const one = request(
        `i=0; while [ $i -lt 3000 ]; do echo "line $i of the log"; echo $i >&2; i=$((i+1)); ${half}; [ $((i % 30)) = 0 ] && sleep 0.02; done; printf last`,
      );
      let end: RunEnd | AttachOutcome = await (async () => {
        const { end: first } = started(await runner.start(one));
        await waitFor(() => linesOf(one.log.stdout).length > 10);
        proxy.cut();
        return await first;
      })();
      let cuts = 1;
      while (end.kind !== "exited") {
        expect(["disconnected", "unreachable"]).toContain(end.kind);
        const outcome = await attachAgain(runner, one);
        if (outcome.kind !== "running") {
          end = outcome;
          break;
        }
        writeFileSync(go, "");
        const had = linesOf(one.log.stdout).length;
        const over = outcome.end.then(() => true);
        await Promise.race([over, waitFor(() => linesOf(one.log.stdout).length > had + 100)]);
        proxy.cut();
        cuts += 1;
        end = await outcome.end;
      }
      expect(end).toMatchObject({ kind: "exited", exitCode: 0 });
      expect(cuts).toBeGreaterThan(1);
      const lines = Array.from({ length: 3000 }, (_, index) => index);
      expect(bed.stdout(one)).toBe(`${lines.map((index) => `line ${index} of the log\n`).join("")}last`);
      expect(bed.stderr(one)).toBe(lines.map((index) => `${index}\n`).join(""));
    }));

  test("because the machine hangs is seen after the keepalives, and the run is taken up when it is back", () =>
    onStage(
      async ({ bed, under, runner }) => {
        const run = bed.endless("echo begun");
        const outcome = started(await runner.start(run.request));
        await waitFor(() => bed.stdout(run.request) === "begun\n");
        under.sshd.freeze();
        expect(await outcome.end).toMatchObject({ kind: "disconnected", problem: { code: "unreachable" } });
        under.sshd.thaw();
        const attached = await attachAgain(runner, run.request);
        expect(attached.kind).toBe("running");
        run.finish(5);
        expect(await endOf(attached)).toMatchObject({ kind: "exited", exitCode: 5 });
        expect(bed.stdout(run.request)).toBe("begun\n");
      },
      { keepaliveIntervalMs: 400, keepaliveCountMax: 3 },
    ));

  test("with sshd and all its processes leaves the run, whose end while nobody looked is the true one", () =>
    onStage(async ({ bed, under, runner }) => {
      const ledger = join(bed.folder, "ledger");
      const run = bed.endless(`echo begun; echo "$$" >>'${ledger}'; seq 20000`);
      const outcome = started(await runner.start(run.request));
      await waitFor(() => linesOf(run.request.log.stdout).length > 1);
      await under.sshd.kill();
      expect((await outcome.end).kind).toBe("disconnected");
      expect(await runner.attach(run.request, run.request.log)).toMatchObject({ kind: "unreachable" });
      expect(await runner.stop(run.request, "TERM")).toMatchObject({ kind: "unreachable" });
      run.finish(33);
      await waitFor(() => exitCodeIn(under.runDirectory(run.request)) !== null);
      await under.sshd.start();
      expect(await endOf(await attachAgain(runner, run.request))).toMatchObject({ kind: "exited", exitCode: 33 });
      expect(linesOf(run.request.log.stdout)).toEqual(["begun", ...Array.from({ length: 20_000 }, (_, index) => String(index + 1))]);
      expect(linesOf(ledger)).toHaveLength(1);
    }));
});

describe("the agent", () => {
  test("that is killed on the machine leaves the run, and another takes its place", () =>
    onStage(async ({ bed, under, runner }) => {
      const run = bed.endless("echo begun");
      const outcome = started(await runner.start(run.request));
      for (const pid of agentsOf(under)) process.kill(pid, "SIGKILL");
      expect(await outcome.end).toMatchObject({ kind: "disconnected", problem: { code: "transfer-cut" } });
      const attached = await attachAgain(runner, run.request);
      expect(attached.kind).toBe("running");
      run.finish(6);
      expect(await endOf(attached)).toMatchObject({ kind: "exited", exitCode: 6 });
      expect(bed.stdout(run.request)).toBe("begun\n");
    }));

  test("goes with its connection, and so do its followers and waiters: only the run stays", () =>
    onStage(async ({ bed, under, runner, proxy, request }) => {
      const run = bed.endless("echo begun");
      const one = { ...run.request, machine: request(":").machine };
      const ends = started(await runner.start(one)).end;
      await waitFor(() => bed.stdout(one) === "begun\n");
      const sessions = new Set(sessionsOf(under));
      expect(sessions.size).toBeGreaterThan(1);
      proxy.cut();
      expect((await ends).kind).toBe("disconnected");
      await waitFor(() => !areAlive(sessions));
      const supervisor = supervisorPidIn(under.runDirectory(one));
      expect(isAlive(supervisor)).toBe(true);
      run.finish(0);
      await waitFor(() => !isAlive(supervisor));
    }));

  test("of a daemon that watches a run of an earlier one ends with it too", () =>
    onStage(async ({ bed, under }) => {
      const run = bed.endless("echo begun");
      started(await bed.runner.start(run.request));
      await waitFor(() => bed.stdout(run.request) === "begun\n");
      const second = new OwnSshRunner(under.side);
      const before = new Set(sessionsOf(under));
      const attached = await second.attach(run.request, run.request.log);
      if (attached.kind !== "running") throw new Error(JSON.stringify(attached));
      const added = sessionsOf(under).filter((session) => !before.has(session));
      expect(added.length).toBeGreaterThan(0);
      second.close();
      await waitFor(() => !areAlive(new Set(added)));
      run.finish(0);
    }));

  test("whose idle machine is left alone does nothing", () =>
    onStage(async ({ under, runner }) => {
      expect(await runner.probe(under.machine)).toBeNull();
      const [agent] = agentsOf(under);
      const switches = () => readFileSync(`/proc/${agent}/status`, "utf8").match(/ctxt_switches:\t\d+/g);
      await waitFor(() => readProcessStat(agent ?? 0)?.state === "S");
      const before = switches();
      expect(before).toHaveLength(2);
      await Promise.all(
        Array.from({ length: 20 }, () => new OwnSshRunner(under.side)).map(async (other) => {
          await other.probe(under.machine);
          other.close();
        }),
      );
      expect(switches()).toEqual(before);
    }));
});

describe("a disk that is full here", () => {
  const small = mountSmall("size=64k");
  if (small === null) console.warn("SKIPPED: the ssh runner while the disk of the logs is full (needs root, for a small file system)");
  const text = "i=0; while [ $i -lt 200 ]; do printf '%01000d' $i; i=$((i+1)); done";
  const whole = Array.from({ length: 200 }, (_, index) => String(index).padStart(1_000, "0")).join("");

  afterAll(() => small?.close());

  test.skipIf(small === null)("is waited for, and the log is whole when it has space again", async () => {
    const folder = small?.folder ?? "";
    await onStage(async ({ bed, proxy, runner, request }) => {
      const run = bed.endless(text);
      const { machine } = request(":");
      const one = { ...run.request, machine, log: { stdout: join(folder, "out"), stderr: join(folder, "err") } };
      const first = started(await runner.start(one)).end;
      await waitFor(() => existsSync(one.log.stdout) && readFileSync(one.log.stdout).length > 40_000);
      // A connection that dies is seen at once all the same.
      proxy.cut();
      expect(await first).toMatchObject({ kind: "disconnected" });
      const attached = await attachAgain(runner, one);
      if (attached.kind !== "running") throw new Error(JSON.stringify(attached));
      run.finish(8);
      await waitFor(() => exitCodeIn(bed.under.runDirectory(one)) !== null);
      Bun.spawnSync(["mount", "-o", "remount,size=1m", folder]);
      expect(await attached.end).toMatchObject({ kind: "exited", exitCode: 8 });
      expect(readFileSync(one.log.stdout, "utf8") === whole).toBe(true);
    });
  });
});

/** The agents are the shells that read from the machine's sshd. */
function agentsOf(under: SshRunnerUnderTest): number[] {
  return under.sshd.sessionProcesses().filter((pid) => {
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    return words[0]?.endsWith("/sh") === true && words[2]?.startsWith("IFS= read -r s;") === true;
  });
}

/** Sessions of the commands that sshd runs. */
function sessionsOf(under: SshRunnerUnderTest): number[] {
  return agentsOf(under).flatMap((pid) => readProcessStat(pid)?.session ?? []);
}

function areAlive(sessions: ReadonlySet<number>): boolean {
  return readAllProcesses().some((process) => sessions.has(process.session) && !isDead(process));
}
