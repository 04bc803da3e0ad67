/** `job matrix csv`: a matrix as CSV, one row a cell, its last attempt. */
import type { WireJob } from "../../protocol/methods/job.ts";
import type { WireMatrix } from "../../protocol/methods/matrix.ts";
import { printableLines } from "../../terminal/printable.ts";
import type { Run } from "../command.ts";
import { parseId } from "../ids.ts";
import type { csvArguments } from "./arguments.ts";
import { readMatrix } from "./read.ts";

export const run: Run<typeof csvArguments> = async (args, { output, withClient }) => {
  const id = parseId(args.id, "matrix");
  const { matrix, jobs } = await withClient((client) => readMatrix(client, id));
  const { header, rows } = matrixCells(matrix, jobs);
  if (output.json) {
    output.printJson(rows.map((row) => Object.fromEntries(header.map((name, index) => [name, row[index] ?? null]))));
    return 0;
  }
  const { stringify } = await import("csv-stringify/sync");
  const text = stringify([header, ...rows], { escape_formulas: args["excel-safe"] ?? false, eof: false });
  output.print(output.isTerminal() ? printableLines(text) : text);
  return 0;
};

type Cell = string | number | null;

/** A job that was retried is not the last attempt of its cell. */
export function matrixCells(
  matrix: Pick<WireMatrix, "keys">,
  jobs: readonly WireJob[],
): { readonly header: string[]; readonly rows: Cell[][] } {
  const names = matrix.keys.map((key) => key.name);
  const rows = jobs
    .filter((job) => job.retried_by === null)
    .map((job): Cell[] => [
      job.jid,
      ...names.map((name) => job.variables[name] ?? null),
      job.status,
      job.machine,
      job.duration,
      job.results_path,
    ]);
  return { header: ["jid", ...names, "status", "machine", "duration", "results_path"], rows };
}
