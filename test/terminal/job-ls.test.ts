/** `j job ls` on a terminal: what a person looks for is there at every width, and the line stands where it was drawn. */
import { describe, expect, test } from "bun:test";
import type { WireRow } from "../../src/protocol/methods/job.ts";
import { renderJobListing, type Screen } from "../../src/terminal/job-listing.ts";
import { renderTagListing, renderTagTable } from "../../src/terminal/tag-listing.ts";
import { LISTING, MACHINE, NO_COUNTS, wireJob } from "./samples.ts";

const WIDTHS = [60, 80, 120, 200];
const NOW = "2026-11-22T23:04:05.000Z";
const LONG = "bench --the --foo baz --with a-rather-long-command-line --that goes on --and on";
const listing = { ...LISTING, line: 272, now: NOW };

function row(changes: Parameters<typeof wireJob>[0]): WireRow {
  return { kind: "job", job: wireJob(changes) };
}

/** Text from elsewhere that is wide, joined, reversed, or acts on a terminal. */
const HOSTILE = {
  counts: { ...NO_COUNTS, running: 1, done: 2, failed: 1, waiting: 1 },
  now: NOW,
  line: 2,
  rows: [
    row({
      jid: 1,
      status: "done",
      duration: 3_235,
      class: "日本語クラス",
      cmd: "実験 --サイズ 大きい ".repeat(4),
      machine: MACHINE,
      results_path: "/結果",
    }),
    row({ jid: 2, status: "running", duration: 5, cmd: "echo 👨‍👩‍👧 🇩🇪 ❤️ done", machine: "機械.lab:22" }),
    row({
      jid: 3,
      status: "failed",
      duration: 121,
      cmd: "\x1b[2J\x1b[31mred\x07",
      machine: "\u202eevil",
      error: { code: "start-failed", data: { message: "\x1b]0;x\x07" } },
    }),
    row({
      jid: 4,
      status: "done",
      duration: 1,
      cmd: "a\nb\r\nc\td",
      class: "e\u0301\u0302\u0303\u0304",
      warning: { code: "results-none-named", data: {} },
    }),
    row({ jid: 5, cmd: "x".repeat(300), class: "\u200b\ufeff" }),
  ] satisfies WireRow[],
};

for (const [name, sample] of [
  ["the usual", listing],
  ["wide and hostile text", HOSTILE],
] as const) {
  describe(`a listing of ${name}`, () => {
    for (const width of WIDTHS) {
      for (const colours of [false, true]) {
        test(`at ${width} columns, ${colours ? "with" : "without"} colours, is drawn as before`, () => {
          const text = renderJobListing(sample, { width, colours });
          expect(`\n${text}\n`).toMatchSnapshot();
          for (const line of text.split("\n")) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(width);
        });
      }
    }
  });
}

describe("at 80 columns nothing that matters is cut", () => {
  const text = renderJobListing(listing, { width: 80, colours: false });
  const wanted = [
    "Done (53m55s)",
    "Running (12m5s)",
    "Failed (2m1s)",
    "Waiting (3h4m)",
    "Held (3h4m)",
    "248D 4F 12C",
    "Ready",
    "exit 3, retry 275",
    "rebooted",
    "6-269",
  ];
  for (const part of wanted) test(part, () => expect(text).toContain(part));

  test("with a command, a class and a machine that are all long", () => {
    const rows = [
      row({
        jid: 123_456,
        status: "failed",
        duration: 3_235,
        class: "a-class-of-machines",
        cmd: LONG,
        machine: MACHINE,
        error: { code: "timed-out", data: {} },
      }),
    ];
    const line = renderJobListing({ counts: NO_COUNTS, rows }, { width: 80, colours: false }).split("\n").at(-1);
    for (const part of ["123456", "Failed (53m55s)", "timed out"]) expect(line).toContain(part);
  });
});

test("colours say what the words say: bold ids, red and underlined failures, green Ready", () => {
  const text = renderJobListing(listing, { width: 200, colours: true });
  expect(text).toContain("\x1b[1m270\x1b[22m");
  expect(text).toContain("\x1b[4m\x1b[31mFailed (2m1s)\x1b[39m\x1b[24m");
  expect(text).toContain("\x1b[32mDone (53m55s)\x1b[39m");
  expect(text).toContain("\x1b[33mRunning (12m5s)\x1b[39m");
  expect(text).toContain("\x1b[32mReady\x1b[39m");
  expect(text).toContain("\x1b[31mexit 3, retry 275\x1b[39m");
});

