import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Program } from "../../../src/daemon/runner/runner.ts";
import { SupervisorExit, supervisorArguments, supervisorEnvironment } from "../../../src/daemon/runner/supervisor.ts";
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
      const file = (name: string) => (existsSync(join(runDirectory, name)) ? readFileSync(join(runDirectory, name), "utf8") : null);
      return { ...start, child, file, said: () => new Response(child.stdout).text() };
    }

    test("claims, says who it is, runs the job and leaves its exit code", async () => {
      const run = supervise("echo out; echo err >&2; exit 3");
      expect(await run.child.exited).toBe(SupervisorExit.ended);
      const said = await run.said();
      expect(said).toMatch(/^started \d+ \d+ [0-9a-f-]{36}\n$/);
      expect(run.file("pid")).toBe(said.replace(/^started (.*)\n$/, "$1 end\n"));
      expect(said.split(" ")[1]).toBe(String(run.child.pid));
      expect([run.file("claim"), run.file("status")]).toEqual(["", "3 end\n"]);
      expect([readFileSync(run.stdout, "utf8"), readFileSync(run.stderr, "utf8")]).toEqual(["out\n", "err\n"]);
      for (const name of ["claim", "pid", "status"]) expect(statSync(join(run.runDirectory, name)).mode & 0o777).toBe(0o600);
      expect(statSync(run.stdout).mode & 0o777).toBe(0o640);
    });

    test("closes its own output before the job runs", async () => {
      const run = supervise("echo ready; sleep 600");
      expect(await run.said()).toStartWith("started ");
      await waitFor(() => readFileSync(run.stdout, "utf8") === "ready\n");
      expect(run.file("status")).toBeNull();
      process.kill(-run.child.pid, "SIGTERM");
      await run.child.exited;
      expect(run.file("status")).toBe("143 end\n");
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
      expect(run.file("status")).toBe(`${exitCode} end\n`);
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
      const before = first.file("pid");
      const second = supervise("echo second", { runDirectory: first.runDirectory });
      expect([await second.child.exited, await second.said()]).toEqual([SupervisorExit.alreadyClaimed, "claimed\n"]);
      expect([first.file("pid"), first.file("status"), existsSync(second.stdout)]).toEqual([before, "0 end\n", false]);
    });

    test("does not run what the recovery withdrew after the claim", async () => {
      const runDirectory = join(folder, "withdrawn");
      mkdirSync(runDirectory);
      writeFileSync(join(runDirectory, "pid"), "withdrawn end\n");
      const run = supervise("echo ran", { runDirectory });
      expect([await run.child.exited, await run.said()]).toEqual([SupervisorExit.refused, "refused pid\n"]);
      expect([readFileSync(run.stdout, "utf8"), run.file("status"), run.file("pid")]).toEqual(["", null, "withdrawn end\n"]);
    });

    test.each([
      ["workdir", { workDirectory: join(tmpdir(), "expjob-there-is-no-such-folder") }],
      ["log", { stdout: join(tmpdir(), "expjob-there-is-no-such-folder", "log") }],
    ])("refuses when the %s is missing, and the job is never begun", async (what, given) => {
      const run = supervise(`touch '${join(folder, "ran")}'`, given);
      expect([await run.child.exited, await run.said()]).toEqual([SupervisorExit.refused, `refused ${what}\n`]);
      expect([run.file("pid"), run.file("status"), existsSync(join(folder, "ran"))]).toEqual([null, `refused ${what} end\n`, false]);
    });

    test("refuses a run directory that is not there, without a claim", async () => {
      const run = supervise(":", { runDirectory: join(folder, "nowhere") });
      expect([await run.child.exited, await run.said()]).toEqual([SupervisorExit.refused, "refused directory\n"]);
    });

    test("ignores what is meant for the job, and goes on when nobody listens", async () => {
      const run = supervise("echo $$; kill -TERM $PPID; kill -INT $PPID; kill -HUP $PPID; kill -USR1 $PPID; sleep 0.05; exit 4");
      await run.child.stdout.cancel();
      expect(await run.child.exited).toBe(SupervisorExit.ended);
      expect(run.file("status")).toBe("4 end\n");
    });

    const small = mountSmall();
    test.skipIf(small === null)(
      "waits for space on a full disk and then leaves the exit code (SKIPPED without root: needs a small tmpfs)",
      async () => {
        if (small === null) return;
        const runDirectory = join(small.folder, "run");
        mkdirSync(runDirectory);
        const ballast = join(small.folder, "ballast");
        const run = supervise(`head -c 1000000 /dev/zero >'${ballast}'; exit 6`, { runDirectory });
        await waitFor(() => run.file("status") === "");
        unlinkSync(ballast);
        expect(await run.child.exited).toBe(SupervisorExit.ended);
        expect(run.file("status")).toBe("6 end\n");
      },
      15_000,
    );
    afterAll(() => small?.close());
  });
}
