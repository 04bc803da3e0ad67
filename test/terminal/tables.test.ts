import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { renderJobDetails } from "../../src/terminal/job-details.ts";
import { renderJobListing, type Screen } from "../../src/terminal/job-listing.ts";
import { renderWhy } from "../../src/terminal/job-why.ts";
import { renderChecks } from "../../src/terminal/machine-check.ts";
import { renderMachineTable } from "../../src/terminal/machine-table.ts";
import { renderMatrixListing } from "../../src/terminal/matrix-listing.ts";
import { fitCell, renderTable } from "../../src/terminal/table.ts";
import { renderVariableTable } from "../../src/terminal/variable-table.ts";
import { LISTING, MACHINES, MATRIX, wireJob } from "./samples.ts";

const WIDTHS = [60, 80, 120, 200];
const plain = (width: number): Screen => ({ width, colours: false });

describe("the job listing", () => {
  for (const width of WIDTHS) {
    test(`at ${width} columns is drawn as before`, () => {
      expect(`\n${renderJobListing(LISTING, plain(width))}\n`).toMatchSnapshot();
    });
  }

  test("with colours is drawn as before", () => {
    expect(renderJobListing(LISTING, { width: 120, colours: true })).toMatchSnapshot();
  });

  test("colours change nothing but colours", () => {
    for (const width of WIDTHS) {
      expect(Bun.stripANSI(renderJobListing(LISTING, { width, colours: true }))).toBe(renderJobListing(LISTING, plain(width)));
    }
  });

  test("never cuts ids, states or Ready at 80 columns", () => {
    const text = renderJobListing(LISTING, plain(80));
    for (const part of [
      "Done (53m55s)",
      "Running (12m5s)",
      "Failed (2m1s)",
      "248D 4F 12C",
      "Ready",
      "exit 3, retry 275",
      "6-269",
      "270",
      "277",
    ])
      expect(text).toContain(part);
  });

  test("without a terminal cuts nothing", () => {
    const text = renderJobListing(LISTING, plain(Number.POSITIVE_INFINITY));
    expect(text).toContain("bench --the --foo baz --with a-rather-long-command-line --that goes on");
    expect(text).not.toContain("…");
  });

  test("without jobs is one line", () => {
    expect(renderJobListing({ counts: { ...LISTING.counts, running: 0, done: 0, failed: 0, canceled: 0 }, rows: [] }, plain(80))).toBe(
      "0 jobs: 0 waiting, 0 held, 0 running, 0 done, 0 failed, 0 canceled",
    );
  });

  test("at 60 columns the summary line leaves out what is zero", () => {
    expect(renderJobListing(LISTING, plain(60)).split("\n")[0]).toBe("274 jobs: 1 running, 257 done, 4 failed, 12 canceled");
  });
});

describe("every other listing is drawn as before", () => {
  for (const width of [60, 80, 120]) {
    test(`machines at ${width}`, () => expect(`\n${renderMachineTable(MACHINES, plain(width))}\n`).toMatchSnapshot());
    test(`variables at ${width}`, () => {
      const variables = [
        { name: "TOKEN", value: null },
        { name: "PATH_TO_DATA", value: "/a/".repeat(50) },
      ];
      expect(`\n${renderVariableTable(variables, plain(width))}\n`).toMatchSnapshot();
    });
    test(`a matrix at ${width}`, () => {
      const jobs = [wireJob({ jid: 6, status: "done", duration: 3, results_path: "/r" }), wireJob({ jid: 7 })];
      expect(`\n${renderMatrixListing(MATRIX, jobs, plain(width))}\n`).toMatchSnapshot();
    });
    test(`a job at ${width}`, () => {
      const job = wireJob({
        status: "failed",
        exit_code: 137,
        signal: "SIGKILL",
        error: { code: "nonzero-exit", data: { exit_code: "137", signal: "SIGKILL" } },
        duration: 61,
        started: "2026-11-22T20:00:00.000Z",
        ended: "2026-11-22T20:01:01.000Z",
        files: [{ path: "a/b.csv", bytes: 1_234_567, sha256: "ab".repeat(32) }],
        log: "/home/user/logs/7-bench",
        attempt: 2,
        retry_of: 3,
      });
      expect(`\n${renderJobDetails(job, plain(width))}\n`).toMatchSnapshot();
    });
    test(`reasons and checks at ${width}`, () => {
      const reasons = [
        {
          code: "machine",
          data: {
            addr: "node7.lab:22",
            state: "unreachable",
            problem: "unreachable",
            machine: "node7.lab:22",
            message: "no route to host",
          },
        },
        { code: "jobs-ahead", data: { count: "3", class: "small" } },
      ];
      const checks = [
        { addr: "local", duration_ms: 3, problem: null, kernel: "Linux 6.1.0" },
        {
          addr: "node7.lab:22",
          duration_ms: 30,
          problem: { code: "unreachable", data: { machine: "node7.lab:22", message: "timed out" } },
          kernel: null,
        },
      ];
      expect(
        `\n${renderWhy([{ jid: 7, status: "waiting", reasons }], plain(width))}\n\n${renderChecks(checks, plain(width))}\n`,
      ).toMatchSnapshot();
    });
  }
});

