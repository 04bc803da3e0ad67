/** The part of the runner battery that needs a runner which executes: what jobs get, leave behind and survive. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { isDead, readAllProcesses, readProcessFile, readProcessStat } from "../../src/daemon/runner/process-identity.ts";
import type { RunRequest } from "../../src/daemon/runner/runner.ts";
import { runFileOf, supervisorIn, supervisorPidIn } from "../support/run-file.ts";
import { waitFor } from "../support/wait-for.ts";
import { exitCodeOf, RunnerTestBed, type RunnerUnderTest, started } from "./runner-test-bed.ts";

/** What a shell adds by itself. */
const SHELL_NAMES = ["_", "SHLVL", "PWD", "OLDPWD"];

export function runnerExecutionBattery(name: string, open: () => Promise<RunnerUnderTest>): void {
  describe(`runner contract, execution: ${name}`, async () => {
    const probe = await open();
    const { executes } = probe;
    await probe.close();
    if (!executes) return;
    let bed: RunnerTestBed;
    beforeAll(async () => {
      bed = new RunnerTestBed(await open());
    });
    afterAll(() => bed.close());

    const runFile = (request: RunRequest) => runFileOf(bed.under.runDirectory(request));
    const supervisorOf = (request: RunRequest) => supervisorPidIn(bed.under.runDirectory(request));
    const sessionOf = (supervisor: number) =>
      readAllProcesses().filter((one) => one.session === supervisor && one.pid !== supervisor && !isDead(one));

    test("every exit code from 0 to 255 is exact", async () => {
      const codes = Array.from({ length: 256 }, (_, code) => code);
      const ended = new Map<number, number>();
      const worker = async () => {
        for (let code = codes.pop(); code !== undefined; code = codes.pop()) {
          ended.set(code, (await bed.run(`exit ${code}`)).exitCode);
        }
      };
      await Promise.all(Array.from({ length: 8 }, worker));
      expect([...ended].filter(([code, exitCode]) => code !== exitCode)).toEqual([]);
      expect(ended.size).toBe(256);
    }, 120_000);

    test.each([
      ["HUP", 1],
      ["INT", 2],
      ["QUIT", 3],
      ["ABRT", 6],
      ["KILL", 9],
      ["USR1", 10],
      ["SEGV", 11],
      ["PIPE", 13],
      ["TERM", 15],
    ])("death by SIG%s is 128 + %d, and nothing of ours is in its stderr", async (signal, number) => {
      const result = await bed.run(`ulimit -c 0; kill -${signal} $$; sleep 10`);
      expect(result).toEqual({ exitCode: 128 + number, stdout: "", stderr: "" });
    });

    test("ten megabytes of bytes without a newline at their end arrive as they are", async () => {
      const copy = join(bed.folder, "copy");
      const request = bed.request(`head -c 10000000 /dev/urandom | tee '${copy}'; printf end >&2`);
      expect(exitCodeOf(await started(await bed.runner.start(request)).end)).toBe(0);
      expect(Buffer.compare(readFileSync(request.log.stdout), readFileSync(copy))).toBe(0);
      expect(statSync(copy).size).toBe(10_000_000);
      expect(bed.stderr(request)).toBe("end");
    }, 120_000);

    test("output is visible while the job runs, and logs that exist are appended to", async () => {
      const { request, finish } = bed.endless("printf early; printf oops >&2");
      writeFileSync(request.log.stdout, "before ");
      const outcome = started(await bed.runner.start(request));
      await waitFor(() => bed.stdout(request) === "before early" && bed.stderr(request) === "oops");
      finish(0);
      expect(exitCodeOf(await outcome.end)).toBe(0);
    });

    test("a job is a fresh shell: standard input is empty, signals are at their defaults, no descriptor is left open", async () => {
      const { stdout } = await bed.run(
        `wc -c; echo "$#"; grep SigIgn /proc/self/status | cut -f2; [ -e /proc/$$/fd/3 ] || [ -e /proc/$$/fd/4 ] || echo closed; set | grep -ci '^expjob_supervisor'`,
      );
      expect(stdout.trim().split("\n")).toEqual(["0", "0", "0000000000000000", "closed", "0"]);
    });

    test("a job begins in the work directory", async () => {
      expect((await bed.run("pwd -P")).stdout.trim()).toBe(bed.under.workDirectory);
    });

    test("a job has the environment it is given and nothing of ours", async () => {
      const environment = { EXPJOB_JID: "5", EXPJOB_VAR_TEXT: "two words; $HOME 'x' \"y\" é\nline" };
      const { stdout } = await bed.run("env -0", { environment });
      const entries = stdout.split("\0").filter((entry) => entry !== "");
      const seen = Object.fromEntries(entries.map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)]));
      for (const [name, value] of Object.entries(environment)) expect(seen[name]).toBe(value);
      expect(Object.keys(seen).filter((name) => /^(BUN_|EXPJOB_)/.test(name) && !(name in environment))).toEqual([]);
      if (bed.under.environment !== null) {
        const own = Object.keys(bed.under.environment).filter((name) => !SHELL_NAMES.includes(name));
        const got = Object.keys(seen).filter((name) => !SHELL_NAMES.includes(name) && !(name in environment));
        expect(got.sort()).toEqual(own.sort());
        for (const name of own) expect(seen[name]).toBe(bed.under.environment[name]);
      }
    });

    test("a job has the umask and the soft limit of open files of the caller, and its logs are made with that umask", async () => {
      const caller = { umask: 0o027, openFilesSoft: 77 };
      const request = bed.request("umask; ulimit -Sn; [ $(ulimit -Hn) != 77 ] && echo more", { caller });
      await started(await bed.runner.start(request)).end;
      expect(bed.stdout(request).trim().split("\n")).toEqual(["0027", "77", "more"]);
      expect(statSync(request.log.stdout).mode & 0o777).toBe(0o640);
    });

    test("a run directory and its file are for their owner only", async () => {
      const { request, finish } = bed.endless();
      const outcome = started(await bed.runner.start({ ...request, caller: { umask: 0, openFilesSoft: null } }));
      const directory = bed.under.runDirectory(request);
      expect(statSync(directory).mode & 0o777).toBe(0o700);
      finish(0);
      await outcome.end;
      expect(statSync(runFile(request)).mode & 0o777).toBe(0o600);
    });

    test("the text of a shell command is in no argument list and in no file of the run", async () => {
      const canary = `canary-${crypto.randomUUID()}`;
      const { request, finish } = bed.endless(`: ${canary}`);
      if (request.program.kind !== "shell") return expect(request.program.words).not.toEqual([]);
      const outcome = started(await bed.runner.start(request));
      const supervisor = supervisorOf(request);
      await waitFor(() => sessionOf(supervisor).length > 0);
      for (const { pid } of [{ pid: supervisor }, ...sessionOf(supervisor)]) {
        expect(
          await Bun.file(`/proc/${pid}/cmdline`)
            .text()
            .catch(() => ""),
        ).not.toContain(canary);
      }
      finish(0);
      await outcome.end;
      expect(readFileSync(runFile(request), "utf8")).not.toContain(canary);
    });

    test("stop reaches what timeout(1) put in its own group, and grandchildren", async () => {
      const request = bed.request("timeout 600 sleep 601 & sh -c 'sleep 602 & wait' & wait");
      const outcome = started(await bed.runner.start(request));
      const supervisor = supervisorOf(request);
      await waitFor(() => sessionOf(supervisor).length >= 5);
      expect(await bed.runner.stop(request, "TERM")).toMatchObject({ kind: "signaled" });
      expect(exitCodeOf(await outcome.end)).toBe(143);
      await waitFor(() => sessionOf(supervisor).length === 0);
    });

    test.each(["a) S 1 1 1 1", "a\nb", "(", ") ", "\n) S 1 1 1 "])("stop reaches a process that calls itself %j", async (name) => {
      const program = join(bed.folder, name);
      copyFileSync(Bun.which("sleep") ?? "/bin/sleep", program);
      chmodSync(program, 0o755);
      const request = bed.request(`'${program}' 603 & wait`);
      const outcome = started(await bed.runner.start(request));
      const supervisor = supervisorOf(request);
      const isNamed = ({ pid }: { readonly pid: number }) => readProcessFile(pid, "comm") === `${name}\n`;
      await waitFor(() => sessionOf(supervisor).some(isNamed));
      expect(await bed.runner.stop(request, "TERM")).toMatchObject({ kind: "signaled" });
      expect(exitCodeOf(await outcome.end)).toBe(143);
      await waitFor(() => sessionOf(supervisor).length === 0);
    });

    test("a job that traps TERM ends as it likes", async () => {
      const request = bed.request("trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.02; done");
      const outcome = started(await bed.runner.start(request));
      await waitFor(() => bed.stdout(request) === "ready\n");
      await bed.runner.stop(request, "TERM");
      expect(exitCodeOf(await outcome.end)).toBe(9);
      expect(bed.stdout(request)).toBe("ready\nbye\n");
    });

    test("a job that ignores TERM goes on, and KILL ends it and what it started", async () => {
      const request = bed.request(
        "trap '' TERM HUP; echo ready; n=0; while [ $n -lt 1000 ]; do sleep 100 & sleep 0.02; n=$((n+1)); done; sleep 100",
      );
      const outcome = started(await bed.runner.start(request));
      await waitFor(() => bed.stdout(request) === "ready\n");
      const supervisor = supervisorOf(request);
      await bed.runner.stop(request, "TERM");
      await waitFor(() => sessionOf(supervisor).length > 3);
      expect(await Promise.race([outcome.end, "running"])).toBe("running");
      await bed.runner.stop(request, "KILL");
      expect(exitCodeOf(await outcome.end)).toBe(137);
      await waitFor(() => sessionOf(supervisor).length === 0);
    });

    test("TERM, INT and HUP at the supervisor are not the end of the run", async () => {
      const { request, finish } = bed.endless();
      const outcome = started(await bed.runner.start(request));
      for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.kill(supervisorOf(request), signal);
      finish(5);
      expect(exitCodeOf(await outcome.end)).toBe(5);
    });

    test("a run whose supervisor was killed is lost, and what it left alive can be stopped", async () => {
      const { request } = bed.endless("echo ready");
      const outcome = started(await bed.runner.start(request));
      await waitFor(() => bed.stdout(request) === "ready\n");
      process.kill(supervisorOf(request), "SIGKILL");
      expect(await outcome.end).toMatchObject({ kind: "lost", problem: { code: "supervisor-gone" }, sessionEmpty: false });
      const runner = await bed.under.reopen();
      expect(await runner.attach(request, request.log)).toMatchObject({ kind: "lost", sessionEmpty: false });
      const stopped = await runner.stop(request, "KILL");
      expect(stopped.kind === "signaled" && stopped.processes > 0).toBe(true);
      expect(await runner.attach(request, request.log)).toMatchObject({ kind: "lost", sessionEmpty: true });
    });

    test("a pid that belongs to another process by now is neither attached to nor signaled", async () => {
      const { request, finish } = bed.endless();
      const outcome = started(await bed.runner.start(request));
      const text = readFileSync(runFile(request), "utf8");
      const [, startTime = "", bootId = ""] = supervisorIn(bed.under.runDirectory(request)).split(" ");
      writeFileSync(runFile(request), text.replace(` ${startTime} `, ` ${Number(startTime) - 1} `));
      const runner = await bed.under.reopen();
      expect(await runner.stop(request, "KILL")).toEqual({ kind: "signaled", processes: 0 });
      expect(await runner.attach(request, request.log)).toMatchObject({ kind: "lost", problem: { code: "supervisor-gone" } });
      writeFileSync(runFile(request), text.replace(bootId, "00000000-0000-0000-0000-000000000000"));
      expect(await runner.stop(request, "KILL")).toEqual({ kind: "signaled", processes: 0 });
      const rebooted = { kind: "lost", problem: { code: "rebooted" }, sessionEmpty: true };
      expect(await runner.attach(request, request.log)).toMatchObject(rebooted);
      writeFileSync(runFile(request), text);
      finish(0);
      expect(exitCodeOf(await outcome.end)).toBe(0);
    });

    test("a damaged exit, or that of another run, is never taken for an end", async () => {
      const { request, finish } = bed.endless();
      const outcome = started(await bed.runner.start(request));
      finish(0);
      await outcome.end;
      const begun = readFileSync(runFile(request), "utf8").replace(/\nexit .*\n$/, "");
      const name = basename(bed.under.runDirectory(request));
      const ends = ["", "exit 0", `exit 0 ${name}`, `exit 0 ${name} en`, `exit 0 ${name} end`, "exit 0 end\n", "exit 0 1.0.other end\n"];
      const odd = [`exit 256 ${name} end\n`, `exit -1 ${name} end\n`, `exit 00 ${name} end\n`, `0 ${name} end\n`, "\0\0\0\0\0\0"];
      for (const damaged of [...ends, ...odd]) {
        writeFileSync(runFile(request), `${begun}\n${damaged}`);
        expect(await (await bed.under.reopen()).attach(request, request.log)).toMatchObject({ kind: "lost", sessionEmpty: true });
      }
    });

    test("an exit counts, whoever came too late behind it", async () => {
      const { request, finish } = bed.endless();
      const outcome = started(await bed.runner.start(request));
      finish(6);
      await outcome.end;
      const name = basename(bed.under.runDirectory(request));
      appendFileSync(runFile(request), `\nwithdrawn ${name} end\n\nrefused log ${name} end\n`);
      expect(await (await bed.under.reopen()).attach(request, request.log)).toMatchObject({ kind: "exited", exitCode: 6 });
    });

    test("a run whose job has removed its run file is not begun again", async () => {
      const { request, finish } = bed.endless("echo ready");
      const outcome = started(await bed.runner.start(request));
      await waitFor(() => bed.stdout(request) === "ready\n");
      rmSync(runFile(request));
      expect(await (await bed.under.reopen()).attach(request, request.log)).toMatchObject({ kind: "lost", sessionEmpty: false });
      finish(0);
      await outcome.end;
    }, 120_000);

    test.each([
      ["a FIFO", (path: string) => void Bun.spawnSync(["mkfifo", path])],
      ["a folder", (path: string) => mkdirSync(path)],
      ["a link into nowhere", (path: string) => symlinkSync(`${path}.target`, path)],
      ["a link to an endless file", (path: string) => symlinkSync("/dev/zero", path)],
      ["ten megabytes of nothing", (path: string) => writeFileSync(path, Buffer.alloc(10_000_000))],
      ["ten megabytes of empty lines", (path: string) => writeFileSync(path, Buffer.alloc(10_000_000, "\n"))],
    ])("a run with %s in the place of its run file is lost, and not begun again", async (_what, make) => {
      const { request, finish } = bed.endless();
      const outcome = started(await bed.runner.start(request));
      finish(0);
      await outcome.end;
      rmSync(runFile(request));
      make(runFile(request));
      expect(await (await bed.under.reopen()).attach(request, request.log)).toMatchObject({
        kind: "lost",
        problem: { code: "supervisor-gone" },
      });
      expect(existsSync(`${runFile(request)}.target`)).toBe(false);
    });

    test("a run goes on when the program that started it is killed with its process group, and is taken up with its true end", async () => {
      const { starterCommand } = bed.under;
      if (starterCommand === null) throw new Error("this harness names no starter");
      const { request, finish } = bed.endless("echo first");
      const starter = Bun.spawn([...starterCommand], { detached: true, stdin: new Blob([JSON.stringify(request)]), stdout: "pipe" });
      using _ = killed(starter.pid);
      const { value } = await starter.stdout.getReader().read();
      expect(new TextDecoder().decode(value)).toBe("started\n");
      await waitFor(() => bed.stdout(request) === "first\n");
      process.kill(-starter.pid, "SIGKILL");
      await starter.exited;
      const supervisor = supervisorOf(request);
      expect(readProcessStat(supervisor)).not.toBeNull();
      const attached = await (await bed.under.reopen()).attach(request, request.log);
      if (attached.kind !== "running") throw new Error(JSON.stringify(attached));
      finish(77);
      expect(exitCodeOf(await attached.end)).toBe(77);
      expect(bed.stdout(request)).toBe("first\n");
    }, 120_000);

    test("a hundred runs end with their own exit codes after the program that started them was killed", async () => {
      const { starterCommand } = bed.under;
      if (starterCommand === null) throw new Error("this harness names no starter");
      const runs = Array.from({ length: 100 }, () => bed.endless());
      const requests = runs.map((run) => run.request);
      const starter = Bun.spawn([...starterCommand], {
        detached: true,
        stdin: new Blob([requests.map((one) => JSON.stringify(one)).join("\n")]),
        stdout: "pipe",
      });
      using _ = killed(starter.pid);
      let printed = "";
      for await (const chunk of starter.stdout) {
        printed += new TextDecoder().decode(chunk);
        if (printed.length === "started\n".length * runs.length) break;
      }
      process.kill(-starter.pid, "SIGKILL");
      await starter.exited;
      const runner = await bed.under.reopen();
      const attached = await Promise.all(requests.map((request) => runner.attach(request, request.log)));
      for (const [index, run] of runs.entries()) run.finish(index);
      const ends = await Promise.all(attached.map((one) => (one.kind === "running" ? one.end : one)));
      expect(ends.map((end) => (end.kind === "exited" ? end.exitCode : end))).toEqual(runs.map((_, index) => index));
    }, 120_000);
  });
}

/** Ends the group when the test is over, however that went. */
function killed(group: number): Disposable {
  return {
    [Symbol.dispose]: () => {
      try {
        process.kill(-group, "SIGKILL");
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
      }
    },
  };
}
