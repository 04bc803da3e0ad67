/** `matrix ls`: what the matrix is, and its jobs. */
import type { WireJob } from "../protocol/methods/job.ts";
import type { WireMatrix } from "../protocol/methods/matrix.ts";
import { paletteOf } from "./colour.ts";
import { renderDetails } from "./details.ts";
import { renderJobTable, type Screen } from "./job-listing.ts";
import { countsCell } from "./job-status.ts";
import { printable } from "./printable.ts";

const VALUES_SHOWN_MAX = 50;

export function renderMatrixListing(matrix: WireMatrix, jobs: readonly WireJob[], screen: Screen): string {
  const palette = paletteOf(screen);
  const keys = matrix.keys.map(({ name, values }) => `${printable(name)}=${valueList(values)}`);
  const details = renderDetails(
    [
      ["Matrix", palette.bold(String(matrix.id))],
      ["Status", countsCell(matrix.counts, palette)],
      ["Class", printable(matrix.class)],
      ["Command", printable(matrix.cmd)],
      ["Variables", keys.join("\n")],
      ["Repeats", matrix.repeats === 1 ? null : String(matrix.repeats)],
      ["Copy results to", matrix.cp_results === null ? null : printable(matrix.cp_results)],
    ],
    screen.width,
    palette.dim,
  );
  return (jobs.length === 0 ? details : [...details, "", ...renderJobTable(jobs, screen)]).join("\n");
}

function valueList(values: readonly string[]): string {
  const shown = values.slice(0, VALUES_SHOWN_MAX).map((value) => printable(value).replaceAll(",", "\\,"));
  return values.length > VALUES_SHOWN_MAX ? `${shown.join(",")},… (${values.length} values)` : shown.join(",");
}