describe("a table for a pipe", () => {
  test("cuts nothing, and one long cell does not push all others away", () => {
    const columns = [{ header: "Command" }, { header: "Output" }];
    const lines = renderTable(
      columns,
      [
        ["x".repeat(5_000), "first"],
        ["short", "second"],
      ],
      { width: Number.POSITIVE_INFINITY, header: (text) => text },
    );
    expect(lines[1]).toBe(` ${"x".repeat(5_000)}  first`);
    expect(lines[2]).toMatch(/^ short {40,200}second$/);
    expect(lines[0]?.indexOf("Output")).toBe(lines[2]?.indexOf("second") ?? 0);
  });
});

describe("a hint about a job", () => {
  test("names it, so that it can be typed as it stands", () => {
    const job = wireJob({ jid: 57, status: "failed", error: { code: "nonzero-exit", data: { exit_code: "1" } } });
    expect(renderJobDetails(job, plain(200))).toContain("`j job log -l 57`");
    const why = renderWhy([{ jid: 58, status: "held", reasons: [{ code: "held", data: {} }] }], plain(200));
    expect(why).toContain("`j job unhold 58`");
    expect(why).not.toContain("JID");
  });
});

describe("a pool in trouble", () => {
  test("has all machines in the table, and the reasons of the first few below", () => {
    const [, , sick] = MACHINES;
    if (sick === undefined || sick.reason === null) throw new Error("the sample has no reason");
    const machines = Array.from({ length: 200 }, (_, index) => ({ ...sick, addr: `n${index}:22` }));
    const lines = renderMachineTable(machines, plain(200)).split("\n");
    expect(lines.filter((line) => line.includes("quarantined  "))).toHaveLength(200);
    expect(lines.at(-1)).toBe("And 192 more: `j machine check ADDR` says what is wrong with one, `j machine ls --json` with all.");
    expect(lines.length).toBeLessThan(200 + 8 * 2 + 5);
  });
});

describe("tables of nothing", () => {
  test("say how to begin", () => {
    expect(renderMachineTable([], plain(60))).toBe("No machines yet: `j machine add ADDR... CLASS` adds some.");
    expect(renderVariableTable([], plain(60))).toBe("No variables yet: `j var set NAME VALUE` sets one.");
  });
});

