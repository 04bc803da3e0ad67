import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readAllProcesses, readProcessFile, readProcessStat } from "../../../src/daemon/runner/process-identity.ts";
import { withdrawRun } from "../../../src/daemon/runner/run-directory.ts";
import type { Program } from "../../../src/daemon/runner/runner.ts";
import { SupervisorExit, supervisorArguments, supervisorEnvironment } from "../../../src/daemon/runner/supervisor.ts";
import { exitCodeIn, runFileOf, runLines, supervisorPidIn } from "../../support/run-file.ts";
import { waitFor } from "../../support/wait-for.ts";
import { mountSmall } from "./small-file-system.ts";

/** `sh` is found under this name in a folder of its own: shells look at their own name. */
const SHELLS = { dash: "sh", bash: "sh", busybox: "ash" } as const;

for (const [shell, calledAs] of Object.entries(SHELLS)) {
  const program = Bun.which(shell);
  const skipped = program === null ? ` (SKIPPED: ${shell} is not installed here)` : "";
  describe.skipIf(program === null)(`the supervisor under ${shell}${skipped}`, () => {
    let folder: string;
    let sh: string;
    let count = 0;
    const children: Bun.Subprocess[] = [];
    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), "expjob-supervisor-"));
      sh = join(folder, calledAs);
      symlinkSync(program ?? "", sh);
    });
    afterAll(async () => {
      for (const child of children.filter((one) => one.exitCode === null && one.signalCode === null)) process.kill(-child.pid, "SIGKILL");
      await Promise.all(children.map((child) => child.exited));
      rmSync(folder, { recursive: true, force: true });
    });

    interface Given {
      readonly runDirectory?: string;
      readonly workDirectory?: string;
      readonly stdout?: string;
      readonly stdoutOfSupervisor?: "pipe" | "ignore";
    }

    function supervise(job: Program | string, given: Given = {}) {
      count += 1;
      const runDirectory = given.runDirectory ?? join(folder, `run ${count} 'é`);
      if (given.runDirectory === undefined) mkdirSync(runDirectory, { mode: 0o700 });
      const start = {
        runDirectory,
        workDirectory: given.workDirectory ?? folder,
        stdout: given.stdout ?? join(folder, `${count}.out`),
        stderr: join(folder, `${count}.err`),
        program: typeof job === "string" ? ({ kind: "shell", text: job } as const) : job,
      };
      const child = Bun.spawn([sh, ...supervisorArguments(start)], {
        detached: true,
        env: { PATH: process.env.PATH, ...supervisorEnvironment(start.program, { umask: 0o027, openFilesSoft: 99 }) },
        stdin: "ignore",
        stdout: "pipe",
        stderr: "ignore",
      });
      children.push(child);
      return { ...start, child, lines: () => runLines(runDirectory), said: () => new Response(child.stdout).text() };
    }

    test("claims, says who it is, runs the job and leaves its exit code", async () => {
      const run = supervise("echo out; echo err >&2; exit 3");
      expect(await run.child.exited).toBe(SupervisorExit.ended);
      const said = await run.said();
      expect(said).toMatch(/^started \d+ \d+ [0-9a-f-]{36}\n$/);
      expect(said.split(" ")[1]).toBe(String(run.child.pid));
      expect(run.lines()).toEqual([said.trim().replace(/^started/, "begin"), "exit 3"]);
      expect(readdirSync(run.runDirectory)).toEqual(["run"]);
      expect([readFileSync(run.stdout, "utf8"), readFileSync(run.stderr, "utf8")]).toEqual(["out\n", "err\n"]);
      expect(statSync(runFileOf(run.runDirectory)).mode & 0o777).toBe(0o600);
      expect(statSync(run.stdout).mode & 0o777).toBe(0o640);
    });

    test("closes its own output before the job runs", async () => {
      const run = supervise("echo ready; sleep 600");
      expect(await run.said()).toStartWith("started ");
      await waitFor(() => readFileSync(run.stdout, "utf8") === "ready\n");
      expect(exitCodeIn(run.runDirectory)).toBeNull();
      process.kill(-run.child.pid, "SIGTERM");
      await run.child.exited;
      expect(exitCodeIn(run.runDirectory)).toBe(143);
    });

    test.each([
      ["kill -9 $$", 137],
      ["kill -INT $$; sleep 1", 130],
      ["kill -TERM $$; sleep 1", 143],
      ["exit 255", 255],
      ["no-such-program-at-all", 127],
      ["if", 2],
    ])("%s ends with %d", async (text, exitCode) => {
      const run = supervise(text);
      await run.child.exited;
      expect(exitCodeIn(run.runDirectory)).toBe(exitCode);
    });

    test("gives the job a fresh shell without a trace of its own", async () => {
      const run = supervise(
        'umask; ulimit -Sn; echo "$#|$0|$-|${OLDPWD-unset}|$(pwd)"; env | grep -c EXPJOB; trap; set | grep -ci "^expjob_super"; alias',
      );
      await run.child.exited;
      const { workDirectory } = run;
      const printed = readFileSync(run.stdout, "utf8").trim().split("\n");
      expect(printed.slice(0, 2)).toEqual(["0027", "99"]);
      expect(printed[2]).toMatch(/^0\|sh\|[a-zA-Z]*\|unset\|/);
      expect(printed[2]).toEndWith(workDirectory);
      expect(printed.slice(3)).toEqual(["0", "0"]);
      expect(readFileSync(run.stderr, "utf8")).toBe("");
    });

    test("hands words over as they are", async () => {
      const words = ["/bin/sh", "-c", 'printf "%s\\n" "$@"', "name", "", "two words", "$HOME", "`id`", "a'b\"c\\", "-x", "é\nline", "*"];
      const run = supervise({ kind: "words", words });
      await run.child.exited;
      expect(readFileSync(run.stdout, "utf8")).toBe(`${words.slice(4).join("\n")}\n`);
    });

    test("does not run what somebody else has claimed, and touches nothing", async () => {
      const first = supervise("echo first");
      await first.child.exited;
      const before = first.lines();
      const second = supervise("echo second", { runDirectory: first.runDirectory });
      expect([await second.child.exited, await second.said()]).toEqual([SupervisorExit.alreadyClaimed, "claimed\n"]);
      expect([first.lines(), existsSync(second.stdout)]).toEqual([before, false]);
    });

    test("of many that are given the same run, one does it", async () => {
      const runDirectory = join(folder, "contested");
      mkdirSync(runDirectory);
      const ledger = join(folder, "contested.ledger");
      const runs = Array.from({ length: 12 }, () => supervise(`echo ran >>'${ledger}'`, { runDirectory }));
      const exits = await Promise.all(runs.map((run) => run.child.exited));
      expect(exits.toSorted((a, b) => a - b)).toEqual([SupervisorExit.ended, ...Array(11).fill(SupervisorExit.alreadyClaimed)]);
      expect(readFileSync(ledger, "utf8")).toBe("ran\n");
      expect(supervisorPidIn(runDirectory)).toBe(runs[exits.indexOf(SupervisorExit.ended)]?.child.pid ?? 0);
    });

    test("does not run what the recovery has withdrawn, and runs what was said of another run", async () => {
      const runDirectory = join(folder, "1.0.withdrawn");
      mkdirSync(runDirectory);
      writeFileSync(runFileOf(runDirectory), "\nbegin 1 2 cut sho\nwithdrawn 1.0.withdrawn end\n");
      const run = supervise("echo ran", { runDirectory });
      expect([await run.child.exited, await run.said(), existsSync(run.stdout)]).toEqual([
        SupervisorExit.alreadyClaimed,
        "claimed\n",
        false,
      ]);
      writeFileSync(runFileOf(runDirectory), "\nwithdrawn 1.0.before end\n\nexit 0 1.0.before end\n");
      const other = supervise("echo ran", { runDirectory });
      expect([await other.child.exited, readFileSync(other.stdout, "utf8")]).toEqual([SupervisorExit.ended, "ran\n"]);
      expect(exitCodeIn(runDirectory)).toBe(0);
    });

    test("does not run what the recovery withdraws while it opens the logs", async () => {
      const runDirectory = join(folder, "1.0.late");
      const stdout = join(folder, "late.fifo");
      mkdirSync(runDirectory);
      Bun.spawnSync(["mkfifo", stdout]);
      const run = supervise(`touch '${join(folder, "late.ran")}'`, { runDirectory, stdout });
      // It waits for a reader of its log, past its first look at the run.
      await waitFor(() => isOpening(run.child.pid, stdout));
      expect(withdrawRun(runDirectory)).toBe(true);
      const reader = openSync(stdout, constants.O_RDONLY | constants.O_NONBLOCK);
      expect([await run.child.exited, await run.said()]).toEqual([SupervisorExit.alreadyClaimed, "claimed\n"]);
      closeSync(reader);
      expect([existsSync(join(folder, "late.ran")), run.lines()[0]]).toEqual([false, "withdrawn"]);
    });

    test.each([
      ["workdir", { workDirectory: join(tmpdir(), "expjob-there-is-no-such-folder") }],
      ["log", { stdout: join(tmpdir(), "expjob-there-is-no-such-folder", "log") }],
    ])("refuses when the %s is missing, and the job is never begun", async (what, given) => {
      const run = supervise(`touch '${join(folder, "ran")}'`, given);
      expect([await run.child.exited, await run.said()]).toEqual([SupervisorExit.refused, `refused ${what}\n`]);
      expect([run.lines(), existsSync(join(folder, "ran"))]).toEqual([[`refused ${what}`], false]);
    });

    test.each([
      ["a FIFO", (path: string) => void Bun.spawnSync(["mkfifo", path])],
      ["a link to an endless file", (path: string) => symlinkSync("/dev/zero", path)],
      ["a folder", (path: string) => mkdirSync(path)],
    ])("refuses a run directory with %s in the place of its file, at once", async (what, make) => {
      const runDirectory = join(folder, `1.0.${what.replaceAll(" ", "")}`);
      mkdirSync(runDirectory);
      make(runFileOf(runDirectory));
      const run = supervise("echo ran", { runDirectory });
      expect([await run.child.exited, await run.said(), existsSync(run.stdout)]).toEqual([
        SupervisorExit.refused,
        "refused directory\n",
        false,
      ]);
    });

    test("refuses a run directory that is not there, without a claim", async () => {
      const run = supervise(":", { runDirectory: join(folder, "nowhere") });
      expect([await run.child.exited, await run.said()]).toEqual([SupervisorExit.refused, "refused directory\n"]);
    });

    test("ignores what is meant for the job, and goes on when nobody listens", async () => {
      const run = supervise("echo $$; kill -TERM $PPID; kill -INT $PPID; kill -HUP $PPID; kill -USR1 $PPID; sleep 0.05; exit 4");
      await run.child.stdout.cancel();
      expect(await run.child.exited).toBe(SupervisorExit.ended);
      expect(exitCodeIn(run.runDirectory)).toBe(4);
    });

    const small = mountSmall();
    test.skipIf(small === null)(
      "waits for space on a full disk and then leaves the exit code (SKIPPED without root: needs a small tmpfs)",
      async () => {
        if (small === null) return;
        const runDirectory = join(small.folder, "run");
        mkdirSync(runDirectory);
        const ballast = join(small.folder, "ballast");
        // Up to the end of its block the file would have room on a full disk too.
        const fill = `yes '' | head -c $((4096 - $(wc -c <'${runFileOf(runDirectory)}'))) >>'${runFileOf(runDirectory)}'`;
        const run = supervise(`${fill}; head -c 1000000 /dev/zero >'${ballast}'; exit 6`, { runDirectory });
        await waitFor(() => isFull(small.folder) && sleeps(run.child.pid));
        expect(exitCodeIn(runDirectory)).toBeNull();
        unlinkSync(ballast);
        expect(await run.child.exited).toBe(SupervisorExit.ended);
        expect(exitCodeIn(runDirectory)).toBe(6);
      },
      15_000,
    );
    afterAll(() => small?.close());
  });
}

function isFull(folder: string): boolean {
  return statfsSync(folder).bavail === 0;
}

/** Does the process wait in the kernel for the other end of a FIFO? Some kernels tell nobody where a process waits. */
function isOpening(pid: number, path: string): boolean {
  const where = readFileSync(`/proc/${pid}/wchan`, "latin1");
  return existsSync(path) && /wait_for_partner|fifo_open|^0$/.test(where) && readProcessStat(pid)?.state === "S";
}

/** Is there a `sleep` in the session? */
function sleeps(session: number): boolean {
  return readAllProcesses().some((one) => one.session === session && readProcessFile(one.pid, "cmdline")?.startsWith("sleep\0") === true);
}
