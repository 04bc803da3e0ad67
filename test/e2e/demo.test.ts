/** `npm run demo` as its users see it: a smaller matrix, with both kinds of machines, and broken off in the middle. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { canConnect } from "../../scripts/free-port.ts";
import { processesAtHomeIn } from "../../scripts/process-tree.ts";
import { buildTestBinary } from "../support/binary.ts";
import { sshdAvailable } from "../support/sshd.ts";
import { waitFor } from "../support/wait-for.ts";

const root = resolve(import.meta.dir, "../..");
const jobs = 8;
const demoTimeoutMs = 110_000;

interface Demo {
  readonly folder: string;
  readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  /** What it has printed so far. */
  readonly output: () => string;
  /** Its exit code, when all its output is read. */
  readonly ended: Promise<number>;
}

let folder = "";
beforeAll(async () => {
  await buildTestBinary();
  folder = mkdtempSync(join(tmpdir(), "expjob-demo-test-"));
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** With a TMPDIR of its own, so that we see what it leaves there. */
function startDemo(name: string, words: readonly string[], variables: Readonly<Record<string, string>> = {}): Demo {
  const own = join(folder, name);
  mkdirSync(join(own, "tmp"), { recursive: true });
  const command = ["node", "scripts/bootstrap.mjs", "scripts/demo.ts", "--quick", ...words];
  const child = Bun.spawn(command, {
    cwd: root,
    env: { ...process.env, TMPDIR: join(own, "tmp"), INIT_CWD: own, ...variables },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  const collect = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) text += decoder.decode(chunk, { stream: true });
  };
  const read = Promise.all([collect(child.stdout), collect(child.stderr)]);
  return { folder: own, child, output: () => text, ended: read.then(() => child.exited) };
}

/** Servers and machines that the demo named. */
function endpoints(output: string): { address: string; port: number }[] {
  const all = [...output.matchAll(/\b(127\.0\.0\.\d):(\d+)/g)].map(([text]) => text);
  return [...new Set(all)].map((text) => ({ address: text.split(":")[0] ?? "", port: Number(text.split(":")[1]) }));
}

async function expectNothingLeft(demo: Demo): Promise<void> {
  expect(processesAtHomeIn(demo.folder)).toEqual([]);
  expect(readdirSync(join(demo.folder, "tmp"))).toEqual([]);
  for (const { address, port } of endpoints(demo.output()))
    expect({ address, port, open: await canConnect(address, port) }).toMatchObject({ open: false });
  expect(demo.output()).toContain("Everything that was started is gone again.");
  expect(demo.output()).not.toContain("Not tidied up");
}

async function expectGoodRun(demo: Demo): Promise<void> {
  const code = await demo.ended;
  const output = demo.output();
  expect(output).toContain(`${jobs} of ${jobs} jobs done`);
  expect(output).toMatch(/24 files \(\d+\.\d MB\) copied; each has the SHA-256 of the file on its machine/);
  expect(output).toMatch(/^Size +Level +Program +Jobs +Ratio/m);
  // Piped: plain lines, one for each job that ended, and no escapes.
  expect(output.match(/^ +\d of 8 {2}job \d+ done /gm)).toHaveLength(jobs);
  expect(output).not.toContain("\x1b");
  expect(code).toBe(0);
  const [run = ""] = readdirSync(join(demo.folder, "demo-results"));
  const results = join(demo.folder, "demo-results", run);
  expect(output).toContain(join("demo-results", run));
  expect(readdirSync(results).sort()).toEqual(["jobs.csv", "logs", "measurements.csv", "results"]);
  for (const name of ["jobs.csv", "measurements.csv"]) {
    expect(readFileSync(join(results, name), "utf8").trimEnd().split("\n")).toHaveLength(jobs + 1);
  }
  expect(endpoints(output)).toHaveLength(4);
  await expectNothingLeft(demo);
}

test.if(sshdAvailable())(
  "the demo on OpenSSH's sshd (SKIPPED without it): all done and equal, and nothing is left",
  async () => {
    const demo = startDemo("sshd", []);
    await expectGoodRun(demo);
    expect(demo.output()).toContain("OpenSSH's sshd, with keys and settings of its own");
  },
  demoTimeoutMs,
);

test(
  "the demo without sshd says so, and is as good",
  async () => {
    const demo = startDemo("embedded", ["--embedded"]);
    await expectGoodRun(demo);
    expect(demo.output()).toContain("An embedded SSH server takes the place of OpenSSH's sshd");
  },
  demoTimeoutMs,
);

describe("broken off", () => {
  const cases = [
    { signal: "SIGINT", code: 130, words: [], when: /job \d+ done/ },
    { signal: "SIGTERM", code: 143, words: ["--embedded"], when: /\d of 8/ },
    { signal: "SIGINT", code: 130, words: [], when: /Three machines/ },
  ] as const;
  test.each(cases)(
    "by $signal at $when it ends what it started and says which signal it was",
    async ({ signal, code, words, when }) => {
      const demo = startDemo(`broken-${cases.findIndex((one) => one.when === when)}`, words);
      await waitFor(() => when.test(demo.output()) || demo.child.exitCode !== null, { what: demo.output, timeoutMs: 60_000 });
      demo.child.kill(signal);
      expect({ code: await demo.ended, output: demo.output() }).toMatchObject({ code });
      expect(demo.output()).toContain(`${signal}: ending what was started`);
      await expectNothingLeft(demo);
    },
    demoTimeoutMs,
  );
});

test(
  "a reader that goes away ends nothing half-way: the run is finished and tidied up",
  async () => {
    const own = join(folder, "deaf");
    mkdirSync(join(own, "tmp"), { recursive: true });
    const command = "node scripts/bootstrap.mjs scripts/demo.ts --quick --embedded 2>&1 | head -n 1";
    const child = Bun.spawn(["bash", "-c", `${command}; exit \${PIPESTATUS[0]}`], {
      cwd: root,
      env: { ...process.env, TMPDIR: join(own, "tmp"), INIT_CWD: own },
      stdio: ["ignore", "ignore", "ignore"],
    });
    expect(await child.exited).toBe(0);
    expect(readdirSync(join(own, "tmp"))).toEqual([]);
    expect(processesAtHomeIn(own)).toEqual([]);
  },
  demoTimeoutMs,
);

test(
  "a failed job is shown with what it said, and is exit code 1",
  async () => {
    const programs = join(folder, "programs");
    mkdirSync(programs);
    writeFileSync(join(programs, "bzip2"), "#!/bin/sh\necho no such luck >&2\nexit 3\n", { mode: 0o755 });
    const demo = startDemo("failed", ["--embedded"], { PATH: `${programs}:${process.env["PATH"] ?? ""}` });
    expect({ code: await demo.ended, output: demo.output() }).toMatchObject({ code: 1 });
    expect(demo.output()).toContain("4 of 8 jobs done");
    expect(demo.output()).toContain("no such luck");
    await expectNothingLeft(demo);
  },
  demoTimeoutMs,
);

test("a wrong word is exit code 2, and nothing is begun", async () => {
  const wrong = startDemo("wrong", ["--fast"]);
  expect(await wrong.ended).toBe(2);
  expect(wrong.output()).toContain("--fast");
  expect(existsSync(join(wrong.folder, "demo-results"))).toBe(false);
});
