/** What job stat prints of a job, and lines of several logs: whole, labelled, and safe whatever they hold. */
import { describe, expect, test } from "bun:test";
import {
  addedKeys,
  answeredRecord,
  chosenKeys,
  columnText,
  headerCells,
  recordCells,
  renderStatTable,
  STAT_COLUMNS,
  statRecord,
  tabbedLine,
  withColumn,
} from "../../src/terminal/job-stat.ts";
import { LabelledLines } from "../../src/terminal/labelled-lines.ts";
import { wireJob } from "./samples.ts";

const HOSTILE = "\x1b[2J\x1b]0;title\x07red\r\n\u202eevil\tend\n";
const done = wireJob({
  jid: 12,
  status: "done",
  machine: "m:22",
  matrix: 5,
  started: "2026-11-22T20:00:00.000Z",
  ended: "2026-11-22T20:01:30.500Z",
  duration: 90.5,
  results: ["/home/user/out"],
  results_path: "/home/user/results/out",
  log: "/logs/12",
});

describe("a column of job stat", () => {
  test("holds what the Job of cli.md says, in the order that was asked for", () => {
    const columns = ["status", "jid", "duration", "starttime", "vars", "results", "results-dir"] as const;
    expect(headerCells(columns, [])).toEqual(["status", "jid", "duration", "start", "variables", "results", "cp_results"]);
    expect(recordCells(statRecord(done), columns, [])).toEqual([
      "done",
      "12",
      "90.5",
      "2026-11-22T20:00:00.000Z",
      '{"SIZE":"4","MODE":"linear"}',
      "/home/user/out",
      "/home/user/results",
    ]);
  });

  test("is empty for what does not apply, and a list of several is JSON", () => {
    const record = statRecord(wireJob({ results: ["a", "b"] }));
    expect(recordCells(record, ["machine", "error", "endtime", "results"], [])).toEqual(["", "", "", '["a","b"]']);
  });

  test("exists for every flag", () => {
    expect(STAT_COLUMNS.map((column) => columnText(statRecord(done), column)).filter((text) => text === "")).toEqual([""]);
    expect(headerCells(STAT_COLUMNS, []).join(" ")).toBe(
      "jid matrix cmd class machine status error variables results results_path start end duration log cp_results",
    );
  });

  test("keeps a line a line: breaks and tabs inside of a cell are written as escapes", () => {
    expect(tabbedLine(["a\tb", "c\r\nd", "", "\\n"])).toBe("a\\tb\tc\\r\\nd\t\t\\n");
  });
});

describe("a record", () => {
  test("has the old names of the times beside ours, as JSON too", () => {
    const record = statRecord(done);
    expect([record["start"], record["end"]]).toEqual([done.started, done.ended]);
    expect(chosenKeys(record, ["endtime", "jid"], [])).toEqual({ ended: done.ended, end: done.ended, jid: 12 });
    expect(Object.keys(chosenKeys(record, ["endtime", "jid"], []))).toEqual(["ended", "end", "jid"]);
  });

  test("whose column was mapped has the value under all its names", () => {
    expect(withColumn(statRecord(done), "starttime", "8 pm")).toMatchObject({ start: "8 pm", started: "8 pm", ended: done.ended });
  });

  test("that a mapper answered keeps what it added, and a time that it changed has both names", () => {
    const before = statRecord(done);
    const answer = answeredRecord(before, { ...before, start: "then", ended: "late", score: 3, jid: "job 12" });
    expect(answer).toMatchObject({ start: "then", started: "then", end: "late", ended: "late" });
    expect(addedKeys(before, { other: 1, ...answer })).toEqual(["other", "score"]);
    expect(chosenKeys(answer, ["jid", "machine"], ["score"])).toEqual({ jid: "job 12", machine: "m:22", score: 3 });
    // It may leave out what it likes.
    expect(recordCells(answeredRecord(before, { score: null }), ["jid", "starttime"], ["score"])).toEqual(["", "", ""]);
  });
});

test("a table for people fits and does nothing to the terminal, whatever a job is called", () => {
  const record = statRecord(wireJob({ cmd: HOSTILE.repeat(20), machine: HOSTILE, error: { code: HOSTILE, data: { a: HOSTILE } } }));
  for (const width of [40, 80, 200]) {
    const rows = { header: headerCells(STAT_COLUMNS, [HOSTILE]), cells: [recordCells(record, STAT_COLUMNS, [HOSTILE])] };
    const lines = renderStatTable(STAT_COLUMNS, rows, { width, headers: true, header: (text) => text });
    expect(lines.length).toBe(2);
    expect(Math.max(...lines.map((line) => Bun.stringWidth(line)))).toBeLessThanOrEqual(width);
    expect(lines.join("")).not.toMatch(/[\p{Cf}\x00-\x1f\x7f-\x9f]/u);
    expect(renderStatTable(STAT_COLUMNS, rows, { width, headers: false, header: (text) => text })).toEqual(lines.slice(1));
  }
});

describe("lines with a label", () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  const text = (all: Uint8Array): string => new TextDecoder().decode(all);

  test("come whole, however their bytes come", () => {
    const lines = new LabelledLines("12| ");
    expect(text(lines.take(bytes("a")))).toBe("");
    expect(text(lines.take(bytes("b\nc\n\nd")))).toBe("12| ab\n12| c\n12| \n");
    expect(text(lines.end())).toBe("12| d\n");
    expect(text(lines.end())).toBe("");
  });

  test("are the same bytes, those that are no text too", () => {
    const lines = new LabelledLines("");
    const raw = Uint8Array.from({ length: 256 }, (_, index) => index);
    const out = [...raw].flatMap((byte) => [...lines.take(Uint8Array.of(byte))]);
    expect([...out, ...lines.end()]).toEqual([...raw, 10]);
  });

  test("that never end are shown in pieces", () => {
    const lines = new LabelledLines("7| ");
    let shown = 0;
    for (let piece = 0; piece < 40; piece++) shown += lines.take(new Uint8Array(65_536).fill(97)).length;
    expect(shown).toBeGreaterThan(2_000_000);
  });

  test("belong to the next log when it begins", () => {
    const lines = new LabelledLines("3.1| ");
    lines.take(bytes("half"));
    expect(text(lines.relabel("3.2| "))).toBe("3.1| half\n");
    expect(text(lines.take(bytes("x\n")))).toBe("3.2| x\n");
  });
});
