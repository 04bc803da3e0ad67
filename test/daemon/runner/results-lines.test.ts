import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { RESULTS_LINE_BYTES_MAX, RESULTS_PREFIXES_MAX, scanResultsLines } from "../../../src/daemon/runner/results-lines.ts";

describe("RESULTS lines", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "expjob-results-"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  async function scan(content: string | Uint8Array) {
    const path = join(folder, "log");
    writeFileSync(path, content);
    return await scanResultsLines(path);
  }
  const longest = "x".repeat(RESULTS_LINE_BYTES_MAX - "RESULTS: ".length);

  test.each([
    ["one line", "noise\nRESULTS: /a/b\nnoise\n", ["/a/b"]],
    ["the first line, without a newline at the end of the file", "RESULTS: /a", ["/a"]],
    ["several, each once, in order", "RESULTS: b\nRESULTS: a\nRESULTS: b\n", ["b", "a"]],
    ["a carriage return before the newline is taken off, once", "RESULTS: a\r\nRESULTS: b\r", ["a", "b"]],
    [
      "the marker only at the beginning of a line",
      "x RESULTS: no\n RESULTS: no\nRESULTS:no\nresults: no\nRESULTS: RESULTS: yes\n",
      ["RESULTS: yes"],
    ],
    ["blanks and quotes are literal", "RESULTS:  a b 'c' * $x \n", [" a b 'c' * $x "]],
    ["other languages", "RESULTS: /données/結果\n", ["/données/結果"]],
    ["the longest line", `RESULTS: ${longest}\n`, [longest]],
    ["an empty file", "", []],
  ])("%s", async (_, content, prefixes) => {
    expect(await scan(content)).toEqual({ prefixes, invalid: [] });
  });

  test.each([
    ["too-long", `RESULTS: ${longest}x\nRESULTS: good\n`],
    ["too-long", `RESULTS: ${"x".repeat(3_000_000)}\nRESULTS: good`],
    ["empty", "RESULTS: \nRESULTS: good\n"],
    ["empty", "RESULTS: \r\nRESULTS: good\n"],
    ["leading-hyphen", "RESULTS: -rf\nRESULTS: good\n"],
    ["control-character", "RESULTS: a\u001b[2J\nRESULTS: good\n"],
    ["control-character", "RESULTS: a\0b\nRESULTS: good\n"],
    ["control-character", "RESULTS: a\u0085b\nRESULTS: good\n"],
    ["control-character", "RESULTS: a\r\r\nRESULTS: good\n"],
    ["not-utf8", Buffer.concat([Buffer.from("RESULTS: a"), Buffer.from([0xff, 0xfe]), Buffer.from("\nRESULTS: good\n")])],
  ])("an invalid line (%s) is named, and the others count", async (reason, content) => {
    const { prefixes, invalid } = await scan(content);
    expect(prefixes).toEqual(["good"]);
    expect(invalid.map((one) => [one.code, one.data.reason])).toEqual([["results-line-invalid", reason]]);
    expect(invalid[0]?.data.line).not.toMatch(/\p{Cc}/u);
  });

  test("a line is found wherever a chunk of the file ends", async () => {
    const chunk = 1_048_576 + RESULTS_LINE_BYTES_MAX;
    for (let shift = -40; shift <= 40; shift += 1) {
      const content = `${"y".repeat(chunk + shift)}\nRESULTS: /here\n${"z".repeat(100)}`;
      expect((await scan(content)).prefixes).toEqual(["/here"]);
    }
  });

  test("it finds what a plain reading of the lines finds", async () => {
    const line = fc.oneof(
      fc.string({ unit: "grapheme-ascii" }),
      fc.string({ unit: "grapheme-ascii" }).map((text) => `RESULTS: ${text}`),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(line), fc.constantFrom("\n", "\r\n"), async (lines, ending) => {
        const expected = lines.filter((one) => one.startsWith("RESULTS: ")).map((one) => one.slice("RESULTS: ".length));
        const valid = expected.filter((prefix) => prefix !== "" && !prefix.startsWith("-"));
        expect((await scan(lines.join(ending))).prefixes).toEqual([...new Set(valid)]);
      }),
      { numRuns: 200 },
    );
  });

  test("too many prefixes are cut at the limit and said once", async () => {
    const lines = Array.from({ length: RESULTS_PREFIXES_MAX + 5 }, (_, index) => `RESULTS: p${index}`);
    const { prefixes, invalid } = await scan(lines.join("\n"));
    expect(prefixes).toHaveLength(RESULTS_PREFIXES_MAX);
    expect(invalid.map((one) => one.code)).toEqual(["results-too-many"]);
  });

  test("a log that cannot be read is a problem and not an exception", async () => {
    const { prefixes, invalid } = await scanResultsLines(join(folder, "nothing"));
    expect(prefixes).toEqual([]);
    expect(invalid.map((one) => one.code)).toEqual(["results-unreadable"]);
  });
});
