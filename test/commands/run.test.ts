import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../src/commands/root.ts";
import { RequestError } from "../../src/protocol/error.ts";
import { waitFor } from "../support/wait-for.ts";
import { LISTING, MACHINES, MATRIX, wireJob } from "../terminal/samples.ts";
import { bareEnvironment, runClient, type ScriptedServer, startClient, startScriptedServer } from "./scripted-server.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
let server: ScriptedServer;
const done = wireJob({ jid: 7, status: "done", exit_code: 0, duration: 3, machine: "local", results_path: "/r/7" });
const failed = wireJob({ jid: 8, status: "failed", exit_code: 3, error: { code: "nonzero-exit", data: { exit_code: "3" } } });

beforeAll(async () => {
  server = await startScriptedServer({
    "server.ping": async () => ({ version: "0.1.0" }),
    "variable.set": async () => ({}),
    "variable.list": async () => ({
      variables: [
        { name: "A", value: "1", secret: false },
        { name: "T", value: null, secret: true },
      ],
    }),
    "variable.remove": async () => ({ missing: ["NONE"] }),
    "machine.add": async ({ addrs }) => ({ added: addrs.slice(0, -1), moved: addrs.slice(-1) }),
    "machine.list": async ({ class: name }) => ({ machines: MACHINES.filter((machine) => name === null || machine.class === name) }),
    "machine.remove": async () => ({ removed: ["a:22"], canceled: [4], missing: ["b:22", "small"] }),
    "machine.move": async ({ addrs }) => ({ moved: addrs, missing: [] }),
    "machine.restore": async () => ({ failed: [{ addr: "b:22", code: "no-such-machine" }] }),
    "machine.check": async () => ({
      results: [
        { addr: "a:22", duration_ms: 12, problem: null, kernel: "Linux 6.1" },
        { addr: "b:22", duration_ms: 12, problem: { code: "unreachable", data: { machine: "b:22", message: "timed out" } }, kernel: null },
      ],
      missing: [],
    }),
    "job.add": async ({ count, class: name, cmd }) => {
      if (cmd.includes("'")) throw new RequestError("bad-command", { reason: "quotes", message: "a single quote is not closed" });
      return { first: 7, count, warnings: name === "empty" ? [{ code: "class-empty", data: { class: name } }] : [] };
    },
    "job.list": async ({ collapse }, { emit }) => {
      const rows = LISTING.rows.filter((row) => collapse || row.kind === "job");
      await emit(rows.slice(0, 2));
      await emit(rows.slice(2));
      return { counts: LISTING.counts, missing: [] };
    },
    "job.show": async ({ ids }) => ({ jobs: ids.length > 1 ? [done, failed] : [done], missing: ids.length > 2 ? [99] : [] }),
    "job.cancel": async () => ({ done: [3, 4, 5, 9], failed: [{ id: 8, code: "job-ended" }] }),
    "job.hold": async ({ ids }) => ({ done: ids.length > 1 ? [] : [3], failed: [] }),
    "job.unhold": async () => {
      throw new RequestError("no-jobs");
    },
    "job.logs": async () => ({ logs: [{ jid: 7, status: "done", log: "/logs/7", err_log: null }], missing: [] }),
    "job.follow": async ({ stream }, { emit, signal }) => {
      await emit(new Uint8Array(new TextEncoder().encode(`first line of ${stream}\n`)));
      if (stream === "stdout") return { status: "done" };
      await new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      return { status: "running" };
    },
    "job.wait": async ({ timeout }) => ({ timed_out: timeout === 60, jobs: timeout === null ? [done] : [done, failed], missing: [] }),
    "job.why": async () => ({
      answers: [{ jid: 7, status: "waiting", reasons: [{ code: "class-empty", data: { class: "foo" } }] }],
      missing: [],
    }),
    "matrix.add": async ({ keys }) => ({ id: 5, first: 6, count: keys.reduce((all, key) => all * key.values.length, 1), warnings: [] }),
    "matrix.list": async ({ id }, { emit }) => {
      if (id !== 5) throw new RequestError("no-such-matrix", { id });
      await emit([wireJob({ jid: 6, status: "failed", retried_by: 8, variables: { SIZE: "1", MODE: "linear" } })]);
      await emit([
        wireJob({
          jid: 8,
          status: "done",
          duration: 2.5,
          machine: "local",
          results_path: "/r/8",
          variables: { SIZE: "1", MODE: "=cmd()" },
        }),
      ]);
      return { matrix: MATRIX };
    },
    "server.stop": async () => {
      throw new RequestError("storage-failed", { message: "EIO" });
    },
  });
});
afterAll(() => server[Symbol.asyncDispose]());

