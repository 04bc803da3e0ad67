/**
 * No-op jobs over SSH on 20 machines, each an sshd of its own on a loopback address, one slot each: against GNU parallel
 * with the same slots, with a connection for each job and with connections that stand.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestBinary } from "../support/binary.ts";
import { startMachines, type TestMachines } from "../support/daemon.ts";
import { sshdAvailable } from "../support/sshd.ts";
import { type Absent, type Figure, type Subject, timed } from "./measure.ts";
import { passage } from "./passage.ts";
import { programOrAbsent } from "./peers/install.ts";
import { BenchServer } from "./server.ts";
import { spawned } from "./start-up.ts";

interface Size {
  readonly machines: number;
  readonly jobs: number;
}

/** null: there is no sshd here. */
export function sshJobFigures({ quick }: { readonly quick: boolean }): readonly Figure[] | null {
  if (!sshdAvailable()) return null;
  const machines = quick ? 2 : 20;
  const ours = { machines, jobs: quick ? 6 : 400 };
  const what = `no-op jobs over SSH, ${machines} machines`;
  const common = { rounds: quick ? 1 : 3, usesBinary: true, ours: (binary: TestBinary) => sshJobs(binary, ours) } as const;
  return [
    {
      ...common,
      parts: [{ what: `${what}, a connection a job`, unit: "per second", target: { kind: "ratio-at-least", value: 10 } }],
      peer: () => parallelOverSsh({ machines, jobs: quick ? 4 : 60 }, "a connection a job"),
    },
    {
      ...common,
      parts: [{ what: `${what}, connections that stand`, unit: "per second", target: { kind: "ratio-at-least", value: 3 } }],
      peer: () => parallelOverSsh({ machines, jobs: quick ? 4 : 100 }, "connections that stand"),
    },
    {
      ...common,
      parts: [{ what: `${what}, plain loops of ssh`, unit: "per second" }],
      peer: () => loopsOfSsh({ machines, jobs: quick ? 4 : 400 }),
    },
  ];
}

async function sshJobs(binary: TestBinary, { machines: count, jobs }: Size): Promise<Subject> {
  const machines = await startMachines(count);
  try {
    const server = await BenchServer.start(binary, { machines: machines.all });
    const end = async (): Promise<void> => {
      await server[Symbol.asyncDispose]();
      await machines[Symbol.asyncDispose]();
    };
    const subject = passage(server, { jobs, slots: machines.addresses, end });
    // The connections stand before anything is timed, as those of the peer do.
    await subject.once();
    return subject;
  } catch (error) {
    await machines[Symbol.asyncDispose]();
    throw error;
  }
}

async function parallelOverSsh({ machines: count, jobs }: Size, connections: string): Promise<Subject | Absent> {
  const name = `parallel -S, ${connections}`;
  const parallel = await programOrAbsent("parallel", { name, apt: "parallel" });
  if (typeof parallel !== "string") return parallel;
  const machines = await startMachines(count);
  const client = new SshClient(machines);
  const logins = client.names.map((host) => `1/${host}`).join(",");
  const stand = connections !== "a connection a job";
  const words = [parallel, "--will-cite", "--ssh", client.command(stand), "-S", logins, "-j1", "-N0", "true", "::::", "-"];
  const once = (): Promise<unknown> =>
    spawned(["sh", "-c", `seq ${jobs} | "$@"`, "sh", ...words], { cwd: client.folder, env: client.environment });
  try {
    if (stand) await client.openMasters();
    await once();
  } catch (error) {
    await client.end();
    throw error;
  }
  return {
    name,
    how: `--ssh "ssh -F …${stand ? " (ControlMaster, open before)" : ""}" -S 1/m0,1/m1,… -j1, ${jobs} jobs \`true\``,
    once: async () => [(jobs * 1_000) / (await timed(once))],
    [Symbol.asyncDispose]: () => client.end(),
  };
}

/** One loop a machine, side by side, over a connection that stands: ssh itself without anybody who shares the work out. */
async function loopsOfSsh({ machines: count, jobs }: Size): Promise<Subject> {
  const client = new SshClient(await startMachines(count));
  const loop = (host: string): string =>
    `(i=0; while [ $i -lt ${jobs / count} ]; do ${client.command(true)} -n ${host} true || exit 1; i=$((i+1)); done) &`;
  const script = `${client.names.map(loop).join("\n")}\nwait`;
  try {
    await client.openMasters();
  } catch (error) {
    await client.end();
    throw error;
  }
  return {
    name: "ssh with ControlMaster",
    how: `a shell loop a machine, all at once, over masters that were open before, ${jobs} jobs \`true\``,
    once: async () => [(jobs * 1_000) / (await timed(() => spawned(["sh", "-c", script], { cwd: "/", env: client.environment })))],
    [Symbol.asyncDispose]: () => client.end(),
  };
}

/** One ssh_config that knows the machines as m0, m1, …, twice: with shared connections and without. */
class SshClient {
  readonly folder = mkdtempSync(join(tmpdir(), "expjob-bench-ssh-"));
  readonly names: readonly string[];

  constructor(private readonly machines: TestMachines) {
    this.names = machines.all.map((_, index) => `m${index}`);
    const hosts = machines.all.flatMap((machine, index) => [
      `Host m${index}`,
      `  HostName ${machine.address}`,
      `  Port ${machine.port}`,
      `  IdentityFile ${machine.client.identityFile}`,
      `  UserKnownHostsFile ${machine.client.knownHostsFile}`,
    ]);
    const all = ["Host *", "  IdentitiesOnly yes", "  IdentityAgent none", "  GlobalKnownHostsFile /dev/null", ""];
    writeFileSync(join(this.folder, "config"), [...hosts, ...all].join("\n"));
    const shared = ["Host *", `  ControlPath ${this.folder}/%n`, "  ControlMaster no", ...hosts, ...all];
    writeFileSync(join(this.folder, "config-shared"), shared.join("\n"));
    mkdirSync(join(this.folder, "home"));
  }

  get environment(): Record<string, string> {
    return { PATH: process.env["PATH"] ?? "", HOME: join(this.folder, "home"), TMPDIR: this.folder, LANG: "C.UTF-8" };
  }

  command(shared: boolean): string {
    return `ssh -F ${join(this.folder, shared ? "config-shared" : "config")}`;
  }

  async openMasters(): Promise<void> {
    for (const name of this.names)
      await spawned(["sh", "-c", `${this.command(true)} -M -N -f ${name}`], { cwd: "/", env: this.environment });
  }

  /** The masters end with the servers that they are connected to. */
  async end(): Promise<void> {
    await this.machines[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
