/** Supervisors that take one run after the other: nothing of one run reaches the next, and nothing half-said is done. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { isDead, readAllProcesses, readProcessStat } from "../../../src/daemon/runner/process-identity.ts";
import {
  SUPERVISOR_FUNCTIONS,
  type SupervisorRequest,
  standingArguments,
  supervisorRequest,
} from "../../../src/daemon/runner/supervisor.ts";
import { RunnerTestBed, started } from "../../contract/runner-test-bed.ts";
import { exitCodeIn, runFileOf, runLines, supervisorPidIn } from "../../support/run-file.ts";
import { waitFor } from "../../support/wait-for.ts";
import { openHostRunner } from "./host-runner-harness.ts";

/** `sh` is found under this name in a folder of its own: shells look at their own name. */
const SHELLS = { dash: "sh", bash: "sh", busybox: "ash" } as const;
const ODD = "two words; $HOME `id` 'a' \"b\" \\ é ā ́ \u{1F600}\nline\t*\r$(echo) !x ~ #";

for (const [shell, calledAs] of Object.entries(SHELLS)) {
  const program = Bun.which(shell);
  const skipped = program === null ? ` (SKIPPED: ${shell} is not installed here)` : "";
  describe.skipIf(program === null)(`a standing supervisor under ${shell}${skipped}`, () => {
    let folder: string;
    let sh: string;
    let count = 0;
    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), "expjob-standing-"));
      sh = join(folder, calledAs);
      symlinkSync(program ?? "", sh);
    });
    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    function request(job: SupervisorRequest["program"] | string, more: Partial<SupervisorRequest> = {}): SupervisorRequest {
      count += 1;
      const runDirectory = join(folder, `run ${count} 'é`);
      mkdirSync(runDirectory, { mode: 0o700 });
      return {
        tag: `t${count}`,
        runDirectory,
        workDirectory: folder,
        stdout: join(folder, `${count}.out`),
        stderr: join(folder, `${count}.err`),
        program: typeof job === "string" ? { kind: "shell", text: job } : job,
        environment: {},
        caller: { umask: 0o027, openFilesSoft: 99 },
        ...more,
      };
    }

    /** Gives one shell all texts and the end of its input. @returns the lines it said, and its pid */
    async function said(...texts: readonly string[]): Promise<{ lines: string[]; pid: number }> {
      const child = Bun.spawn([sh, ...standingArguments(folder)], {
        detached: true,
        cwd: "/",
        env: { PATH: process.env.PATH },
        stdin: "pipe",
        stdout: "pipe",
        stderr: "ignore",
      });
      child.stdin.write(SUPERVISOR_FUNCTIONS + texts.join(""));
      await child.stdin.end();
      const text = await new Response(child.stdout).text();
      await child.exited;
      return { lines: text.split("\n").filter((line) => line !== ""), pid: child.pid };
    }

    const output = ({ stdout }: SupervisorRequest): string => readFileSync(stdout, "utf8");

    test("takes one run after the other, each with its own files, exit code and log", async () => {
      const runs = [request("echo one; echo err >&2; exit 3"), request("true"), request("kill -9 $$"), request("sh -c exit\\ 255")];
      const { lines, pid } = await said(...runs.map(supervisorRequest));
      const ends = ["3 1", "0 0", "137 0", "255 0"];
      for (const [index, run] of runs.entries()) {
        const [start, end] = lines.slice(index * 2);
        expect(start).toMatch(new RegExp(`^${run.tag} started ${pid} \\d+ [0-9a-f-]{36}$`));
        expect(end).toBe(`${run.tag} ended ${ends[index]}`);
        expect(runLines(run.runDirectory)).toEqual([
          `begin ${start?.slice(`${run.tag} started `.length)}`,
          `exit ${ends[index]?.split(" ")[0]}`,
        ]);
        expect(statSync(runFileOf(run.runDirectory)).mode & 0o777).toBe(0o600);
        expect(statSync(run.stdout).mode & 0o777).toBe(0o640);
      }
      expect([output(runs[0] ?? request("")), readFileSync(runs[0]?.stderr ?? "", "utf8")]).toEqual(["one\n", "err\n"]);
    });

    test("gives each job a fresh shell: nothing of ours, and nothing of the job before", async () => {
      const look =
        'umask; ulimit -Sn; echo "$#|$0|${OLDPWD-unset}|$(pwd)|${A-unset}|${EXPJOB_VAR_SECRET-unset}"; env | grep -c EXPJOB; trap; set | grep -ci "^expjob_super"; alias; wc -c';
      const before = request("A=1; export A; alias x=y; trap : TERM; cd /; umask 0; ulimit -Sn 50; set -C; f() { :; }; exec 7</dev/null", {
        environment: { EXPJOB_VAR_SECRET: "value" },
      });
      const run = request(look, { environment: { EXPJOB_JID: "1" } });
      await said(supervisorRequest(before), supervisorRequest(run));
      expect(output(run).trim().split("\n")).toEqual(["0027", "99", `0|sh|unset|${folder}|unset|unset`, "1", "0", "0"]);
      expect(readFileSync(run.stderr, "utf8")).toBe("");
    });

    test("hands over values and words as they are, whatever is in them", async () => {
      const values = { EXPJOB_VAR_ODD: ODD, EXPJOB_VAR_EMPTY: "", EXPJOB_VAR_LONG: "'".repeat(10_000) };
      const environment = request(`printf '%s|%s|%s' "$EXPJOB_VAR_ODD" "$EXPJOB_VAR_EMPTY" "\${#EXPJOB_VAR_LONG}"; : ${"é".repeat(500)}`, {
        environment: values,
      });
      const words = request({ kind: "words", words: ["/bin/sh", "-c", 'printf "%s|" "$@"', "name", "", ODD, "-x", "a\nb"] });
      const every = Array.from({ length: 0x2ff }, (_, index) => String.fromCodePoint(index + 1)).join("");
      const bytes = request({ kind: "words", words: ["/bin/sh", "-c", 'printf %s "$1"', "name", every] });
      await said(...[environment, words, bytes].map(supervisorRequest));
      expect(output(environment)).toBe(`${ODD}||10000`);
      expect(output(words)).toBe(["", ODD, "-x", "a\nb", ""].join("|"));
      expect(output(bytes)).toBe(every);
    });

    test("does nothing of half a request", async () => {
      const run = request("touch ran; true", { environment: { EXPJOB_VAR_X: ODD } });
      const text = supervisorRequest(run);
      for (let length = 1; length < text.trimEnd().length; length += 17) {
        expect((await said(text.slice(0, length))).lines).toEqual([]);
        expect([existsSync(runFileOf(run.runDirectory)), existsSync(join(folder, "ran"))]).toEqual([false, false]);
      }
      expect((await said(text)).lines).toHaveLength(2);
      expect(existsSync(join(folder, "ran"))).toBe(true);
    }, 120_000);

    test("refuses what it cannot begin, and takes the next", async () => {
      const nowhere = join(folder, "there-is-no-such-folder");
      const claimed = request("echo ran");
      const runs = [
        request("echo ran", { workDirectory: nowhere }),
        request("echo ran", { stdout: join(nowhere, "log") }),
        request("echo ran", { runDirectory: nowhere }),
        claimed,
        { ...claimed, stdout: join(folder, "second") },
        request("echo ran"),
      ];
      const { lines } = await said(...runs.map(supervisorRequest));
      expect(lines.map((line) => line.replace(/^t\d+ /, "").replace(/^started .*/, "started"))).toEqual([
        "refused workdir",
        "refused log",
        "refused directory",
        "started",
        "ended 0 1",
        "claimed",
        "started",
        "ended 0 1",
      ]);
      expect(existsSync(join(folder, "second"))).toBe(false);
    });

    const PLAIN = ["echo a b", "printf x%sy 1", "test 1 -gt 2", "false", "env", "/bin/sh -c true", "cat /proc/self/cmdline"];
    const MISSING = ["no-such-program-at-all -x", "./not-there", "Ä"];
    const OF_THE_SHELL = [
      "kill -l",
      "cd /nowhere",
      "exit 3",
      "a=1 env",
      "set",
      "pwd",
      ". ./x",
      "exec echo x",
      "umask",
      " true",
      "true ",
      "echo  x",
      "type cd",
      "if",
    ];
    const EXPANDED = ["echo $$", "echo ~", "echo a;echo b", "echo [a-c]", "echo x >y", "echo 'a b'", "echo a\nb", "# x", "!", "{"];
    test("does a command of plain words as a fresh shell would, and any other with one", async () => {
      for (const text of [...PLAIN, ...MISSING, ...OF_THE_SHELL, ...EXPANDED]) {
        const job = request(text);
        const fresh = request({ kind: "words", words: ["/bin/sh", "-c", 'eval "$1"', "sh", text] });
        await said(supervisorRequest(job), supervisorRequest(fresh));
        // Neither the pid nor the first word of the shell's complaints is of interest.
        const left = (run: SupervisorRequest) => ({
          text,
          exitCode: exitCodeIn(run.runDirectory),
          stdout: withoutNumbers(output(run)).split("\n").toSorted(),
          stderr: readFileSync(run.stderr, "utf8").replace(/^.*?: (line )?1: (eval: )?/gm, ""),
        });
        expect(left(job)).toEqual(left(fresh));
      }
    });

    test("gives a plain command nothing of ours either, and no shell beside it", async () => {
      const run = request("cat /proc/self/environ /proc/self/status", { environment: { EXPJOB_JID: "1" } });
      const { pid } = await said(supervisorRequest(run));
      expect(output(run).match(/EXPJOB_\w+/g)).toEqual(["EXPJOB_JID"]);
      expect(output(run)).toContain(`PPid:\t${pid}\n`);
    });
  });
}

