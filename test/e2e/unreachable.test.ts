/** Machines that cannot be used: each says in one line what is wrong, in the next what to do, and no job is lost. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startMachines, TestDaemon, type TestMachines } from "../support/daemon.ts";
import { freePort } from "../support/free-port.ts";
import { generateKey, sshdAvailable } from "../support/sshd.ts";
import { waitFor } from "../support/wait-for.ts";

interface MachineJson {
  readonly addr: string;
  readonly state: string;
  readonly reason: string | null;
}

describe.skipIf(!sshdAvailable())("a machine that cannot be used (SKIPPED without sshd)", () => {
  let machines: TestMachines;
  let daemon: TestDaemon;
  let address = "";
  beforeAll(async () => {
    machines = await startMachines(1);
    address = machines.at(0).machine;
  });
  afterAll(async () => {
    await machines[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    daemon = await TestDaemon.start({ machines: machines.all, config: '[limits]\nconnect_timeout = "3s"\n' });
  });
  afterEach(async () => {
    await daemon[Symbol.asyncDispose]();
  });

  const knownHosts = (): string => join(daemon.folder, "known_hosts");

  /** The job waits, `job why` and `machine check` say the sentence and the way out. */
  async function expectWaiting(jid: number, state: string, sentences: readonly string[]): Promise<void> {
    const { addr } = await refusedMachine(state);
    expect((await daemon.show(jid)).status).toBe("waiting");
    const why = await daemon.ok("job", "why", String(jid));
    const check = await daemon.j("machine", "check", addr);
    expect(check.code).toBe(1);
    for (const sentence of sentences) {
      expect(why).toContain(sentence);
      expect(check.stdout).toContain(sentence);
    }
    // One line for what is wrong, one for what to do.
    expect(check.stdout.trimEnd().split("\n")).toHaveLength(2);
  }

  async function refusedMachine(state: string): Promise<MachineJson> {
    let machine: MachineJson | undefined;
    await waitFor(
      async () => {
        [machine] = await daemon.json<MachineJson[]>("machine", "ls");
        return machine?.state === state;
      },
      { what: () => `${state}: ${JSON.stringify(machine)}`, everyMs: 100, timeoutMs: 20_000 },
    );
    if (machine === undefined) throw new Error("there is no machine");
    return machine;
  }

  test("an unknown host key: nothing is sent, the fingerprint is shown; with the key added and the machine restored the job runs", async () => {
    writeFileSync(knownHosts(), "");
    await daemon.ok("machine", "add", address, "lab");
    const jid = await daemon.add("lab", "echo hi");
    const fingerprint = fingerprintOf(`${machines.at(0).hostKeyFile()}.pub`);
    await expectWaiting(jid, "quarantined", ["is not known", fingerprint, `ssh-keyscan -p ${machines.at(0).port}`]);
    expect(machines.at(0).log).not.toContain("Accepted publickey");
    writeFileSync(knownHosts(), `${machines.at(0).knownHostsLine()}\n`);
    await daemon.ok("machine", "restore", address);
    expect(await daemon.ended(jid)).toMatchObject({ status: "done", exit_code: 0, attempt: 1 });
  });

  test("a changed host key: both fingerprints and the two commands that mend it", async () => {
    const other = join(daemon.folder, "other");
    generateKey(other, "ed25519");
    const [type = "", key = ""] = readFileSync(`${other}.pub`, "utf8").split(" ");
    writeFileSync(knownHosts(), `[${machines.at(0).address}]:${machines.at(0).port} ${type} ${key}\n`);
    await daemon.ok("machine", "add", address, "lab");
    const jid = await daemon.add("lab", "echo hi");
    const fingerprints = [fingerprintOf(`${machines.at(0).hostKeyFile()}.pub`), fingerprintOf(`${other}.pub`)];
    await expectWaiting(jid, "quarantined", ["has changed", ...fingerprints, "ssh-keygen -R", "ssh-keyscan"]);
    writeFileSync(knownHosts(), `${machines.at(0).knownHostsLine()}\n`);
    await daemon.ok("machine", "restore", address);
    expect((await daemon.ended(jid)).status).toBe("done");
  });

  test("a refused key: which user and which keys; the job runs once the machine lets us in", async () => {
    const accepted = join(machines.at(0).folder, "authorized_keys");
    const ours = readFileSync(accepted);
    rmSync(accepted);
    try {
      await daemon.ok("machine", "add", address, "lab");
      const jid = await daemon.add("lab", "echo hi");
      await expectWaiting(jid, "unreachable", ["refused to let user", machines.at(0).client.identityFile, "ssh-copy-id"]);
      writeFileSync(accepted, ours);
      // It would be tried again by itself in a while; a person need not wait.
      expect((await daemon.j("machine", "check", address)).code).toBe(0);
      expect((await daemon.ended(jid)).status).toBe("done");
    } finally {
      writeFileSync(accepted, ours);
    }
  });

  test("a dead host: named with the system's reason, and its job starts by itself when it is there", async () => {
    await machines.at(0).kill();
    try {
      await daemon.ok("machine", "add", address, "lab");
      const jid = await daemon.add("lab", "echo hi");
      await expectWaiting(jid, "unreachable", ["cannot be reached", "ECONNREFUSED"]);
      await machines.at(0).start();
      expect((await daemon.ended(jid)).status).toBe("done");
    } finally {
      await machines.at(0).kill();
      await machines.at(0).start();
    }
  });

  test("a host that dies while it is idle is shown as unreachable before a job is lost on it, and comes back by itself", async () => {
    await daemon.ok("machine", "add", address, "lab");
    await daemon.ended(await daemon.add("lab", "echo hi"));
    await machines.at(0).kill();
    try {
      expect((await refusedMachine("unreachable")).reason).toContain("ECONNREFUSED");
    } finally {
      await machines.at(0).start();
    }
    expect((await refusedMachine("free")).reason).toBeNull();
  });

  test("a host that dies while its job runs: the job is not queued again, and its true result is taken when it is back", async () => {
    await daemon.ok("machine", "add", address, "lab");
    const go = join(daemon.folder, "go");
    const jid = await daemon.add("lab", `while ! [ -e '${go}' ]; do sleep 0.05; done; echo end; exit 3`);
    // "running" is said from the decision on; what is lost before the start is proven waits again, and rightly so.
    await waitFor(async () => (await daemon.show(jid)).started !== null, { what: () => "a start", everyMs: 50, timeoutMs: 20_000 });
    await machines.at(0).kill();
    try {
      expect((await refusedMachine("unreachable")).addr).toBe(address);
      expect((await daemon.show(jid)).status).toBe("running");
      const dead = `127.0.0.1:${await freePort("127.0.0.1")}`;
      expect(await daemon.ok("machine", "add", dead, "other")).toContain(dead);
    } finally {
      await machines.at(0).start();
    }
    writeFileSync(go, "");
    const job = await daemon.ended(jid);
    expect([job.status, job.exit_code, daemon.output(job)]).toEqual(["failed", 3, "end\n"]);
  });
});

function fingerprintOf(publicKey: string): string {
  const printed = Bun.spawnSync(["ssh-keygen", "-l", "-f", publicKey]).stdout.toString();
  return printed.split(" ")[1] ?? "";
}
