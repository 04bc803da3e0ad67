/**
 * `npm run bench [NAME…]`: measures the executable, each figure against a floor or a peer in the same run.
 *
 *   bench.ts [--quick] [--json] [--binary EXECUTABLE] [--against EXECUTABLE]
 *            [start-up | jobs | submit | copy | memory | turnaround | ssh]…
 *
 * --quick takes each figure once and small, to see that the bench works. --against puts another build of ours in the
 * place of every peer: before and after a change, in one run; --binary measures that build, not the sources as they are.
 * Servers and machines live in temporary folders and end with the bench. It is no test: nothing fails because it is slow.
 */
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { buildTestBinary } from "../support/binary.ts";
import { takeCopies } from "./copies.ts";
import { type Contestants, type Figure, type Row, takeFigure } from "./measure.ts";
import { memoryFigures } from "./memory.ts";
import { localJobFigures, sshJobFigures } from "./no-op-jobs.ts";
import { renderTable, surroundings } from "./report.ts";
import { startUpFigures } from "./start-up.ts";
import { submissionFigures } from "./submissions.ts";
import { turnaroundFigures } from "./turnaround.ts";

interface Size {
  readonly quick: boolean;
}

/** null: something that it needs is not installed. */
type Bench = (contestants: Contestants, size: Size) => Promise<readonly Row[] | null>;

const BENCHES: ReadonlyMap<string, Bench> = new Map<string, Bench>([
  ["start-up", figures("start-up", startUpFigures)],
  ["jobs", figures("jobs", localJobFigures)],
  ["submit", figures("submit", submissionFigures)],
  ["copy", (contestants, size) => (contestants.against === null ? takeCopies(size) : Promise.resolve([]))],
  ["memory", figures("memory", memoryFigures)],
  ["turnaround", figures("turnaround", turnaroundFigures)],
  ["ssh", figures("ssh", sshJobFigures)],
]);

function figures(name: string, list: (size: Size) => readonly Figure[] | null): Bench {
  return async (contestants, size) => {
    const wanted = list(size);
    if (wanted === null) return null;
    const rows: Row[] = [];
    for (const figure of wanted) rows.push(...(await takeFigure(name, figure, contestants)));
    return rows;
  };
}

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
  const rows: Row[] = [];
  for (const name of positionals.length === 0 ? BENCHES.keys() : positionals) {
    console.error(`bench ${name} …`);
    const taken = await BENCHES.get(name)?.(contestants, values);
    if (taken === null) console.error(`bench ${name}: SKIPPED, sshd or rsync is not installed`);
    rows.push(...(taken ?? []));
  }
  const about = surroundings();
  if (values.json) console.log(JSON.stringify({ ...about, rows }, null, 2));
  else
    console.log(
      `${renderTable(rows)}\n\n${about.date}, ${about.cores} x ${about.cpu}, Linux ${about.kernel}, Bun ${about.bun}; median (quartiles)`,
    );
  return 0;
}

/** With its `j` beside it, as the build makes it. */
function otherBuild(path: string): { expjobserver: string; j: string } {
  const expjobserver = resolve(process.env["INIT_CWD"] ?? process.cwd(), path);
  return { expjobserver, j: join(expjobserver, "..", "j") };
}

process.exit(await main());