describe("why", () => {
  const machineReason = (addr: string, state: string, data: Record<string, string> = {}) => ({
    code: "machine",
    data: { addr, state, ...data },
  });

  test("says once what keeps a machine from being reached", () => {
    const problem = { problem: "unreachable", machine: "n:22", message: "timed out" };
    const reasons = [{ code: "last-start", data: problem }, machineReason("n:22", "unreachable", problem)];
    const text = renderWhy([{ jid: 7, status: "waiting", reasons }], plain(200));
    expect(text.match(/cannot be reached/g)).toHaveLength(1);
    const other = renderWhy(
      [{ jid: 7, status: "waiting", reasons: [{ code: "last-start", data: problem }, machineReason("m:22", "busy")] }],
      plain(200),
    );
    expect(other).toContain("The last start did not happen");
  });

  test("counts busy machines when there are many", () => {
    const reasons = Array.from({ length: 200 }, (_, index) => machineReason(`n${index}:22`, "busy", { running: String(index) }));
    const text = renderWhy([{ jid: 7, status: "waiting", reasons: [...reasons, machineReason("q:22", "quarantined")] }], plain(80));
    expect(text).toContain("200 machines of its class are busy.");
    expect(text).toContain('Machine "q:22" is quarantined.');
    expect(text.split("\n")).toHaveLength(3);
    expect(renderWhy([{ jid: 7, status: "waiting", reasons: reasons.slice(0, 8) }], plain(80))).toContain(
      'Machine "n7:22" is busy with job 7.',
    );
  });
});

describe("whatever the cells hold", () => {
  const hostile = fc.oneof(
    fc.string({ unit: "binary", maxLength: 60 }),
    fc.string({ unit: "grapheme", maxLength: 60 }),
    fc.constantFrom(
      "日本語の名前".repeat(9),
      "👨‍👩‍👧👍🏽🇩🇪❤️",
      "\x1b[2J\x1b[31mred",
      "\u202eevil\u2066",
      "a\nb\r\nc\td",
      "e\u0301\u0302\u0303\u0304",
      "\u200b\ufeff\u00ad",
      "\ud800",
      "\x9b31m",
    ),
  );
  const screen = fc.record({ width: fc.integer({ min: 60, max: 250 }), colours: fc.boolean() });

  test("no line of a listing is wider than the screen or holds a control character", () => {
    fc.assert(
      fc.property(hostile, hostile, hostile, screen, (first, second, third, at) => {
        const job = wireJob({
          class: first,
          cmd: second,
          machine: third,
          status: "failed",
          duration: 100,
          variables: { [first]: second },
          error: { code: "start-failed", data: { machine: third, message: first } },
          warning: { code: second, data: { [third]: first } },
          log: third,
          results: [first, second],
          results_path: second,
        });
        const machine = {
          addr: first,
          class: second,
          state: "unreachable",
          running: 3,
          failures: 0,
          reason: { code: "unreachable", data: { machine: third } },
          since: third,
        } as const;
        const texts = [
          renderJobListing({ counts: LISTING.counts, rows: [...LISTING.rows, { kind: "job", job }] }, at),
          renderJobDetails(job, at),
          renderMachineTable([machine], at),
          renderVariableTable([{ name: first, value: second }], at),
          renderMatrixListing({ ...MATRIX, cmd: first, keys: [{ name: second, values: [third, first] }] }, [job], at),
          renderWhy([{ jid: 1, status: "held", reasons: [{ code: first, data: { a: second } }] }], at),
          renderChecks([{ addr: first, duration_ms: 1, problem: { code: second, data: {} }, kernel: third }], at),
        ];
        for (const line of texts.join("\n").split("\n")) {
          expect(Bun.stringWidth(line)).toBeLessThanOrEqual(at.width);
          const bare = at.colours ? line.replaceAll(/\x1b\[\d{1,2}m/g, "") : line;
          expect(bare).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{DI}]/u);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("a cell of a megabyte is cut, and takes no minutes", () => {
    const lines = renderTable([{ header: "A", shrinkTo: 5 }, { header: "B" }], [["日".repeat(500_000), "x"]], {
      width: 80,
      header: (text) => text,
    });
    expect(lines.every((line) => Bun.stringWidth(line) <= 80)).toBe(true);
  });

  test("a wide character that would fit by half is left out", () => {
    expect([1, 2, 3, 4, 5, 6].map((width) => fitCell("日本語", width))).toEqual(["…", "…", "日…", "日…", "日本…", "日本語"]);
  });

  test("columns are aligned whatever their cells hold", () => {
    const lines = renderTable(
      [{ header: "Name" }, { header: "N" }],
      [
        ["日本", "1"],
        ["abc", "2"],
      ],
      { width: 80, header: (text) => text },
    );
    expect(lines).toEqual([" Name  N", " 日本  1", " abc   2"]);
  });
});
