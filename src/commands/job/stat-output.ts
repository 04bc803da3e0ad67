/** Prints what `job stat` found in its format, piece by piece: two hundred thousand jobs are never one text. */
import { paletteOf } from "../../terminal/colour.ts";
import {
  addedKeys,
  chosenKeys,
  headerCells,
  recordCells,
  renderStatTable,
  STAT_COLUMNS,
  type StatRecord,
  tabbedLine,
} from "../../terminal/job-stat.ts";
import { printableLines } from "../../terminal/printable.ts";
import { type Output, safeJson } from "../output.ts";
import type { StatPlan } from "./stat-plan.ts";

export interface StatPrinter {
  /** @returns false when nobody reads any more */
  print(records: readonly StatRecord[]): boolean;
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
    print: (records) => write(records.map((record) => `${line(record)}\n`).join(""), output),
    end: async () => undefined,
  };
}

/** One array, whatever its length. */
function jsonPrinter({ columns }: StatPlan, output: Output): StatPrinter {
  const forPeople = output.isTerminal();
  let started = false;
  return {
    print: (records) => {
      const items = records.map((record) => {
        const text = safeJson(columns === null ? record : chosenKeys(record, columns), forPeople);
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
  const show = (text: string): boolean => write(isShown ? printableLines(text) : text, output);
  const kept: StatRecord[] = [];
  let started = false;
  const header = (added: readonly string[]): (readonly string[])[] => {
    if (started || !plan.headers) return [];
    started = true;
    return [headerCells(columns, added)];
  };
  const printed = (records: readonly StatRecord[], added: readonly string[]): boolean =>
    show(rows([...header(added), ...records.map((record) => recordCells(record, columns, added))]));
  return {
    print: (records) => {
      if (plan.mapper === null) return printed(records, []);
      kept.push(...records);
      return true;
    },
    end: async () => void printed(kept, addedKeys(kept)),
  };
}

function tablePrinter(plan: StatPlan, output: Output): StatPrinter {
  const columns = plan.columns ?? STAT_COLUMNS;
  const kept: StatRecord[] = [];
  return {
    print: (records) => {
      kept.push(...records);
      return true;
    },
    end: async () => {
      const screen = await output.screen();
      const added = addedKeys(kept);
      const rows = { header: headerCells(columns, added), cells: kept.map((record) => recordCells(record, columns, added)) };
      const options = { width: screen.width, headers: plan.headers, header: paletteOf(screen).bold };
      output.printLines(renderStatTable(columns, rows, options));
    },
  };
}

function write(text: string, output: Output): boolean {
  return text === "" || output.write(new TextEncoder().encode(text));
}