function withoutNumbers(text: string): string {
  return text.replace(/\d+/g, "N").replace(/^(OPTIND|PPID|_|BASH\w*|SHLVL|PWD|OLDPWD|EXPJOB_\w*)=.*$/gm, "");
}

describe("runs that share a supervisor", () => {
  let bed: RunnerTestBed;
  beforeAll(async () => {
    bed = new RunnerTestBed(await openHostRunner("local"));
  });
  afterAll(() => bed.close());

  const startAs = async (jid: number, text: string) => {
    const request = { ...bed.request(text, { environment: { EXPJOB_JID: String(jid) } }), jid };
    return { request, outcome: started(await bed.runner.start(request)), pid: supervisorPidIn(bed.under.runDirectory(request)) };
  };

  test("what a job left behind is no part of the next, which is stopped without it", async () => {
    const first = await startAs(1001, "sleep 700 & echo $!");
    await first.outcome.end;
    const left = Number(bed.stdout(first.request));
    const second = await startAs(1002, "sleep 701 & echo $!; wait");
    expect(second.pid).toBe(first.pid);
    await waitFor(() => bed.stdout(second.request) !== "");
    expect(await bed.runner.stop(second.request, "0")).toMatchObject({ kind: "signaled", processes: 2 });
    // While another has its supervisor, what the first left is still its own, and nothing else.
    expect(await bed.runner.stop(first.request, "0")).toMatchObject({ kind: "signaled", processes: 1 });
    await bed.runner.stop(second.request, "KILL");
    expect(await second.outcome.end).toMatchObject({ kind: "exited", exitCode: 137 });
    expect(readProcessStat(left)?.state).toBe("S");
    await bed.runner.stop(first.request, "KILL");
    await waitFor(() => (readProcessStat(left)?.state ?? "Z") === "Z");
  });

  test("a job cannot speak in its supervisor's place", async () => {
    const forged = "echo 'ended 0 0' >/proc/$PPID/fd/1; echo 'x ended 0 0' >/proc/$PPID/fd/1; exit 9";
    expect(await (await startAs(1003, forged)).outcome.end).toMatchObject({ kind: "exited", exitCode: 9 });
  });

  test("a supervisor that is killed loses its own run only, and the next begins with another", async () => {
    const first = await startAs(1004, "kill -9 $PPID; sleep 0.1");
    expect(await first.outcome.end).toMatchObject({ kind: "lost", problem: { code: "supervisor-gone" } });
    const second = await startAs(1005, "echo fine");
    expect(await second.outcome.end).toMatchObject({ kind: "exited", exitCode: 0 });
    expect(second.pid).not.toBe(first.pid);
  });

  test("one that is killed while it has no run costs the next run nothing", async () => {
    const first = await startAs(1009, "true");
    await first.outcome.end;
    process.kill(first.pid, "SIGKILL");
    await waitFor(() => readProcessStat(first.pid) === null);
    const second = await startAs(1010, "echo fine");
    expect(second.pid).not.toBe(first.pid);
    expect(await second.outcome.end).toMatchObject({ kind: "exited", exitCode: 0 });
  });

  test("an exit that was written while its supervisor has gone on to another run counts", async () => {
    const first = await startAs(1006, "exit 5");
    await first.outcome.end;
    const second = await startAs(1007, "sleep 600");
    expect(second.pid).toBe(first.pid);
    expect(await (await bed.under.reopen()).attach(first.request, first.request.log)).toMatchObject({ kind: "exited", exitCode: 5 });
    await bed.runner.stop(second.request, "KILL");
    await second.outcome.end;
  });

  test("supervisors without a run go after some seconds", async () => {
    const { request, outcome } = await startAs(1008, "true");
    await outcome.end;
    const root = dirname(bed.under.runDirectory(request));
    const standing = (): number[] =>
      readAllProcesses()
        .filter((one) => !isDead(one))
        .map(({ pid }) => pid)
        .filter((pid) => commandLine(pid).endsWith(`\0expjob\0${root}\0`));
    expect(standing().length).toBeGreaterThan(0);
    await waitFor(() => standing().length === 0, { timeoutMs: 20_000, everyMs: 100 });
  }, 120_000);
});

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1");
  } catch {
    return "";
  }
}
