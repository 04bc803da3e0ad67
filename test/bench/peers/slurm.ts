/** Slurm on this host alone: controller, one node of 16 processors and munge, as root, in a temporary folder on 127.0.0.1. */
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { freePort } from "../../support/free-port.ts";
import { waitFor } from "../../support/wait-for.ts";
import { type Absent, type Subject, timed } from "../measure.ts";
import { programOrAbsent } from "./install.ts";
import { SLOTS } from "./slots.ts";
import { Workshop } from "./workshop.ts";

const NAME = "Slurm";

export async function slurm(jobs: number): Promise<Subject | Absent> {
  if (process.getuid?.() !== 0) return { name: NAME, absent: "its daemons are started by root only" };
  for (const [program, apt] of [
    ["munged", "munge"],
    ["slurmctld", "slurm-wlm"],
    ["slurmd", "slurm-wlm"],
  ] as const) {
    const there = await programOrAbsent(program, { name: NAME, apt });
    if (typeof there !== "string") return there;
  }
  const workshop = new Workshop();
  const environment = workshop.environment({ SLURM_CONF: workshop.path("slurm.conf") });
  try {
    await startCluster(workshop, environment);
  } catch (error) {
    await workshop[Symbol.asyncDispose]();
    return { name: NAME, absent: `it does not start: ${String(error).split("\n", 1)[0]}` };
  }
  return {
    name: NAME,
    how: `slurmctld, slurmd (${SLOTS} CPUs) and munged on 127.0.0.1, no accounting, sched/builtin with a pass each second; sbatch --array of ${jobs} jobs \`true\`, squeue until it is empty`,
    once: async () => {
      const durationMs = await timed(async () => {
        await workshop.run(["sbatch", `--array=1-${jobs}`, "-n1", "-o", workshop.path("out-%a"), "--wrap", "true"], environment);
        await waitFor(async () => (await workshop.run(["squeue", "-h"], environment)) === "", { everyMs: 50, timeoutMs: 120_000 });
      });
      return [(jobs * 1_000) / durationMs];
    },
    [Symbol.asyncDispose]: () => workshop[Symbol.asyncDispose](),
  };
}

async function startCluster(workshop: Workshop, environment: Record<string, string>): Promise<void> {
  for (const name of ["state", "spool"]) mkdirSync(workshop.path(name));
  writeFileSync(workshop.path("key"), randomBytes(1_024), { mode: 0o600 });
  const host = hostname().split(".")[0] ?? "localhost";
  const ports = [await freePort("127.0.0.1"), await freePort("127.0.0.1")] as const;
  writeFileSync(workshop.path("slurm.conf"), configuration(workshop.folder, host, ports));
  const files = [
    ["key-file", "key"],
    ["socket", "munge.sock"],
    ["log-file", "munged.log"],
    ["pid-file", "munged.pid"],
    ["seed-file", "seed"],
  ];
  await workshop.run(["munged", "--force", ...files.map(([flag, name]) => `--${flag}=${workshop.path(name ?? "")}`)], environment);
  await workshop.run(["slurmctld"], environment);
  await workshop.run(["slurmd", "-N", "node"], environment);
  await waitFor(async () => (await workshop.run(["sinfo", "-h", "-o", "%t"], environment)) === "idle", { timeoutMs: 20_000, everyMs: 100 });
}

function configuration(folder: string, host: string, [controllerPort, nodePort]: readonly [number, number]): string {
  return `ClusterName=bench
SlurmctldHost=${host}(127.0.0.1)
SlurmUser=root
SlurmctldPort=${controllerPort}
SlurmdPort=${nodePort}
AuthType=auth/munge
AuthInfo=socket=${folder}/munge.sock
CredType=cred/munge
StateSaveLocation=${folder}/state
SlurmdSpoolDir=${folder}/spool
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmdPidFile=${folder}/slurmd.pid
SlurmctldLogFile=${folder}/slurmctld.log
SlurmdLogFile=${folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1,default_queue_depth=10000,batch_sched_delay=0
MaxJobCount=100000
MaxArraySize=100001
ReturnToService=2
MpiDefault=none
SlurmdParameters=config_overrides
NodeName=node NodeHostname=${host} NodeAddr=127.0.0.1 CPUs=${SLOTS} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
`;
}
