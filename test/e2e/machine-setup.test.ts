/** `j machine setup` on the built binary and real machines: every command once, in order, and the class only after the last. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startMachines, TestDaemon, type TestMachines } from "../support/daemon.ts";
import { ledgerLine, overlaps, readLedger } from "../support/ledger.ts";
import { sshdAvailable } from "../support/sshd.ts";
import { waitFor } from "../support/wait-for.ts";

interface MachineJson {
  readonly addr: string;
  readonly class: string | null;
  readonly state: string;
  readonly running: number | null;
  readonly reason: string | null;
}

interface LogJson {
  readonly command: number;
  readonly log: string;
  readonly err_log: string;
}

describe.skipIf(!sshdAvailable())("machine setup over SSH (SKIPPED without sshd)", () => {
  let machines: TestMachines;
  let daemon: TestDaemon;
  let a = "";
  let b = "";
  beforeAll(async () => {
    machines = await startMachines(2);
    [a = "", b = ""] = machines.addresses;
  });
  afterAll(async () => await machines[Symbol.asyncDispose]());
  beforeEach(async () => {
    daemon = await TestDaemon.start({ machines: machines.all, config: '[limits]\nconnect_timeout = "3s"\n' });
  });
  afterEach(async () => await daemon[Symbol.asyncDispose]());

  const file = (name: string): string => join(daemon.folder, name);
  const ledger = (): string => file("ledger");
  const go = (name: string): void => writeFileSync(file(name), "");

  /** A command that says in the ledger which it is, and ends when it is let go. */
  function step(number: number, until?: string): string {
    const wait = until === undefined ? [] : [`while ! [ -e '${file(until)}' ]; do sleep 0.02; done`];
    return [
      ledgerLine(ledger(), "start", String(number)),
      ...wait,
      `echo "step ${number} on {MACHINE}"`,
      ledgerLine(ledger(), "end", String(number)),
    ].join("; ");
  }

  async function setUp(...words: readonly string[]): Promise<number[]> {
    return (JSON.parse(await daemon.ok("machine", "setup", "--json", ...words)) as { jids: number[] }).jids;
  }

  /** The commands that began on that machine, in order. */
  function begun(addr: string): string[] {
    return readLedger(ledger()).flatMap((line) => (line.what === "start" && line.machine === addr ? [line.rest] : []));
  }

  async function untilBegun(addr: string, steps: readonly string[]): Promise<void> {
    await waitFor(() => begun(addr).join() === steps.join(), {
      what: () => `${steps} on ${addr}: ${begun(addr)} ${daemon.stderr}`,
      timeoutMs: 20_000,
    });
  }

  async function pool(): Promise<MachineJson[]> {
    return await daemon.json<MachineJson[]>("machine", "ls");
  }

  test("two machines, three commands: a log each, and the class only after the last one", async () => {
    const [first = -1, second = -1] = await setUp("-m", a, "-m", b, "-c", "lab", "--", step(1), step(2, "go"), step(3));
    await untilBegun(a, ["1", "2"]);
    await untilBegun(b, ["1", "2"]);
    expect(readdirSync(join(machines.home(0), ".local/state/expjobserver/runs"), { recursive: true }).join()).toContain(`/${first}.1.`);
    expect((await pool()).map(({ addr, class: of, state, running }) => [addr, of, state, running])).toEqual([
      [a, null, "busy", first],
      [b, null, "busy", second],
    ]);
    const queued = await daemon.j("job", "add", "lab", "true", "-x", "2", "-q");
    expect(queued).toMatchObject({ code: 0, stderr: "" });
    const [job = -1, other = -1] = queued.stdout.trim().split("\n").map(Number);
    expect(await daemon.ok("job", "why", String(job))).toContain(`when setup job ${first} or ${second} is done`);
    go("go");
    for (const jid of [first, second, job, other]) expect((await daemon.ended(jid)).status).toBe("done");
    expect((await pool()).map(({ addr, class: of }) => [addr, of])).toEqual([
      [a, "lab"],
      [b, "lab"],
    ]);
    for (const [jid, addr] of [
      [first, a],
      [second, b],
    ] as const) {
      const logs = await daemon.json<LogJson[]>("job", "log", String(jid));
      expect(logs.map((log) => [log.command, readFileSync(log.log, "utf8")])).toEqual([1, 2, 3].map((n) => [n, `step ${n} on ${addr}\n`]));
      expect((await daemon.ok("job", "log", String(jid))).split("\n")).toEqual(logs.map((log) => log.log));
    }
    expect(overlaps(readLedger(ledger()))).toEqual([]);
    // No run directory is left on the machine.
    const runs = join(machines.home(0), ".local/state/expjobserver/runs");
    const left = (): string[] => readdirSync(runs, { recursive: true, encoding: "utf8" }).filter((name) => /^[^/]+\/\d+\./.test(name));
    await waitFor(() => left().length === 0, { what: () => left().join() });
    expect(await daemon.ok("job", "log", "-t", String(first), String(second))).toContain(`${first}.3| step 3 on ${a}`);
  });

  test("the command that fails is named, no later one begins, and the machine stays out", async () => {
    await daemon.ok("machine", "add", b, "lab");
    const failing = `${ledgerLine(ledger(), "start", "2")}; echo broken >&2; exit 4`;
    const jids = await setUp("-m", a, "-m", b, "-c", "lab", "--", step(1), failing, step(3));
    for (const jid of jids) {
      expect(await daemon.ended(jid)).toMatchObject({ status: "failed", exit_code: 4 });
      expect((await daemon.show(jid)).error).toStartWith("Command 2 of 3 failed with exit code 4: ");
      const [, second] = await daemon.json<LogJson[]>("job", "log", String(jid));
      expect(readFileSync(second?.err_log ?? "", "utf8")).toBe("broken\n");
    }
    for (const addr of [a, b]) expect(begun(addr)).toEqual(["1", "2"]);
    const waiting = await daemon.add("lab", "true");
    const left = await pool();
    expect(left.map(({ addr, state }) => [addr, state])).toEqual([[b, "quarantined"]]);
    expect(left[0]?.reason).toStartWith(`Setup job ${jids[1]}: command 2 of 3 failed with exit code 4: `);
    expect(await daemon.ok("machine", "ls")).toContain(`j machine restore ${b}`);

    // Set up again, and this time it works: the machines of the class, whatever state they are in.
    const [again = -1] = await setUp("-e", "-c", "lab", "--", step(4));
    expect(await daemon.ended(again)).toMatchObject({ status: "done", machine: b });
    expect((await daemon.ended(waiting)).machine).toBe(b);
  });

  test("a busy machine is waited for, its job goes on, and the setup comes before the jobs behind it", async () => {
    await daemon.ok("machine", "add", a, "lab");
    const running = await daemon.add("lab", step(0, "go"));
    const behind = await daemon.add("lab", step(9));
    await untilBegun(a, ["0"]);
    const [jid = -1] = await setUp("-e", "-c", "lab", "--", step(1), step(2));
    expect(await daemon.show(jid)).toMatchObject({ status: "waiting", machine: a });
    expect(await daemon.ok("job", "why", String(jid))).toContain(`is busy with job ${running}.`);
    go("go");
    for (const each of [running, jid, behind]) expect((await daemon.ended(each)).status).toBe("done");
    expect(begun(a)).toEqual(["0", "1", "2", "9"]);
    expect(overlaps(readLedger(ledger()))).toEqual([]);
  });

  test("kill -9 of the server in the middle of the second command: each command runs once, and the class is joined", async () => {
    const jids = await setUp("-m", a, "-m", b, "-c", "lab", "--", step(1), step(2, "go"), step(3, "on"));
    for (const addr of [a, b]) await untilBegun(addr, ["1", "2"]);
    await daemon.kill();
    await daemon.start();
    for (const jid of jids) expect((await daemon.show(jid)).status).toBe("running");
    go("go");
    for (const addr of [a, b]) await untilBegun(addr, ["1", "2", "3"]);
    // And once more, with a command that ends while no server looks.
    await daemon.kill();
    go("on");
    await waitFor(() => readLedger(ledger()).filter(({ what, rest }) => what === "end" && rest === "3").length === 2);
    await daemon.start();
    for (const jid of jids) expect((await daemon.ended(jid)).status).toBe("done");
    for (const addr of [a, b]) expect(begun(addr)).toEqual(["1", "2", "3"]);
    expect((await pool()).map((machine) => machine.class)).toEqual(["lab", "lab"]);
    const logs = await daemon.json<LogJson[]>("job", "log", ...jids.map(String));
    expect(logs.map((log) => readFileSync(log.log, "utf8"))).toEqual(
      [a, b].flatMap((addr) => [1, 2, 3].map((n) => `step ${n} on ${addr}\n`)),
    );
  });

  test("a storm of kill -9 over machines of two kinds: each of forty commands runs once on each, in order", async () => {
    const addrs = [a, b, "local/a", "local/b"];
    const numbers = Array.from({ length: 40 }, (_, index) => String(index));
    const jids = await setUp(...addrs.flatMap((addr) => ["-m", addr]), "-c", "lab", "--", ...numbers.map((number) => step(Number(number))));
    for (let lines = 20; lines <= 200; lines += 36) {
      await waitFor(() => readLedger(ledger()).length >= lines, { what: () => `${lines} lines: ${daemon.stderr}`, timeoutMs: 20_000 });
      await daemon.kill();
      await daemon.start();
    }
    for (const jid of jids) expect((await daemon.ended(jid)).status).toBe("done");
    for (const addr of addrs) expect(begun(addr)).toEqual(numbers);
    expect(overlaps(readLedger(ledger()))).toEqual([]);
  });

  test("a machine that is lost between two commands gets the rest when it is back", async () => {
    const [jid = -1] = await setUp("-m", a, "-c", "lab", "--", step(1, "go"), step(2), step(3));
    await untilBegun(a, ["1"]);
    await machines.at(0).kill();
    try {
      go("go");
      await waitFor(async () => (await pool())[0]?.state === "unreachable", { everyMs: 50, timeoutMs: 20_000 });
      expect(begun(a)).toEqual(["1"]);
    } finally {
      await machines.at(0).start();
    }
    await daemon.ok("machine", "check");
    expect((await daemon.ended(jid)).status).toBe("done");
    expect(begun(a)).toEqual(["1", "2", "3"]);
  });

  test("--stagger is done by the server: the client is back at once, and a restart keeps the time", async () => {
    const [first = -1, second = -1] = await setUp("-m", a, "-m", b, "-c", "lab", "--stagger", "6", "--", step(1));
    // The client is back before the second may begin.
    expect(await daemon.ok("job", "why", String(second))).toContain("--stagger");
    expect((await daemon.ended(first)).status).toBe("done");
    await daemon.stop();
    await daemon.start();
    const late = await daemon.ended(second);
    expect(late.status).toBe("done");
    expect(Date.parse(late.started ?? "") - Date.parse(late.created)).toBeGreaterThan(5_900);
  });

  test("one timeout is for all commands together, and stops what the command started", async () => {
    const [jid = -1] = await setUp(
      "-m",
      a,
      "-c",
      "lab",
      "--timeout",
      "2s",
      "--",
      step(1),
      `sleep 600 & echo $! >'${file("pid")}'; wait`,
      step(3),
    );
    expect(await daemon.ended(jid)).toMatchObject({ status: "failed" });
    expect((await daemon.show(jid)).error).toStartWith('Stopped at its timeout of 2 seconds, in command 2 of 3: "sleep 600');
    const pid = readFileSync(file("pid"), "utf8").trim();
    await waitFor(() => !existsSync(`/proc/${pid}/stat`) || readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z"));
    expect(begun(a)).toEqual(["1"]);
    expect(await pool()).toEqual([]);
  });

  test("machine rm and job rm end a setup; nothing of it is left in the pool", async () => {
    const [first = -1, second = -1] = await setUp("-m", a, "-m", b, "-c", "lab", "--", step(1, "never"), step(2));
    for (const addr of [a, b]) await untilBegun(addr, ["1"]);
    expect(await daemon.ok("machine", "rm", "-m", a)).toContain(`Canceled job ${first}`);
    await daemon.ok("job", "rm", String(second));
    for (const jid of [first, second]) expect((await daemon.ended(jid)).status).toBe("canceled");
    await waitFor(async () => (await pool()).length === 0, { everyMs: 50 });
    for (const addr of [a, b]) expect(begun(addr)).toEqual(["1"]);
  });
});