describe("commands print for people and for scripts", () => {
  test("job add sends what was typed and prints the ids", async () => {
    server.asked.length = 0;
    const ran = await server.run(
      "job",
      "add",
      "foo",
      "bar --x {I}",
      "results/dir",
      "-x",
      "3",
      "--timeout",
      "1h",
      "--max_failures",
      "2",
      "--tag",
      "4",
    );
    expect(ran).toEqual({ code: 0, out: "Queued jobs 7-9\n", err: "" });
    expect(server.asked).toHaveLength(1);
    expect(server.asked[0]).toMatchObject({ method: "job.add", params: { cp_results: expect.stringMatching(/^\/.*\/results\/dir$/) } });
    expect(server.asked[0]?.params).toMatchObject({
      class: "foo",
      cmd: "bar --x {I}",
      count: 3,
      retry: { max_failures: 2 },
      timeout: 3_600,
      tag: 4,
      notify: false,
    });
  });

  test("job add --json and --quiet print ids, and warnings go to stderr", async () => {
    expect((await server.run("job", "add", "foo", "bar", "-x", "2", "--json")).out).toBe('{"jids":[7,8]}\n');
    expect((await server.run("-q", "job", "add", "foo", "bar", "-x", "2")).out).toBe("7\n8\n");
    const warned = await server.run("job", "add", "empty", "bar");
    expect(warned.out).toBe("Queued job 7\n");
    expect(warned.err).toBe('Warning: There is no machine in class "empty".\nIt waits until one is added: `j machine add ADDR empty`.\n');
    expect(warned.code).toBe(0);
  });

  test("a command that no driver could be given is wrong usage", async () => {
    expect(await server.run("job", "add", "foo", "it's")).toEqual({
      code: 2,
      out: "",
      err: "The command cannot be used: a single quote is not closed.\nCheck its quotes: each must be closed.\n",
    });
  });

  test("job ls prints all chunks; scripts get jobs, not matrices", async () => {
    const { out } = await server.run("job", "ls");
    expect(out.split("\n")[0]).toBe("274 jobs: 0 waiting, 0 held, 1 running, 257 done, 4 failed, 12 canceled");
    expect(out).toContain("248D 4F 12C");
    expect(out).not.toContain("\x1b");
    const jobs = JSON.parse((await server.run("job", "ls", "--json")).out);
    expect(jobs.map((job: { jid: number }) => job.jid)).toEqual([270, 271, 272, 273, 274, 275, 276, 277]);
    expect((await server.run("job", "ls", "-q", "-n", "9")).out.split("\n")[0]).toBe("270");
  });

  test("job show prints what was found and reports what was not", async () => {
    const ran = await server.run("job", "show", "7", "8", "99");
    expect(ran.code).toBe(1);
    expect(ran.out).toContain("Done (3s)");
    expect(ran.out).toContain("Exited with 3.");
    expect(ran.err).toStartWith("There is no job, matrix or tag 99.\n");
  });

  test("job rm does all it can, and names what it could not", async () => {
    const ran = await server.run("job", "rm", "3-9");
    expect(ran).toMatchObject({ code: 1, out: "Canceled jobs 3-5, 9\n" });
    expect(ran.err.split("\n")).toEqual([
      "Job 8 has ended already.",
      "With -f it is removed from the records; its logs and results stay.",
      "",
    ]);
    expect(JSON.parse((await server.run("job", "hold", "3", "--json")).out)).toEqual({ done: [3], failed: [] });
  });

  test("an error with --json is one document on stderr", async () => {
    const ran = await server.run("job", "unhold", "3", "--json");
    expect(ran).toMatchObject({ code: 1, out: "" });
    expect(JSON.parse(ran.err)).toEqual({
      error: { code: "no-jobs", message: "That names no job.", hint: "`j job ls` lists jobs with their ids." },
    });
  });

  test("job hold says when there was nothing to hold", async () => {
    expect(await server.run("job", "hold", "5", "6-9")).toEqual({ code: 0, out: "No job was changed.\n", err: "" });
    expect((await server.run("job", "hold", "5", "6-9", "-q")).out).toBe("");
    expect((await server.run("job", "hold", "5")).out).toBe("Held job 3\n");
  });

  test("job log prints the path, or says that there is none", async () => {
    expect(await server.run("job", "log", "7")).toEqual({ code: 0, out: "/logs/7\n", err: "" });
    const none = await server.run("job", "log", "-e", "7");
    expect(none).toMatchObject({ code: 1, out: "" });
    expect(none.err).toStartWith("Job 7 has no log.");
  });

  test("job log -t follows until the job has ended", async () => {
    expect(await server.run("job", "log", "-t", "7")).toEqual({ code: 0, out: "first line of stdout\n", err: "" });
  });

  test("job log -t ends cleanly at Ctrl-C", async () => {
    const child = startClient(["job", "log", "-t", "-e", "7"], { environment: server.environment });
    const reader = child.stdout.getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toBe("first line of stderr\n");
    child.kill("SIGINT");
    expect(await child.exited).toBe(130);
    expect(await child.stderr.text()).toBe("");
  });

  test("job log -l says when there is no pager, or no such file", async () => {
    const bare = await runClient(["job", "log", "-l", "7"], { environment: { ...server.environment, PATH: "/nonexistent" } });
    expect(bare).toMatchObject({ code: 1, err: "less is not installed on this host.\nLeave out -l to get the path, or take -t.\n" });
    const bin = join(server.stateDir, "bin");
    mkdirSync(bin);
    writeFileSync(join(bin, "less"), "#!/bin/sh\nexit 0\n");
    chmodSync(join(bin, "less"), 0o700);
    // A server that cannot say how long its log is.
    const elsewhere = await runClient(["job", "log", "-l", "7"], { environment: { ...server.environment, PATH: bin } });
    expect(elsewhere).toMatchObject({ code: 1, out: "" });
    expect(elsewhere.err).toContain('does not know "job.log-size"');
  });

  test("job wait exits with 0, 1 or 124", async () => {
    expect((await server.run("job", "wait", "7")).code).toBe(0);
    expect((await server.run("job", "wait", "7", "8", "--timeout", "2m")).code).toBe(1);
    const late = await server.run("job", "wait", "7", "8", "--timeout", "1");
    expect(late.code).toBe(124);
    expect(late.err).toContain("not ended in time");
  });

  test("job why gives reasons", async () => {
    expect((await server.run("job", "why", "7")).out).toContain('There is no machine in class "foo".');
    expect(JSON.parse((await server.run("job", "why", "7", "--json")).out)[0].reasons[0].code).toBe("class-empty");
  });

  test("job matrix add sends keys in order, and csv has one row a cell", async () => {
    server.asked.length = 0;
    expect((await server.run("job", "matrix", "add", "foo", "bar {I}", "I=1,2,3", "J=a,b", "--json")).out).toBe(
      '{"id":5,"jids":[6,7,8,9,10,11]}\n',
    );
    expect(server.asked[0]?.params).toMatchObject({
      cp_results: null,
      retry: { max_failures: 3 },
      count: 1,
      keys: [{ name: "I" }, { name: "J" }],
    });
    const csv = await server.run("job", "matrix", "csv", "5");
    expect(csv.out).toBe("jid,SIZE,MODE,status,machine,duration,results_path\n8,1,=cmd(),done,local,2.5,/r/8\n");
    expect((await server.run("job", "matrix", "csv", "5", "--excel-safe")).out).toContain("'=cmd()");
    expect((await server.run("job", "matrix", "stat", "5")).out).toContain("SIZE=1,2\\,5");
    expect((await server.run("job", "matrix", "ls", "6")).err).toStartWith("There is no matrix 6.\n");
  });

  test("machines are added, listed, moved, checked and removed", async () => {
    expect((await server.run("machine", "add", "a:22", "b:22", "foo")).out).toBe("Added a:22 to foo\nMoved b:22 to foo\n");
    expect((await server.run("machine", "add", "foo")).code).toBe(2);
    expect((await server.run("machine", "ls", "-q")).out.split("\n")).toHaveLength(4);
    const nobody = await server.run("machine", "ls", "--class", "nobody");
    expect(nobody).toMatchObject({ code: 1, out: "", err: expect.stringContaining('There is no machine in class "nobody".') });
    expect(JSON.parse((await server.run("machine", "ls", "--json")).out)[2].reason).toContain("failures in a row");
    const file = join(server.stateDir, "machines.txt");
    writeFileSync(file, "# ours\nc:22\n\nd:22 # slow\n");
    server.asked.length = 0;
    expect((await server.run("machine", "mv", "-m", "a:22", "-f", file, "new")).out).toBe(
      "Moved a:22 to new\nMoved c:22 to new\nMoved d:22 to new\n",
    );
    expect(server.asked[0]?.params).toEqual({ addrs: ["a:22", "c:22", "d:22"], classes: [], class: "new" });
    const removed = await server.run("machine", "rm", "-m", "a:22", "-m", "b:22", "-c", "small");
    expect(removed).toMatchObject({ code: 1, out: "Removed a:22\nCanceled job 4\n" });
    expect(removed.err).toContain('There is no machine "b:22".');
    expect(removed.err).toContain('There is no machine in class "small".');
    expect((await server.run("machine", "rm")).code).toBe(2);
    const checked = await server.run("machine", "check");
    expect(checked.code).toBe(1);
    expect(checked.out).toContain("reachable in 12 ms, Linux 6.1");
    expect(await server.run("machine", "restore", "a:22", "b:22")).toMatchObject({ code: 1, out: "Restored a:22\n" });
    expect((await server.run("machine", "restore", "a:22", "-q")).out).toBe("a:22\n");
  });

  test("variables are set from the line or from stdin", async () => {
    server.asked.length = 0;
    await runClient(["var", "set", "T", "-", "--secret"], { environment: server.environment, stdin: "s3cret\n" });
    expect(server.asked[0]?.params).toEqual({ name: "T", value: "s3cret", secret: true });
    expect((await server.run("var", "ls")).out).toBe(" Name  Value\n A     1\n T     (secret)\n");
    expect(await server.run("var", "rm", "A", "NONE")).toMatchObject({ code: 1, out: "" });
  });

  test("a value that is nothing, no text, or holds a NUL is refused before anything is sent", async () => {
    server.asked.length = 0;
    const set = (stdin: string | Uint8Array) => runClient(["var", "set", "T", "-"], { environment: server.environment, stdin });
    expect(await set("")).toMatchObject({ code: 2, err: "Nothing came on stdin.\nTo set an empty value, write j var set T ''.\n" });
    expect((await set(new Uint8Array([0xff, 0xfe]))).err).toStartWith("The value is not UTF-8.");
    expect((await set("a\0b")).err).toStartWith("The value holds a NUL byte.");
    expect(server.asked).toEqual([]);
    expect((await set("\n")).code).toBe(0);
  });

  test("ping prints the version and the time", async () => {
    expect((await server.run("ping")).out).toMatch(/^expjobserver 0\.1\.0 answered in [\d.]+ m?s\n$/);
    expect(JSON.parse((await server.run("ping", "--json")).out).duration_ms).toBeGreaterThan(0);
  });
});