test("the jobs of a matrix are shown as a range only where they are one, because it will be typed", () => {
  const matrix = { kind: "matrix", id: 5, class: "x", cmd: "run", first: 6, last: 9 } as const;
  const output = (done: number): string | undefined =>
    renderJobListing({ counts: NO_COUNTS, rows: [{ ...matrix, counts: { ...NO_COUNTS, done } }] }, { width: 80, colours: false })
      .split(" ")
      .at(-1);
  expect([output(4), output(3)]).toEqual(["6-9", "6…9"]);
});

describe("the line", () => {
  const ids = (line: number | null, screen: Screen = { width: 80, colours: false }): string[] =>
    renderJobListing({ ...LISTING, line }, screen)
      .split("\n")
      .slice(2)
      .map((text) => (/^ -+$/.test(text) ? "--" : (/\d+/.exec(text)?.[0] ?? text)));

  test("stands after its job", () => {
    expect(ids(272)).toEqual(["5", "270", "271", "272", "--", "273", "274", "275", "276", "277"]);
  });

  test("stands after the row of a matrix when its job is one of that", () => {
    for (const line of [5, 6, 100, 269]) expect(ids(line).slice(0, 3)).toEqual(["5", "--", "270"]);
  });

  test("stands under the last row for the last job, so that what comes later comes below it", () => {
    expect(ids(277).at(-1)).toBe("--");
  });

  test("is not drawn above all rows, nor below those of a listing that ends before its job", () => {
    for (const line of [0, 4, 278, null]) expect(ids(line)).not.toContain("--");
  });

  test("is dim on a terminal, dashes without colours, and as wide as the table", () => {
    const lines = renderJobListing({ ...LISTING, line: 272 }, { width: 60, colours: true }).split("\n");
    expect(lines).toContain(` \x1b[2m${"─".repeat(59)}\x1b[22m`);
    const piped = renderJobListing({ ...LISTING, line: 272 }, { width: Number.POSITIVE_INFINITY, colours: false }).split("\n");
    expect(piped).toContain(` ${"-".repeat(79)}`);
  });

  test("among a thousand rows costs nothing", () => {
    const rows = Array.from({ length: 1_000 }, (_, jid) => row({ jid }));
    expect(renderJobListing({ counts: NO_COUNTS, rows, line: 500 }, { width: 80, colours: false }).split("\n")).toHaveLength(1_003);
  });
});

test("how long a job waits is told with the server's time only, and never for one that ended before it started", () => {
  const rows = [row({ jid: 1 }), row({ jid: 2, status: "canceled" }), row({ jid: 3, created: "nonsense" })];
  const text = renderJobListing({ counts: NO_COUNTS, rows, now: NOW }, { width: 80, colours: false });
  expect(text.match(/\(3h4m\)/g)).toHaveLength(1);
  expect(text).not.toContain("NaN");
  expect(renderJobListing({ counts: NO_COUNTS, rows }, { width: 80, colours: false })).not.toContain("(");
});

describe("tags", () => {
  const counts = { ...NO_COUNTS, done: 3, failed: 1 };
  const tags = [
    { id: 12, created: "2026-11-22T20:00:00.000Z", counts },
    { id: 30, created: "2026-11-22T21:00:00.000Z", counts: NO_COUNTS },
  ];
  test("are one row each, or a heading with their jobs", () => {
    expect(renderTagTable(tags, { width: 80, colours: false }).split("\n")).toEqual([
      " Tag  Jobs  Status  Created",
      "  12     4  3D 1F   2026-11-22 20:00Z",
      "  30     0          2026-11-22 21:00Z",
    ]);
    expect(renderTagTable([], { width: 80, colours: false })).toContain("job tag new");
    const [tag] = tags;
    if (tag === undefined) throw new Error("there is no sample");
    expect(
      `\n${renderTagListing(tag, [wireJob({ jid: 13, status: "done", duration: 3 })], { width: 80, colours: false })}\n`,
    ).toMatchSnapshot();
  });
});
