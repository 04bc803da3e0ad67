/** examples/compression/README.md, typed as it stands: its commands against a real server with local machines. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { processesAtHomeIn, sendSignal } from "../../scripts/process-tree.ts";
import { buildTestBinary } from "../support/binary.ts";
import { freePort } from "../support/free-port.ts";
import { waitFor } from "../support/wait-for.ts";

const root = resolve(import.meta.dir, "../..");
const example = join(root, "examples", "compression");

let folder = "";
let environment: Record<string, string> = {};

beforeAll(async () => {
  const binary = await buildTestBinary();
  folder = mkdtempSync(join(tmpdir(), "expjob-example-"));
  // As in a clone: the corpus is made of what lies two folders up.
  cpSync(example, join(folder, "examples", "compression"), {
    recursive: true,
    filter: (path) => !/compression\/(results|corpus)/.test(path),
  });
  for (const name of ["README.md", "docs", "scripts", "src", "test"]) cpSync(join(root, name), join(folder, name), { recursive: true });
  mkdirSync(join(folder, "home"));
  environment = {
    PATH: `${dirname(binary.expjobserver)}:${process.env["PATH"] ?? "/usr/bin:/bin"}`,
    HOME: join(folder, "home"),
    EXPJOBSERVER_ADDRESS: `127.0.0.1:${await freePort("127.0.0.1")}`,
  };
}, 120_000);

afterAll(async () => {
  await waitFor(() => {
    const left = processesAtHomeIn(folder);
    for (const pid of left) sendSignal(pid, "SIGKILL");
    return left.length === 0;
  });
  rmSync(folder, { recursive: true, force: true });
});

/** The blocks marked `sh`; `text` is for machines that we do not have here. */
function blocksOf(text: string): string[] {
  return [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = ""]) => block);
}

async function type(commands: string): Promise<{ code: number; output: string }> {
  const child = Bun.spawn(["sh", "-ec", `exec 2>&1\n${commands}`], {
    cwd: join(folder, "examples"),
    env: environment,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const output = await child.stdout.text();
  return { code: await child.exited, output };
}

test("every command of the README works, in its order, and the numbers are there", async () => {
  const blocks = blocksOf(readFileSync(join(example, "README.md"), "utf8"));
  expect(blocks.length).toBeGreaterThan(6);
  const said: string[] = [];
  for (const block of blocks) {
    const { code, output } = await type(block);
    expect({ block, code, output: code === 0 ? "" : output }).toEqual({ block, code: 0, output: "" });
    said.push(output);
  }
  const all = said.join("\n");
  const programs = /^(?:gzip|bzip2|xz|zstd)(?:,\w+)*$/m.exec(all)?.[0].split(",") ?? [];
  const cells = programs.length * 9;
  expect(cells).toBeGreaterThan(0);
  expect(all).toContain(`Queued matrix 0: ${cells} jobs`);
  expect(all).toContain("all equal");
  expect(all).toMatch(/^Size +Level +Program +Jobs +Ratio/m);
  const examples = join(folder, "examples");
  expect(readFileSync(join(examples, "jobs.csv"), "utf8").trimEnd().split("\n")).toHaveLength(cells + 1);
  expect(readFileSync(join(examples, "measurements.csv"), "utf8").trimEnd().split("\n")).toHaveLength(cells + 1);
  // The matrix and three repeats, three files each.
  expect(readdirSync(join(examples, "results")).filter((name) => name !== ".expjobserver")).toHaveLength((cells + 3) * 3);
  await waitFor(() => processesAtHomeIn(folder).length === 0, { what: () => processesAtHomeIn(folder).join(" ") });
}, 150_000);

test("the README names every file of the example", () => {
  const text = readFileSync(join(example, "README.md"), "utf8");
  for (const name of readdirSync(example).filter((file) => file.endsWith(".sh"))) expect(text).toContain(`\`${name}\``);
});

test("a measurement refuses what it cannot measure, in one line", async () => {
  const refused = [
    ["measure.sh", "usage: measure.sh PROGRAM LEVEL SIZE"],
    ["measure.sh cat 1 64K", "unknown program: cat"],
    ["measure.sh gzip 99 64K", "LEVEL is 1 to 9, not 99"],
    ["measure.sh gzip 1 64X", "SIZE looks like"],
    ["measure.sh gzip 1 900M", "the corpus is smaller than 900M"],
    ["measurements.sh nowhere", "there are no measurements"],
    ["table.sh nowhere.csv", "cannot be read"],
  ] as const;
  expect((await type("sh compression/make-corpus.sh")).output).toMatch(/^corpus: \d+ bytes, sha256 [0-9a-f]{64}$/m);
  for (const [command, words] of refused) {
    const { code, output } = await type(`sh compression/${command}`);
    expect(output).toContain(words);
    expect(output.trimEnd().split("\n")).toHaveLength(1);
    expect(code).not.toBe(0);
  }
  const left = readdirSync(join(folder, "examples", "compression", "results")).filter((name) => name.startsWith(".work"));
  expect(left).toEqual([]);
}, 120_000);
