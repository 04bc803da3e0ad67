/** The demo's own look at the results must see what could go wrong, or its "equal" means nothing. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkResults } from "../../scripts/demo/check-results.ts";

let folder = "";
let home = "";
let copies = "";
const job = { jid: 7, machine: "m:1", log: "" };

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "expjob-check-results-"));
  home = join(folder, "home");
  copies = join(folder, "copies");
  job.log = join(folder, "log");
  mkdirSync(join(home, "results"), { recursive: true });
  mkdirSync(join(copies, ".expjobserver"), { recursive: true });
  const texts = { "gzip-1-1K-7.txt": "ratio=2\n", "gzip-1-1K-7.gz": "packed", "gzip-1-1K-7.sha256": "sums" };
  for (const [name, text] of Object.entries(texts)) {
    writeFileSync(join(home, "results", name), text);
    writeFileSync(join(copies, name), text);
    if (!name.endsWith(".sha256")) appendFileSync(job.log, `${new Bun.CryptoHasher("sha256").update(text).digest("hex")}  ${name}\n`);
  }
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function differences(): readonly string[] {
  return checkResults({ jobs: [job], machines: [{ address: "m:1", home }], folder: copies, folderOnMachine: "results" }).differences;
}

test("what is equal is counted and has no difference", () => {
  const checked = checkResults({ jobs: [job], machines: [{ address: "m:1", home }], folder: copies, folderOnMachine: "results" });
  expect(checked).toEqual({ files: 3, bytes: 18, differences: [] });
});

test("a copy that differs is neither what is on the machine nor what was measured", () => {
  writeFileSync(join(copies, "gzip-1-1K-7.gz"), "pAcked");
  expect(differences()).toEqual(["gzip-1-1K-7.gz is not what is on the machine", "gzip-1-1K-7.gz is not what the experiment measured"]);
});

test("a file changed on both sides after it was measured is seen by the printed checksum", () => {
  for (const place of [join(home, "results"), copies]) writeFileSync(join(place, "gzip-1-1K-7.txt"), "ratio=9\n");
  expect(differences()).toEqual(["gzip-1-1K-7.txt is not what the experiment measured"]);
});

test("a file that is missing here, missing there, or nobody's is seen", () => {
  rmSync(join(copies, "gzip-1-1K-7.sha256"));
  expect(differences()).toEqual(["gzip-1-1K-7.sha256 was not copied"]);
  rmSync(join(home, "results", "gzip-1-1K-7.gz"));
  expect(differences()).toContain("gzip-1-1K-7.gz is not on the machine");
  writeFileSync(join(copies, "stray"), "");
  expect(differences()).toContain("stray was copied, but no job left it");
});

test("a job that ran elsewhere, or whose log is empty, is seen", () => {
  writeFileSync(job.log, "");
  expect(differences()).toEqual(["job 7 left 3 files on its machine and printed 0 checksums"]);
  const elsewhere = checkResults({ jobs: [{ ...job, machine: "n:1" }], machines: [], folder: copies, folderOnMachine: "results" });
  expect(elsewhere.differences[0]).toContain("job 7 ran on n:1");
});
