/** Prints what `job stat` found in its format, piece by piece: two hundred thousand jobs are never one text. */
import { paletteOf } from "../../terminal/colour.ts";
import {
  chosenKeys,
  columnText,
  headerCells,
  recordCells,
  renderStatTable,
  STAT_COLUMNS,
  type StatColumn,
  type StatRecord,
  tabbedLine,
} from "../../terminal/job-stat.ts";
import { printableLines } from "../../terminal/printable.ts";
import { type Output, safeJson } from "../output.ts";
import type { StatPlan } from "./stat-plan.ts";

export interface StatRow {
  readonly record: StatRecord;
  /** Keys that a mapper added. */
  readonly added: readonly string[];
}

export interface StatPrinter {
  /** @returns false when nobody reads any more */
  print(rows: readonly StatRow[]): boolean;
  end(): Promise<void>;
}

export async function statPrinter(plan: StatPlan, output: Output): Promise<StatPrinter> {
  switch (plan.format) {
    case "ids":
      return linePrinter((record) => String(record["jid"]), output);
    case "json":
      return jsonPrinter(plan, output);
    case "csv":
      return rowPrinter(plan, output, await csvRows(plan));
    case "text":
      return output.isTerminal()
        ? tablePrinter(plan, output)
        : rowPrinter(plan, output, (rows) => rows.map((row) => `${tabbedLine(row)}\n`).join(""));
  }
}

type Rows = (rows: readonly (readonly string[])[]) => string;

async function csvRows({ excelSafe }: StatPlan): Promise<Rows> {
  const { stringify } = await import("csv-stringify/sync");
  // Cells are text already: nothing is left to the casts of the library.
  return (rows) => stringify([...rows.map((row) => [...row])], { escape_formulas: excelSafe, record_delimiter: "unix" });
}

function linePrinter(line: (record: StatRecord) => string, output: Output): StatPrinter {
  return {
    print: (rows) => write(rows.map(({ record }) => `${line(record)}\n`).join(""), output),
    end: async () => undefined,
  };
}

/** One array, whatever its length. */
function jsonPrinter({ columns }: StatPlan, output: Output): StatPrinter {
  const forPeople = output.isTerminal();
  let started = false;
  return {
    print: (rows) => {
      const items = rows.map(({ record, added }) => {
        const text = safeJson(columns === null ? record : chosenKeys(record, columns, added), forPeople);
        const lead = started ? "," : "[";
        started = true;
        return forPeople ? `${lead}\n${text.replaceAll(/^/gm, "  ")}` : `${lead}${text}`;
      });
      return write(items.join(""), output);
    },
    end: async () => void write(started ? (forPeople ? "\n]\n" : "]\n") : "[]\n", output),
  };
}

/** The header stands first. What a mapper may have added is known only when all jobs have gone through it. */
function rowPrinter(plan: StatPlan, output: Output, rows: Rows): StatPrinter {
  const columns = plan.columns ?? STAT_COLUMNS;
  const isShown = output.isTerminal();
  const kept: StatRow[] = [];
  let isHeaderDue = plan.headers;
  const printed = (some: readonly StatRow[]): boolean => {
    const added = allAdded(some);
    const header = isHeaderDue ? [headerCells(columns, added)] : [];
    isHeaderDue = false;
    const text = rows([...header, ...some.map(({ record }) => recordCells(record, columns, added))]);
    return write(isShown ? printableLines(text) : text, output);
  };
  return {
    print: (some) => {
      if (plan.mapper === null) return printed(some);
      kept.push(...some);
      return true;
    },
    end: async () => void printed(kept),
  };
}

/** In the order in which they first came. */
function allAdded(rows: readonly StatRow[]): readonly string[] {
  return [...new Set(rows.flatMap((row) => row.added))];
}

function tablePrinter(plan: StatPlan, output: Output): StatPrinter {
  const kept: StatRow[] = [];
  return {
    print: (rows) => {
      kept.push(...rows);
      return true;
    },
    end: async () => {
      const screen = await output.screen();
      const columns = plan.columns ?? filledColumns(kept);
      const added = allAdded(kept);
      const rows = { header: headerCells(columns, added), cells: kept.map(({ record }) => recordCells(record, columns, added)) };
      const options = { width: screen.width, headers: plan.headers, header: paletteOf(screen).bold };
      output.printLines(renderStatTable(columns, rows, options));
    },
  };
}

/** Who named no column sees those that hold something: a screen has no room for the others. */
function filledColumns(rows: readonly StatRow[]): readonly StatColumn[] {
  return STAT_COLUMNS.filter((column) => column === "jid" || rows.some(({ record }) => columnText(record, column) !== ""));
}

function write(text: string, output: Output): boolean {
  return text === "" || output.write(new TextEncoder().encode(text));
}
