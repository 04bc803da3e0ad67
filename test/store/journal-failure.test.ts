/**
 * The journal when the disk fails: real system calls that are made to fail (strace), a real file system that
 * fills up (tmpfs, needs root). What was refused is never read back, what was acknowledged always is.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Event } from "../../src/core/event.ts";
import { readJournal } from "../../src/store/journal/reader.ts";
import { listSegments } from "../../src/store/journal/segments.ts";
import { Scratch } from "./scratch.ts";

const PROGRAM = join(import.meta.dir, "append-loop.ts");
const strace = Bun.which("strace");
const canMount = process.getuid?.() === 0 && Bun.spawnSync(["unshare", "-m", "true"]).success;
if (strace === null) console.log("NOT TESTED: failing system calls, because strace is not installed");
if (!canMount) console.log("NOT TESTED: a full tmpfs, because only root may mount one");

interface Outcome {
  readonly acknowledged: readonly number[];
  readonly refused: readonly number[];
  readonly codes: ReadonlySet<string>;
}

function run(command: readonly string[]): Outcome {
  const { stdout, stderr, exitCode } = Bun.spawnSync([...command]);
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: exit ${exitCode}\n${stderr}`);
  const lines = stdout
    .toString()
    .trim()
    .split("\n")
    .map((line) => line.split(" "));
  const refusals = lines.filter(([kind]) => kind === "refused");
  return {
    acknowledged: lines.filter(([kind]) => kind === "ack").map(([, value]) => Number(value)),
    refused: refusals.map(([, value]) => Number(value)),
    codes: new Set(refusals.map(([, , code]) => code ?? "")),
  };
}

function values(folder: string): readonly number[] {
  const found: number[] = [];
  const visit = (_: number, events: readonly Event[]) => {
    for (const event of events)
      if (event.kind === "variable-set" && event.variable.kind === "plain") found.push(Number.parseInt(event.variable.value, 10));
  };
  expect(readJournal({ folder, after: 0, visit }).torn).toBeNull();
  return found;
}

function inject(scratch: Scratch, injection: string, count: number): Outcome {
  const trace = ["-f", "-qq", "-o", scratch.path("trace"), "-e", "trace=fdatasync,fsync,pwrite64,ftruncate", "-e", `inject=${injection}`];
  return run([strace ?? "", ...trace, process.execPath, PROGRAM, scratch.path("journal"), "1", String(count), "1"]);
}

async function journalIn(scratch: Scratch): Promise<string> {
  await Bun.$`mkdir ${scratch.path("journal")}`;
  return scratch.path("journal");
}

describe.if(strace !== null)("a system call that fails", () => {
  test("write, disk full: the record is refused, the file cut back, and appending goes on by itself", async () => {
    using scratch = new Scratch();
    const folder = await journalIn(scratch);
    const { acknowledged, refused, codes } = inject(scratch, "pwrite64:error=ENOSPC:when=5..9", 20);
    expect([...codes]).toEqual(["no-space"]);
    expect(refused).toHaveLength(5);
    expect(acknowledged).toHaveLength(15);
    expect(values(folder)).toEqual(acknowledged);
    expect(listSegments(folder)).toHaveLength(1);
  });

  test("write, quota reached: as disk full", async () => {
    using scratch = new Scratch();
    const folder = await journalIn(scratch);
    const { acknowledged, codes } = inject(scratch, "pwrite64:error=EDQUOT:when=3", 5);
    expect([...codes]).toEqual(["no-space"]);
    expect(values(folder)).toEqual(acknowledged);
  });

  test("write, I/O error: the writer ends and nothing that was refused is read back", async () => {
    using scratch = new Scratch();
    const folder = await journalIn(scratch);
    const { acknowledged, refused, codes } = inject(scratch, "pwrite64:error=EIO:when=5", 20);
    expect([...codes]).toEqual(["storage-failed"]);
    expect(refused).toEqual([acknowledged.length + 1]);
    expect(values(folder)).toEqual(acknowledged);
  });

  test("sync, I/O error: the file is never synced or written again", async () => {
    using scratch = new Scratch();
    const folder = await journalIn(scratch);
    const { acknowledged, refused, codes } = inject(scratch, "fdatasync:error=EIO:when=3", 40);
    expect([...codes]).toEqual(["storage-failed"]);
    expect(refused).toEqual([acknowledged.length + 1]);
    expect(values(folder)).toEqual(acknowledged);
    const calls = readFileSync(scratch.path("trace"), "latin1").split("\n");
    const after = calls.slice(calls.findIndex((line) => line.includes("INJECTED")) + 1);
    expect(after.filter((line) => /fdatasync|fsync|pwrite64/.test(line))).toEqual([]);
  });

  test("sync, disk full: what follows goes to a new segment", async () => {
    using scratch = new Scratch();
    const folder = await journalIn(scratch);
    const { acknowledged, refused, codes } = inject(scratch, "fdatasync:error=ENOSPC:when=3", 40);
    expect([...codes]).toEqual(["no-space"]);
    expect(acknowledged).toHaveLength(40 - refused.length);
    expect(values(folder)).toEqual(acknowledged);
    expect(listSegments(folder)).toHaveLength(1 + refused.length);
  });

  test("cutting back and its sync, disk full too: the old file is given up, refused records stay away", async () => {
    using scratch = new Scratch();
    const folder = await journalIn(scratch);
    const { acknowledged, codes } = inject(scratch, "ftruncate:error=ENOSPC", 3);
    expect([...codes]).toEqual([]);
    const fault = ["-e", "inject=fdatasync:error=ENOSPC:when=2", "-e", "inject=ftruncate:error=ENOSPC"];
    const trace = ["-f", "-qq", "-o", scratch.path("trace"), "-e", "trace=fdatasync,ftruncate", ...fault];
    const second = run([strace ?? "", ...trace, process.execPath, PROGRAM, folder, "4", "20", "1"]);
    expect([...second.codes]).toEqual(["no-space"]);
    expect(values(folder)).toEqual([...acknowledged, ...second.acknowledged]);
  });

  test("neither a cut nor a new segment: nobody is told that the record is not there, because a start may read it", async () => {
    using scratch = new Scratch();
    const folder = await journalIn(scratch);
    // What the second segment would be called before it has its name.
    await Bun.$`mkdir ${join(folder, "00000002.new")}`;
    const faults = ["-e", "inject=fdatasync:error=ENOSPC:when=2", "-e", "inject=ftruncate:error=EIO"];
    const trace = ["-f", "-qq", "-o", scratch.path("trace"), "-e", "trace=fdatasync,ftruncate", ...faults];
    const { codes } = run([strace ?? "", ...trace, process.execPath, PROGRAM, folder, "1", "40", "1"]);
    expect([...codes]).toEqual(["storage-failed"]);
  });

  test("nothing is acknowledged before its sync has returned, nor a segment used before its name is on the disk", async () => {
    using scratch = new Scratch();
    const folder = await journalIn(scratch);
    const trace = ["-f", "-qq", "-y", "-o", scratch.path("trace"), "-e", "trace=fdatasync,fsync,pwrite64,rename,write"];
    run([strace ?? "", ...trace, process.execPath, PROGRAM, folder, "1", "10", "1"]);
    const calls = readFileSync(scratch.path("trace"), "latin1").split("\n");
    const order = calls.flatMap((line): string | string[] => {
      if (line.includes("EXPJOURN")) return "header";
      if (/fdatasync.*= 0|fdatasync resumed.*= 0/.test(line)) return "data synced";
      if (/fsync\(\d+<[^>]*\.new>.*= 0/.test(line)) return "header synced";
      if (/fsync\(\d+<[^>]*journal>.*= 0/.test(line)) return "folder synced";
      if (line.includes("rename(")) return "renamed";
      if (line.includes("pwrite64(")) return "written";
      return line.includes('"ack ') ? "acknowledged" : [];
    });
    const record = ["written", "data synced", "acknowledged"];
    const records = Array.from({ length: 10 }, () => record).flat();
    expect(order).toEqual(["header", "header synced", "renamed", "folder synced", ...records]);
  });

  test("one sync serves all who wait: 64 at once need a fraction of the syncs", async () => {
    using scratch = new Scratch();
    const folder = await journalIn(scratch);
    const trace = ["-f", "-qq", "-o", scratch.path("trace"), "-e", "trace=fdatasync"];
    const { acknowledged } = run([strace ?? "", ...trace, process.execPath, PROGRAM, folder, "1", "1280", "64"]);
    expect(acknowledged).toHaveLength(1280);
    const syncs = readFileSync(scratch.path("trace"), "latin1")
      .split("\n")
      .filter((line) => line.includes("fdatasync(")).length;
    expect(syncs).toBeGreaterThan(0);
    expect(syncs).toBeLessThan(1280 / 10);
  });
});

test.if(canMount)("a full disk refuses what does not fit, and takes more as soon as there is room", async () => {
  using scratch = new Scratch();
  const folder = await journalIn(scratch);
  const loop = `"${process.execPath}" "${PROGRAM}" "${folder}/j"`;
  const script = [
    `mount -t tmpfs -o size=200k tmpfs "${folder}" && mkdir "${folder}/j" && head -c 100000 /dev/zero >"${folder}/ballast"`,
    // 100 records of 5 kB, 8 at once, on 100 kB: the disk is full before the end.
    `${loop} 1 100 8 5000`,
    `rm "${folder}/ballast" && ${loop} 101 10 1 5000`,
    `mkdir "${scratch.path("kept")}" && cp "${folder}"/j/* "${scratch.path("kept")}"`,
  ].join(" && ");
  const { acknowledged, refused, codes } = run(["unshare", "-m", "sh", "-c", script]);
  expect([...codes]).toEqual(["no-space"]);
  expect(refused.length).toBeGreaterThan(20);
  expect(acknowledged.filter((value) => value > 100)).toHaveLength(10);
  expect(values(scratch.path("kept"))).toEqual(acknowledged);
});