describe("exit codes", () => {
  test("3 when no server answers, with the way out", async () => {
    const ran = await runClient(["job", "ls", "--address", "127.0.0.1:9"], { environment: server.environment });
    expect(ran.code).toBe(3);
    expect(ran.err).toBe(
      "No server answers at 127.0.0.1:9.\nStart it with `expjobserver serve --detach`, or name another with --address.\n",
    );
  });

  test("4 without the token, or with another one", async () => {
    const other = join(server.stateDir, "other");
    mkdirSync(other);
    const missing = await server.run("ping", "--state-dir", other);
    expect(missing.code).toBe(4);
    expect(missing.err).toContain("does not exist");
    writeFileSync(join(other, "token"), `${"ab".repeat(32)}\n`, { mode: 0o600 });
    expect((await server.run("ping", "--state-dir", other)).code).toBe(4);
  });

  test("2 for a wrong setting, naming it", async () => {
    const config = join(server.stateDir, "bad.toml");
    writeFileSync(config, 'adress = "127.0.0.1:1"\n');
    const ran = await server.run("ping", "--config", config);
    expect(ran).toMatchObject({ code: 2, err: `"${config}": there is no key "adress".\nDid you mean address?\n` });
  });

  test("2 for an empty class, which is never sent", async () => {
    server.asked.length = 0;
    for (const words of [
      ["job", "add", "", "x"],
      ["job", "matrix", "add", "", "x {A}", "A=1"],
      ["machine", "add", "a:22", ""],
      ["machine", "add", "", "zz"],
      ["machine", "mv", "-m", "a:22", ""],
    ]) {
      const ran = await server.run(...words);
      expect(ran.code).toBe(2);
      expect(ran.err).toMatch(/^The (class|machine) is empty\.\n\S.*\n$/);
    }
    expect(server.asked).toEqual([]);
  });

  test("1 when the server refuses", async () => {
    expect((await server.run("status")).err).toContain("does not know");
    expect((await server.run("stop")).code).toBe(1);
  });

  test("0 for help and version without a server or a home", async () => {
    const nowhere = { environment: bareEnvironment("/nonexistent") };
    expect((await runClient(["--version"], nowhere)).out).toMatch(/^expjobserver \d+\.\d+\.\d+\n$/);
    expect((await runClient(["job", "add", "--help"], nowhere)).code).toBe(0);
  });

  test("2 for nothing at all", async () => {
    const ran = await runClient([], { environment: bareEnvironment("/nonexistent") });
    expect(ran).toEqual({
      code: 2,
      out: "",
      err: `\`j\` needs a command.\nThe commands are: ${root.commands.map(({ name }) => name).join(", ")}; \`j --help\` tells more.\n`,
    });
  });

  test("1 when the output cannot be written", async () => {
    const full = existsSync("/dev/full") ? "/dev/full" : null;
    if (full === null) return expect(process.platform).not.toBe("linux");
    for (const words of ["job ls", "job ls --json", "machine ls -q", "job ls --help", "job log -t 7"]) {
      const child = Bun.spawn(["sh", "-c", `"$0" "$1" ${words} >${full}`, process.execPath, MAIN], {
        env: server.environment,
        stderr: "pipe",
      });
      expect([words, await child.stderr.text(), await child.exited]).toEqual([
        words,
        expect.stringMatching(
          words.includes("--json") ? /"output-failed".*ENOSPC/ : /^The output cannot be written: ENOSPC\.\nFree some space/,
        ),
        1,
      ]);
    }
  });

  test("a reader that goes away is no error", async () => {
    const child = Bun.spawn(
      ["sh", "-c", `"$0" "$1" job ls --json | head -c 10`, process.execPath, join(import.meta.dir, "../../src/main.ts")],
      {
        env: server.environment,
        stdout: "pipe",
        stderr: "pipe",
      },
    );
    expect((await child.stdout.text()).length).toBe(10);
    expect(await child.stderr.text()).toBe("");
  });
});

