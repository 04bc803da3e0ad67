/** `notify test`: one row a webhook, with its host and never its URL. */
import { paletteOf } from "./colour.ts";
import type { Screen } from "./job-listing.ts";
import { printable } from "./printable.ts";
import { type Column, renderTable } from "./table.ts";

export interface TestedWebhook {
  readonly kind: string;
  readonly host: string;
  /** null: the message arrived. */
  readonly error: string | null;
}

const COLUMNS: readonly Column[] = [{ header: "Kind" }, { header: "Host", shrinkTo: 12 }, { header: "Outcome", shrinkTo: 12, weight: 2 }];

export function renderTestedWebhooks(webhooks: readonly TestedWebhook[], screen: Screen): string {
  const palette = paletteOf(screen);
  const rows = webhooks.map(({ kind, host, error }) => [
    printable(kind),
    printable(host),
    error === null ? palette.green("arrived") : palette.red(`failed: ${printable(error)}`),
  ]);
  return renderTable(COLUMNS, rows, { width: screen.width, header: palette.bold }).join("\n");
}
