/** Faulty machines and faulty jobs told apart on the built binary, over real SSH where a machine must be gone. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type JobJson, startMachines, TestDaemon } from "../support/daemon.ts";
import { sshdAvailable } from "../support/sshd.ts";
import { waitFor } from "../support/wait-for.ts";

interface MachineJson {
  readonly addr: string;
  readonly state: string;
  readonly reason: string | null;
  readonly failures: number;
}

async function machine(daemon: TestDaemon, addr: string): Promise<MachineJson> {
  const found = (await daemon.json<MachineJson[]>("machine", "ls")).find((one) => one.addr === addr);
  if (found === undefined) throw new Error(`there is no machine ${addr}`);
  return found;
}

const SOON_UNREACHABLE = '[limits]\nconnect_timeout = "2s"\nkeepalive = "1s"\n';

describe("one typo in a matrix", () => {
  for (const count of [1, 3]) {
    test(`leaves a class of ${count} as it was, and the next experiment runs`, async () => {
      await using daemon = await TestDaemon.start();
      const machines = Array.from({ length: count }, (_, index) => `local/m${index}`);
      await daemon.ok("machine", "add", ...machines, "bench");
      const words = ["job", "matrix", "add", "bench", "no-such-program {N}", "N=1,2,3,4,5,6,7,8", "--max-failures", "1"];
      const { id } = await daemon.json<{ id: number }>(...words);
      expect((await daemon.j("job", "wait", String(id), "--timeout", "30s")).code).toBe(1);
      const jobs = await daemon.jobs(id);
      expect(jobs.map(({ status, exit_code }) => `${status} ${exit_code}`)).toEqual(Array(8).fill("failed 127"));
      for (const addr of machines) expect((await machine(daemon, addr)).state).toBe("free");
      expect(await daemon.ended(await daemon.add("bench", "true"))).toMatchObject({ status: "done" });
    }, 120_000);
  }
});

test("a bad machine that fails what works elsewhere is quarantined after four, says why and with which jobs, and restore brings it back", async () => {
  await using daemon = await TestDaemon.start();
  const broken = join(daemon.folder, "broken");
  mkdirSync(broken);
  writeFileSync(join(broken, "bad"), "");
  await daemon.ok("machine", "add", "local/good", "local/bad", "bench");
  // It fails at once and the other takes its time: without the rule it would eat the queue.
  const command = (name: string): string => `if test -e ${broken}/{MACHINE_NAME}; then exit 9; fi; sleep 0.2; echo ${name}`;
  const jids: number[] = [];
  for (const name of ["one", "two", "three", "four", "five", "six"]) {
    const text = command(name).replace("{MACHINE_NAME}", '$(echo "$EXPJOB_MACHINE" | cut -d/ -f2)');
    const { jids: added } = await daemon.json<{ jids: number[] }>("job", "add", "bench", text, "-x", "3");
    jids.push(...added);
  }
  await waitFor(async () => (await machine(daemon, "local/bad")).state === "quarantined", { everyMs: 50, timeoutMs: 20_000 });
  await daemon.j("job", "wait", ...jids.map(String), "--timeout", "30s");
  const jobs = await daemon.jobs(...jids);
  const failed = jobs.filter(({ status }) => status === "failed");
  expect(failed.every((job) => job.machine === "local/bad")).toBe(true);
  expect(jobs.filter(({ status }) => status === "done")).toHaveLength(jobs.length - failed.length);
  // The first may have failed before anything was known to work; none of the others was taken by it after the fourth that counted.
  expect(failed.length).toBeLessThan(7);
  const { reason } = await machine(daemon, "local/bad");
  expect(reason).toMatch(/4 failures in a row that count against it: jobs \d+, \d+, \d+, \d+\./);
  for (const jid of (reason ?? "").match(/\d+/g)?.slice(1) ?? []) expect(failed.map((job) => String(job.jid))).toContain(jid);
  expect(await daemon.ok("machine", "ls")).toContain("quarantined");
  await daemon.kill();
  await daemon.start();
  expect((await machine(daemon, "local/bad")).state).toBe("quarantined");
  await daemon.ok("machine", "restore", "local/bad");
  expect(await machine(daemon, "local/bad")).toMatchObject({ state: "free", failures: 0, reason: null });
}, 120_000);

test("a machine quarantined for a command that then fails on another too comes back by itself", async () => {
  await using daemon = await TestDaemon.start();
  await daemon.ok("machine", "add", "local/a", "local/b", "bench");
  const gate = join(daemon.folder, "gate");
  const long = await daemon.add("bench", `until test -e ${gate}; do sleep 0.1; done`);
  const busy = (await daemon.untilStatus(long, "running")).machine ?? "";
  const other = busy === "local/a" ? "local/b" : "local/a";
  const { jids } = await daemon.json<{ jids: number[] }>("job", "add", "bench", "no-such-program", "-x", "5");
  await waitFor(async () => (await machine(daemon, other)).state === "quarantined", { everyMs: 50, timeoutMs: 20_000 });
  writeFileSync(gate, "");
  await daemon.j("job", "wait", ...jids.map(String), "--timeout", "20s");
  await waitFor(async () => (await machine(daemon, other)).state === "free", { everyMs: 50 });
  expect(await machine(daemon, other)).toMatchObject({ failures: 0, reason: null });
  expect((await machine(daemon, busy)).state).toBe("free");
}, 120_000);

describe.skipIf(!sshdAvailable())("a machine that is gone while it runs a job (SKIPPED without sshd)", () => {
  test("job rm says what to do; the second one frees the machine and does not wait for it", async () => {
    await using machines = await startMachines(1);
    await using daemon = await TestDaemon.start({ machines: machines.all, config: SOON_UNREACHABLE });
    const [addr = ""] = machines.addresses;
    await daemon.ok("machine", "add", addr, "lab");
    const jid = await daemon.add("lab", "sleep 300");
    await waitFor(async () => (await daemon.show(jid)).started !== null, { everyMs: 50, timeoutMs: 20_000 });
    await machines.at(0).kill();
    await waitFor(async () => (await machine(daemon, addr)).state === "unreachable", { everyMs: 100, timeoutMs: 40_000 });
    const first = await daemon.j("job", "rm", String(jid));
    expect(first).toMatchObject({ code: 0, stdout: `Stopping job ${jid}\n` });
    expect(first.stderr).toContain("cannot be reached");
    expect(first.stderr).toContain(`\`j job rm ${jid}\` once more ends it now and frees the machine`);
    expect(await daemon.ok("job", "rm", String(jid))).toBe(`Canceled job ${jid}`);
    const job: JobJson = await daemon.show(jid);
    expect(job.status).toBe("canceled");
    expect(job.error).toContain("its processes may still run");
    expect((await daemon.json<{ running: number | null }[]>("machine", "ls"))[0]?.running).toBeNull();
  }, 90_000);
});
