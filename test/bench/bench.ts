/**
 * `npm run bench [NAME…]`: measures the executable, each figure against a floor or a peer in the same run.
 *
 *   bench.ts [--quick] [--json] [--binary EXECUTABLE] [--against EXECUTABLE] [NAME]…
 *
 * --quick takes each figure once and small, to see that the bench works. --against puts another build of ours in the
 * place of every peer: before and after a change, in one run; --binary measures that build, not the sources as they are.
 * Servers and machines live in temporary folders and end with the bench. It is no test: nothing fails because it is slow.
 */
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { buildTestBinary } from "../support/binary.ts";
import { copyFigures } from "./copies.ts";
import { followFigures } from "./follow.ts";
import { idleFigures } from "./idle.ts";
import { matrixListingFigures } from "./matrix-listing.ts";
import { type Figure, type Row, takeFigure } from "./measure.ts";
import { memoryFigures } from "./memory.ts";
import { localJobFigures } from "./no-op-jobs.ts";
import { pastFigures, startFigures } from "./past-jobs.ts";
import { peerFigures } from "./peers/peer-jobs.ts";
import { renderNotes, renderTable, surroundings } from "./report.ts";
import { RunFolder } from "./run-folder.ts";
import { simulatedFigures } from "./simulated-machines.ts";
import { snapshotFigures } from "./snapshot.ts";
import { sshJobFigures } from "./ssh-jobs.ts";
import { startUpFigures } from "./start-up.ts";
import { submissionFigures } from "./submissions.ts";
import { turnaroundFigures } from "./turnaround.ts";

interface Size {
  readonly quick: boolean;
}

/** null: there is no sshd here. */
type Bench = (size: Size) => readonly Figure[] | null;

const BENCHES: ReadonlyMap<string, Bench> = new Map<string, Bench>([
  ["start-up", startUpFigures],
  ["matrix", matrixListingFigures],
  ["jobs", localJobFigures],
  ["peers", peerFigures],
  ["turnaround", turnaroundFigures],
  ["ssh", sshJobFigures],
  ["submit", submissionFigures],
  ["past", pastFigures],
  ["start", startFigures],
  ["memory", memoryFigures],
  ["idle", idleFigures],
  ["machines", simulatedFigures],
  ["copy", copyFigures],
  ["follow", followFigures],
  ["snapshot", snapshotFigures],
]);

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    args: process.argv.slice(2),
    allowPositionals: true,
    options: {
      quick: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      binary: { type: "string" },
      against: { type: "string" },
    },
  });
  const unknown = positionals.find((name) => !BENCHES.has(name));
  if (unknown !== undefined) {
    console.error(`There is no bench "${unknown}"; there are: ${[...BENCHES.keys()].join(", ")}.`);
    return 2;
  }
  const contestants = {
    binary: values.binary === undefined ? await buildTestBinary() : otherBuild(values.binary),
    against: values.against === undefined ? null : otherBuild(values.against),
  };
  using _folder = new RunFolder();
  const rows: Row[] = [];
  let failures = 0;
  for (const name of positionals.length === 0 ? BENCHES.keys() : positionals) {
    console.error(`bench ${name} …`);
    const wanted = BENCHES.get(name)?.(values);
    if (wanted === null) console.error(`bench ${name}: SKIPPED, sshd or rsync is not installed`);
    for (const figure of wanted ?? []) {
      try {
        rows.push(...(await takeFigure(name, figure, contestants)));
      } catch (error) {
        // What was taken so far is worth its time.
        failures += 1;
        console.error(`bench ${name}: FAILED, ${figure.parts[0]?.what}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
  const about = surroundings();
  if (values.json) console.log(JSON.stringify({ ...about, rows }, null, 2));
  else {
    const machine = `${about.date}, ${about.cores} x ${about.cpu}, Linux ${about.kernel}, Bun ${about.bun}; load ${about.load}; median (quartiles)`;
    console.log([renderTable(rows), renderNotes(rows), machine].filter((part) => part !== "").join("\n\n"));
  }
  return failures === 0 ? 0 : 1;
}

/** With its `j` beside it, as the build makes it. */
function otherBuild(path: string): { expjobserver: string; j: string } {
  const expjobserver = resolve(process.env["INIT_CWD"] ?? process.cwd(), path);
  return { expjobserver, j: join(expjobserver, "..", "j") };
}

process.exit(await main());