describe("a server of another version", () => {
  test("is warned of once, and works", async () => {
    await using older = await startScriptedServer({ "variable.list": async () => ({ variables: [] }) }, { version: "0.0.9" });
    const ran = await older.run("var", "ls", "--json");
    expect(ran).toMatchObject({ code: 0, out: "[]\n" });
    expect(ran.err).toContain('The server is version "0.0.9", this client "');
  });
});

describe("a server that stops while somebody waits", () => {
  for (const words of ["job wait 7", "job log -t 7"]) {
    test(`${words} says so in one line, and exits with 3`, async () => {
      let asked = false;
      const untilStopped = async (signal: AbortSignal): Promise<never> => {
        asked = true;
        return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      };
      await using stopping = await startScriptedServer({
        "job.logs": async () => ({ logs: [{ jid: 7, status: "running", log: "/logs/7", err_log: null }], missing: [] }),
        "job.wait": async (_params, { signal }) => untilStopped(signal),
        "job.follow": async (_params, { signal }) => untilStopped(signal),
      });
      const ran = stopping.run(...words.split(" "));
      await waitFor(() => asked);
      await stopping.stop();
      expect(await ran).toEqual({
        code: 3,
        out: "",
        err: "The server is stopping; jobs that run go on.\nStart it again with `expjobserver serve --detach`, and repeat the command.\n",
      });
    });
  }
});

describe("stop", () => {
  test("waits until the server has closed the door", async () => {
    let stopping = false;
    await using gone = await startScriptedServer({
      "events.follow": async (_params, { signal }) => {
        await new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
        return {};
      },
      "server.stop": async () => {
        stopping = true;
        return { pid: 2 ** 22 + 1 };
      },
    });
    const ran = gone.run("stop");
    await waitFor(() => stopping);
    await gone.stop();
    expect(await ran).toMatchObject({ code: 0, err: "" });
  });
});
