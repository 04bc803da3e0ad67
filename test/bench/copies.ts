/**
 * Copies of results against rsync over the same sshd: as a person calls it, and over a connection that stands, as ours
 * does. Ours is from the end of the job to the answer that it is done: by then all files are verified by sha256 and
 * synced; rsync's are neither.
 */
import { randomFillSync } from "node:crypto";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestBinary } from "../support/binary.ts";
import { startMachines, type TestMachines } from "../support/daemon.ts";
import { sshdAvailable } from "../support/sshd.ts";
import { type Absent, type Figure, type Subject, timed } from "./measure.ts";
import { programOrAbsent } from "./peers/install.ts";
import { BenchServer, PLAIN } from "./server.ts";
import { spawned } from "./start-up.ts";

const SMALL_BYTES = 4_096;

interface Load {
  readonly what: string;
  readonly rounds: number;
  readonly isMany: boolean;
  /** Makes it in a folder that is there. */
  write(folder: string): void;
}

/** null: there is no sshd here. */
export function copyFigures({ quick }: { readonly quick: boolean }): readonly Figure[] | null {
  if (!sshdAvailable()) return null;
  return loads(quick).flatMap((load) => {
    const common = { rounds: quick ? 1 : load.rounds, usesBinary: true, ours: (binary: TestBinary) => copiedResults(binary, load) };
    const part = { what: `copy of ${load.what}`, unit: "ms" } as const;
    return [
      { ...common, parts: [{ ...part, target: { kind: "ratio-at-most", value: 1 } }], peer: () => rsync(load, "its own") },
      // With one large file the connection makes no difference.
      ...(load.isMany ? [{ ...common, parts: [part], peer: () => rsync(load, "standing") }] : []),
    ] satisfies readonly Figure[];
  });
}

function loads(quick: boolean): readonly Load[] {
  const [mebibytes, files, folders] = quick ? [1, 20, 2] : [1_024, 10_000, 100];
  const small = (folder: string, count: number): void => {
    for (let index = 0; index < count; index += 1) writeRandom(join(folder, `file-${index}`), SMALL_BYTES);
  };
  return [
    {
      what: `one file of ${mebibytes} MiB`,
      rounds: 3,
      isMany: false,
      write: (folder) => writeRandom(join(folder, "large"), mebibytes * 1_048_576),
    },
    { what: `${files} files of ${SMALL_BYTES} bytes`, rounds: 5, isMany: true, write: (folder) => small(folder, files) },
    {
      what: `${folders} folders of ${folders} files of ${SMALL_BYTES} bytes`,
      rounds: 5,
      isMany: true,
      write: (folder) => {
        for (let index = 0; index < folders; index += 1) {
          mkdirSync(join(folder, `folder-${index}`));
          small(join(folder, `folder-${index}`), folders);
        }
      },
    },
  ];
}

async function copiedResults(binary: TestBinary, load: Load): Promise<Subject> {
  const source = new Source(load);
  const machines = await startMachines(1);
  const server = await BenchServer.start(binary, { machines: machines.all });
  await server.addMachines("copied", machines.addresses);
  await server.drained(await server.add("copied", "true"));
  let round = 0;
  return {
    name: "expjobserver",
    how: "from the end of the job, by its own clock, to the answer of `job wait`; verified and synced",
    once: async () => {
      round += 1;
      const stamp = join(source.folder, `stamp${round}`);
      const cmd = `echo 'RESULTS: ${source.data}'; exec date +%s%N >'${stamp}'`;
      const to = join(source.folder, `ours-${round}`);
      const { first } = await server.client.call("job.add", { ...PLAIN, class: "copied", cmd, count: 1, cp_results: to });
      const status = await server.ended(first);
      const now = performance.timeOrigin + performance.now();
      if (status !== "done") throw new Error(`the copy ended as ${status}`);
      return [now - Number(readFileSync(stamp, "utf8")) / 1e6];
    },
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      await machines[Symbol.asyncDispose]();
      source.remove();
    },
  };
}

async function rsync(load: Load, connection: "its own" | "standing"): Promise<Subject | Absent> {
  const program = await programOrAbsent("rsync", { name: "rsync", apt: "rsync" });
  if (typeof program !== "string") return program;
  const source = new Source(load);
  const machines = await startMachines(1);
  const environment = { PATH: process.env["PATH"] ?? "" };
  const standing = connection === "standing";
  const shell = standing ? `${sshOf(machines)} -S '${join(source.folder, "master")}'` : sshOf(machines);
  if (standing) await spawned(["sh", "-c", `${shell} -M -N -f ${machines.at(0).address}`], { cwd: "/", env: environment });
  let round = 0;
  return {
    name: standing ? "rsync -a, ControlMaster" : "rsync -a",
    how: `over the same sshd, ${standing ? "a master open before" : "a connection of its own"}; nothing verified, nothing synced`,
    once: async () => {
      round += 1;
      const target = join(source.folder, `rsync-${round}`);
      mkdirSync(target);
      const words = [program, "-a", "-e", shell, `${machines.at(0).address}:${source.data}`, target];
      return [await timed(() => spawned(words, { cwd: "/", env: environment }))];
    },
    [Symbol.asyncDispose]: async () => {
      await machines[Symbol.asyncDispose]();
      source.remove();
    },
  };
}

function sshOf(machines: TestMachines): string {
  const { client, port } = machines.at(0);
  return `ssh -F ${client.configFile} -p ${port}`;
}

/**
 * What is copied, and every copy of it. Many files are left for the end of the whole run: for some seconds after they
 * were removed, ext4 looks long for each new inode (2 s for 10,000, against 0.1 s), and whoever comes next pays for it.
 */
class Source {
  readonly folder = mkdtempSync(join(tmpdir(), "expjob-bench-copy-"));
  readonly data = join(this.folder, "data");

  constructor(private readonly load: Load) {
    mkdirSync(this.data);
    load.write(this.data);
  }

  remove(): void {
    if (!this.load.isMany) rmSync(this.folder, { recursive: true, force: true });
  }
}

function writeRandom(path: string, bytes: number): void {
  const piece = Buffer.alloc(Math.min(bytes, 1_048_576));
  if (bytes <= piece.length) return writeFileSync(path, randomFillSync(piece));
  const fd = openSync(path, "w");
  for (let at = 0; at < bytes; at += piece.length) writeSync(fd, randomFillSync(piece), 0, Math.min(piece.length, bytes - at));
  closeSync(fd);
}
