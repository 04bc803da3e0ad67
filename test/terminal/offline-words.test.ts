/** Every code of the offline commands has words, and every report its lines. */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { FINDING_WORDS, findingWords } from "../../src/terminal/check-findings.ts";
import { exportedLine, exportWarnings, importLines, stateImportLines } from "../../src/terminal/import-report.ts";
import { OFFLINE_FAILURE_WORDS, offlineFailureWords } from "../../src/terminal/offline-failure.ts";

const offline = join(import.meta.dir, "../../src/offline");
const sources = readdirSync(offline, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => readFileSync(join(offline, name), "utf8"))
  .join("\n");
const codesOf = (pattern: RegExp): string[] => [...new Set(Array.from(sources.matchAll(pattern), (match) => match[1] ?? ""))].sort();
const FINDINGS = codesOf(/findings\.(?:damage|attention|note)\("([a-z-]+)"/g);
const FAILURES = codesOf(/new OfflineError\("([a-z-]+)"/g);

describe("words", () => {
  test("exist for everything that check may find", () => {
    expect(FINDINGS.length).toBeGreaterThan(18);
    for (const code of [...FINDINGS, "damaged", "newer-format", "io"]) {
      const { message, hint } = findingWords({ code, data: {} });
      expect(message, code).toMatch(/^\S.*\.$/);
      expect(hint, code).not.toBe("");
      expect(`${message}${hint}`, code).not.toContain("undefined");
    }
    const unused = Object.keys(FINDING_WORDS).filter((code) => !FINDINGS.includes(code));
    expect(unused).toEqual(["damaged"]);
  });

  test("exist for every refusal", () => {
    for (const code of [...FAILURES, "locked", "damaged", "newer-format", "io", "no-space"]) {
      const { message, hint } = offlineFailureWords({ code, data: {} });
      expect(message, code).toMatch(/^\S.*\.$/);
      expect(hint, code).not.toBe("");
    }
    expect(Object.keys(OFFLINE_FAILURE_WORDS).filter((code) => !FAILURES.includes(code))).toEqual(["locked"]);
  });
});

describe("reports", () => {
  const names = { added: 1, kept: ["a"], refused: ["b\u001b[31m"], left: 2 };
  const jobs = { waiting: 0, held: 2, done: 1 };

  test("of an import say what came in, what ids became, and what is to be done", () => {
    const ids = { first: 0, last: 9, shift: 1_000 };
    const held = [{ first: 1_001, last: 1_002 }];
    const report = {
      dryRun: false,
      file: "/f",
      jobs,
      forgotten: 1,
      matrices: 1,
      tags: 0,
      machines: names,
      variables: names,
      ids,
      nextId: 1_010,
      held,
    };
    const lines = importLines({ ...report, cutShort: 1 });
    expect(lines[0]).toBe("Came in: 3 jobs (2 held, 1 done), 1 matrix, 0 tags, 1 machine, 1 variable.");
    expect(lines[1]).toContain("0 to 9 there are 1000 to 1009 here");
    expect(lines.join("\n")).toContain("`j job unhold 1001-1002`");
    expect(lines.join("\n")).not.toContain("\u001b");
  });

  test("of an export and its import name secrets and jobs under way", () => {
    const report = { file: "/f", jobs: 1, bytes: 10, underWay: 1, secretsLeftOut: ["KEY"], secretsIncluded: 0, serverPid: 7 };
    expect(exportedLine(report)).toBe('Wrote 1 job and everything else to "/f" (10 bytes).');
    expect(exportWarnings(report).map(({ message }) => message)).toEqual([
      "A server runs on this state (process 7): the export is of this moment.",
      "1 job is under way: unknown where it is imported.",
      "Without the values of the secret variables KEY.",
    ]);
    const unknown = [{ first: 3, last: 3 }];
    const lines = stateImportLines({
      dryRun: true,
      jobs,
      machines: 0,
      variables: 2,
      matrices: 0,
      tags: 1,
      nextId: 5,
      secretsToSet: ["KEY"],
      unknown,
    });
    expect(lines).toEqual([
      "Would come in: 3 jobs (2 held, 1 done), 0 matrices, 1 tag, 0 machines, 2 variables. The next id is 5.",
      "Under way there, so unknown here, and the machines are kept for them: 3. When they have ended: `j job rm 3`.",
      "Set again, with `j var set NAME - --secret`: KEY.",
    ]);
  });
});
