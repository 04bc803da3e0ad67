/** What the ssh runner owes to machines as they are: their shells, logins, homes and disks; and what it sends there. Needs sshd. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import type { RunRequest } from "../../../src/daemon/runner/runner.ts";
import { exitCodeOf, RunnerTestBed, started } from "../../contract/runner-test-bed.ts";
import { waitFor } from "../../support/wait-for.ts";
import { mountSmall } from "./small-file-system.ts";
import { machineId, OwnSshRunner, openSshRunner, type SshHarnessOptions, type SshRunnerUnderTest } from "./ssh-runner-harness.ts";

// Real servers on a machine that is busy with other tests.
setDefaultTimeout(120_000);

async function withMachine(
  options: SshHarnessOptions,
  check: (bed: RunnerTestBed, under: SshRunnerUnderTest) => Promise<void>,
): Promise<void> {
  const under = await openSshRunner(options);
  const bed = new RunnerTestBed(under);
  try {
    await check(bed, under);
  } finally {
    await bed.close();
  }
}

async function ended(bed: RunnerTestBed, request: RunRequest): Promise<number> {
  return exitCodeOf(await started(await bed.runner.start(request)).end);
}

const isRoot = process.getuid?.() === 0;
const otherShells = ["bash", "busybox"].flatMap((name) => Bun.which(name) ?? []);
if (!isRoot) console.warn("SKIPPED: the ssh runner on machines whose /bin/sh is another shell (needs root, for a mount of its own)");

describe("a machine whose /bin/sh is", () => {
  test.skipIf(!isRoot).each(otherShells)("%s runs, shows, stops and takes up like any other", async (shell) => {
    const login = `#!/bin/sh\necho "Welcome"\necho noise >&2\nexec unshare -m /bin/sh -c 'mount --bind ${shell} "$(readlink -f /bin/sh)" && exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"'\n`;
    await withMachine({ login, runRoot: "a run root 'of' \"two\" words é" }, async (bed) => {
      const bytes = Buffer.from(Array.from({ length: 2_500 }, (_, index) => (index * 7) % 256));
      const source = join(bed.folder, "bytes");
      writeFileSync(source, bytes);
      const binary = bed.request(`cat '${source}'; printf 'no newline' >&2; exit 37`);
      expect(await ended(bed, binary)).toBe(37);
      expect(readFileSync(binary.log.stdout).equals(bytes)).toBe(true);
      expect(bed.stderr(binary)).toBe("no newline");
      // A shell may ignore QUIT itself, and then its children do not.
      const signals = await bed.run("sh -c 'kill -INT $$'; echo $?; (grep SigIgn /proc/self/status)");
      expect(signals.stdout).toContain("130\n");
      expect(signals.stdout).toContain("SigIgn:\t0000000000000000\n");
      const seen = bed.endless("echo seen");
      const outcome = started(await bed.runner.start(seen.request));
      await waitFor(() => bed.stdout(seen.request) === "seen\n");
      const attached = await (await bed.under.reopen()).attach(seen.request, seen.request.log);
      expect(attached.kind).toBe("running");
      expect(await bed.runner.stop(seen.request, "TERM")).toMatchObject({ kind: "signaled" });
      expect(exitCodeOf(await outcome.end)).toBe(143);
      const never = bed.request("echo never");
      expect(await bed.runner.attach(never, never.log)).toEqual({ kind: "not-started" });
    });
  });
});

describe("a login", () => {
  test("that puts home elsewhere has its runs and jobs there, and keeps the variables it exports", async () => {
    const home = realpathSync(mkdtempSync(join(tmpdir(), "expjob home ")));
    const names = ["count", "line", "lines", "value", "tag", "out", "err", "pid", "first", "directory"];
    const exports = names.map((name) => `export ${name}=login-${name}`).join("\n");
    const login = `#!/bin/sh\nHOME='${home}'; export HOME; cd\n${exports}\nexec /bin/sh -c "$SSH_ORIGINAL_COMMAND"\n`;
    try {
      await withMachine({ login, home, runRoot: null }, async (bed) => {
        const request = bed.request(`pwd; ${names.map((name) => `echo "$${name}"`).join("; ")}`);
        expect(await ended(bed, request)).toBe(0);
        expect(bed.stdout(request).trim().split("\n")).toEqual([home, ...names.map((name) => `login-${name}`)]);
        expect(readdirSync(bed.under.runDirectory(request)).sort()).toEqual(["err", "out", "run"]);
      });
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  });
});

describe("what is sent to a machine", () => {
  let bed: RunnerTestBed;
  beforeAll(async () => {
    bed = new RunnerTestBed(await openSshRunner());
  });
  afterAll(() => bed.close());

  test("arrives as it is, whatever the value of a variable", async () => {
    const values = [
      "",
      "\n",
      "a\n",
      "\n\n b",
      "'\"`$(id)\\",
      "\\n\\0101",
      "-n",
      "é你好😀",
      "\ud800",
      "\u0001\u001b[31m\x7f",
      `${"x\n".repeat(999)}y`,
      " \t ",
    ];
    const environment = Object.fromEntries(values.map((value, index) => [`EXPJOB_VAR_V${index}`, value]));
    const { stdout } = await bed.run("env -0", { environment });
    for (const [name, value] of Object.entries(environment)) expect(stdout.split("\0")).toContain(`${name}=${value.toWellFormed()}`);
  });

  test("is a command of 64 KiB, of one line or of thousands", async () => {
    const long = `echo '${"é".repeat(32_700)}' | wc -c`;
    expect((await bed.run(long)).stdout.trim()).toBe("65401");
    const lines = `cat <<'END' | wc -l\n${"x\n".repeat(32_000)}END\n`;
    expect((await bed.run(lines)).stdout.trim()).toBe("32000");
  });

  test("is refused when no program could be given it", async () => {
    const longer = bed.request("true", { environment: { EXPJOB_VAR_X: "x".repeat(140_000) } });
    expect(await bed.runner.start(longer)).toMatchObject({ kind: "not-started", problem: { code: "command-too-long" } });
    const environment = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`EXPJOB_VAR_V${index}`, "x".repeat(100_000)]));
    const outcome = await bed.runner.start(bed.request("true", { environment }));
    expect(outcome).toMatchObject({ kind: "not-started", problem: { code: "start-failed" } });
    expect((await bed.run("echo after")).stdout).toBe("after\n");
    expect((await bed.runner.start(bed.request("x\0y"))).kind).toBe("not-started");
  });

  test("as a secret stands in no argument list and in no file", async () => {
    const canary = `canary-${crypto.randomUUID()}`;
    const run = bed.endless(`: ${canary}; sleep 0`);
    const request = { ...run.request, environment: { EXPJOB_VAR_SECRET: canary } };
    const seen = new Set<string>();
    const looking = lookAtArguments(canary, seen);
    const outcome = started(await bed.runner.start(request));
    run.finish(0);
    await outcome.end;
    looking.stop();
    expect([...seen]).toEqual([]);
    expect(looking.looks()).toBeGreaterThan(0);
    const directory = bed.under.runDirectory(request);
    for (const name of readdirSync(directory)) expect(readFileSync(join(directory, name), "utf8")).not.toContain(canary);
  });
});

describe("a log", () => {
  let bed: RunnerTestBed;
  beforeAll(async () => {
    bed = new RunnerTestBed(await openSshRunner());
  });
  afterAll(() => bed.close());

  // How quickly it is on a quiet host is a figure of the benches.
  test("shows what a job writes within a second, while it runs", async () => {
    let fastestMs = Number.POSITIVE_INFINITY;
    // More than once, for hosts that are busy with something else.
    for (let attempt = 0; attempt < 10 && fastestMs >= 1_000; attempt += 1) {
      const run = bed.endless("date +%s%3N");
      const outcome = started(await bed.runner.start(run.request));
      await waitFor(() => bed.stdout(run.request) !== "", { everyMs: 2 });
      fastestMs = Math.min(fastestMs, Date.now() - Number(bed.stdout(run.request)));
      run.finish(0);
      await outcome.end;
    }
    expect(fastestMs).toBeLessThan(1_000);
  });

  test("of a job that writes until its end is whole, whatever the follower had", async () => {
    const copy = join(bed.folder, "until-end");
    const request = bed.request(
      `i=0; while [ $i -lt 40 ]; do head -c 300000 /dev/urandom; echo "$i" >&2; sleep 0.01; i=$((i+1)); done | tee '${copy}'`,
    );
    expect(await ended(bed, request)).toBe(0);
    expect(readFileSync(request.log.stdout).equals(readFileSync(copy))).toBe(true);
    expect(bed.stderr(request).trim().split("\n")).toHaveLength(40);
  });

  test("of more runs at once than are followed is whole for each", async () => {
    const runs = Array.from({ length: 12 }, () => bed.endless("seq 5000"));
    const outcomes = await Promise.all(runs.map(async ({ request }) => started(await bed.runner.start(request))));
    for (const run of runs.toReversed()) run.finish(0);
    await Promise.all(outcomes.map((outcome) => outcome.end));
    const whole = `${Array.from({ length: 5000 }, (_, index) => index + 1).join("\n")}\n`;
    for (const { request } of runs) expect(bed.stdout(request) === whole).toBe(true);
  });

  test("that is gone on the machine is said to be", async () => {
    const run = bed.endless("echo gone");
    const outcome = started(await bed.runner.start(run.request));
    rmSync(join(bed.under.runDirectory(run.request), "out"));
    run.finish(4);
    expect(await outcome.end).toMatchObject({ kind: "exited", exitCode: 4, logProblem: { code: "transfer-cut" } });
  });

  test("that cannot be made here keeps the run from starting", async () => {
    const request = bed.request("true", { log: { stdout: "/dev/null/out", stderr: "/dev/null/err" } });
    expect(await bed.runner.start(request)).toMatchObject({ kind: "not-started", problem: { code: "log-unwritable" } });
  });
});

describe("the run root of a class", () => {
  test("that begins with ~/ is below the login home of the machine", async () => {
    await withMachine({}, async (bed, under) => {
      const place = join(relative(under.sshd.home, bed.folder), "below home");
      using runner = new OwnSshRunner({ configFile: under.side.configFile, runRoot: `~/${place}` });
      const { end } = started(await runner.start(bed.request("true")));
      expect(await end).toMatchObject({ kind: "exited", exitCode: 0 });
      expect(readdirSync(join(bed.folder, "below home"))).toEqual([machineId()]);
    });
  });
});

describe("a machine's disk", () => {
  test("where no run directory can be made is named by start, attach and probe", async () => {
    await withMachine({}, async (bed, under) => {
      const file = join(bed.folder, "file");
      writeFileSync(file, "");
      using runner = new OwnSshRunner({ configFile: under.side.configFile, runRoot: join(file, "below") });
      const request = bed.request("echo never");
      const problem = { code: "run-directory-failed", data: { message: expect.stringContaining("Not a directory") } };
      expect(await runner.start(request)).toMatchObject({ kind: "not-started", problem });
      expect(await runner.attach(request, request.log)).toMatchObject({ kind: "unreachable", problem });
      expect(await runner.probe(bed.under.machine)).toMatchObject(problem);
    });
  });

  const small = mountSmall("size=64k");
  if (small === null) console.warn("SKIPPED: the ssh runner on a machine whose disk is full (needs root, for a small file system)");
  afterAll(() => small?.close());

  test.skipIf(small === null)("that is full is named by start and probe, and is used again when it is not", async () => {
    const folder = small?.folder ?? "";
    await withMachine({}, async (bed, under) => {
      using runner = new OwnSshRunner({ configFile: under.side.configFile, runRoot: join(folder, "runs") });
      expect(await runner.probe(bed.under.machine)).toBeNull();
      Bun.spawnSync(["sh", "-c", `cat /dev/zero >'${folder}/filler' 2>/dev/null`]);
      const request = bed.request("echo never");
      expect(await runner.start(request)).toMatchObject({ kind: "not-started", problem: { code: "no-space" } });
      expect(await runner.probe(bed.under.machine)).toMatchObject({ code: "no-space" });
      rmSync(join(folder, "filler"));
      expect(await runner.probe(bed.under.machine)).toBeNull();
      expect((await runner.attach(request, request.log)).kind).toBe("not-started");
      const again = bed.request("echo again");
      expect(exitCodeOf(await started(await runner.start(again)).end)).toBe(0);
    });
  });

  test("that lost the directory of a run which goes on does not let it start again", async () => {
    await withMachine({}, async (bed) => {
      const { request } = bed.endless("echo on");
      started(await bed.runner.start(request));
      const directory = bed.under.runDirectory(request);
      const lost = `${directory}.lost`;
      mkdirSync(lost);
      Bun.spawnSync(["sh", "-c", `mv '${directory}'/* '${lost}'; rmdir '${directory}'`]);
      const runner = await bed.under.reopen();
      expect(await runner.attach(request, request.log)).toMatchObject({
        kind: "lost",
        problem: { code: "run-directory-gone" },
        sessionEmpty: false,
      });
      Bun.spawnSync(["mv", lost, directory]);
    });
  });
});

/** Looks at all argument lists of this host, as often as this process has a moment. */
function lookAtArguments(canary: string, seen: Set<string>): { stop: () => void; looks: () => number } {
  let looks = 0;
  const timer = setInterval(() => {
    looks += 1;
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name) && name !== String(process.pid))) {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, "latin1");
        if (words.includes(canary)) seen.add(words);
      } catch {
        // It has ended meanwhile.
      }
    }
  }, 1);
  return { stop: () => clearInterval(timer), looks: () => looks };
}
