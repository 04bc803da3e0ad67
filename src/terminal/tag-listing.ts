/** `tag ls`: the jobs of a tag, or one row a tag. */
import type { WireJob } from "../protocol/methods/job.ts";
import type { WireTag } from "../protocol/methods/tag.ts";
import { paletteOf } from "./colour.ts";
import { renderDetails } from "./details.ts";
import { formatMinute } from "./duration.ts";
import { renderJobTable, type Screen } from "./job-listing.ts";
import { countsCell, sum } from "./job-status.ts";
import { printable } from "./printable.ts";
import { type Column, renderTable } from "./table.ts";

const COLUMNS: readonly Column[] = [
  { header: "Tag", align: "right" },
  { header: "Jobs", align: "right" },
  { header: "Status", shrinkTo: 8 },
  { header: "Created", shrinkTo: 10 },
];

export function renderTagListing(tag: WireTag, jobs: readonly WireJob[], screen: Screen): string {
  const palette = paletteOf(screen);
  const details = renderDetails(
    [
      ["Tag", palette.bold(String(tag.id))],
      ["Status", countsCell(tag.counts, palette)],
      ["Created", printable(formatMinute(tag.created))],
    ],
    screen.width,
    palette.dim,
  );
  return (jobs.length === 0 ? details : [...details, "", ...renderJobTable(jobs, screen)]).join("\n");
}

export function renderTagTable(tags: readonly WireTag[], screen: Screen): string {
  if (tags.length === 0) return "No tags yet: `j job tag new` makes one.";
  const palette = paletteOf(screen);
  const rows = tags.map(({ id, counts, created }) => [
    palette.bold(String(id)),
    String(sum(counts)),
    sum(counts) === 0 ? "" : countsCell(counts, palette),
    printable(formatMinute(created)),
  ]);
  return renderTable(COLUMNS, rows, { width: screen.width, header: palette.bold }).join("\n");
}
