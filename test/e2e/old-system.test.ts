/** Each row of docs/from-the-old-system.md, typed on the built binary. A row without a test, or a test without a row, fails. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type JobJson, TestDaemon } from "../support/daemon.ts";
import { waitFor } from "../support/wait-for.ts";

const PAGE = resolve(import.meta.dir, "../../docs/from-the-old-system.md");
const CLASS = "old";
let daemon: TestDaemon;
/** Done, with results and words on both streams. */
let done: number;
/** Waits for a machine of a class that has none. */
let waiting: number;
let failed: number;
let matrix: { readonly id: number; readonly jids: readonly number[] };

const file = (name: string): string => join(daemon.folder, name);
const results = (): string => file("results");

beforeAll(async () => {
  daemon = await TestDaemon.start();
  await daemon.ok("machine", "add", "local/1", CLASS);
  const command = `echo out; echo problem >&2; echo found >'${file("made")}'; echo 'RESULTS: ${file("made")}'`;
  done = await daemon.add(CLASS, command, results());
  failed = await daemon.add(CLASS, "exit 3");
  waiting = await daemon.add("nowhere", "true");
  matrix = await daemon.json("job", "matrix", "add", CLASS, "echo {A} {B}", results(), "A=1,2", "B=x,y");
  for (const jid of [done, failed, ...matrix.jids]) await daemon.ended(jid);
});
afterAll(async () => await daemon[Symbol.asyncDispose]());

/** A job that runs until the server ends; its machine is its own. */
async function endless(): Promise<number> {
  await daemon.ok("machine", "add", `local/endless${ordinal++}`, "endless");
  const jid = await daemon.add("endless", "sleep 600");
  await daemon.untilStatus(jid, "running");
  return jid;
}
let ordinal = 1;

async function queued(...words: readonly string[]): Promise<JobJson & { readonly timeout: number | null }> {
  return (await daemon.show(await daemon.add("nowhere", "true", file("queued"), ...words))) as JobJson & {
    readonly timeout: number | null;
  };
}

async function status(jid: number): Promise<string> {
  return (await daemon.show(jid)).status;
}

/** One column of one job as text, without the header. */
async function column(...words: readonly string[]): Promise<string> {
  return await daemon.ok("job", "stat", "--text", "--no_headers", "--id", String(done), ...words);
}

function programOf(name: string, text: string): string {
  writeFileSync(file(name), `#!/bin/sh\n${text}\n`);
  chmodSync(file(name), 0o755);
  return file(name);
}

function addressFile(...addrs: readonly string[]): string {
  writeFileSync(file(`addresses-${addrs.join("-").replaceAll("/", "_")}`), `${addrs.join("\n")}\n`);
  return file(`addresses-${addrs.join("-").replaceAll("/", "_")}`);
}

async function machineOf(addr: string): Promise<{ readonly addr: string; readonly class: string } | undefined> {
  const machines = await daemon.json<{ addr: string; class: string }[]>("machine", "ls");
  return machines.find((machine) => machine.addr === addr);
}

/** The old call of the server, with a state of its own. */
async function oldCall(name: string, words: readonly string[], use: (address: string, said: () => string) => Promise<void>): Promise<void> {
  const other = await TestDaemon.prepare({ binary: daemon.binary });
  try {
    const driver = join(other.folder, "driver");
    writeFileSync(driver, '#!/bin/sh\necho "$@"\n');
    chmodSync(driver, 0o755);
    const said = join(other.folder, `${name}.err`);
    writeFileSync(said, "");
    const address = words.includes("--address") ? [] : ["--address", other.address];
    const all = words.map((word) =>
      word.replace("RUNNER", driver).replace("LOG_DIR", join(other.folder, "logs")).replace("HERE", other.folder),
    );
    const child = Bun.spawn([other.binary.expjobserver, ...all.map((word) => word.replace("ADDR", other.address)), ...address], {
      cwd: other.folder,
      env: { ...other.environment, EXPJOBSERVER_ADDRESS: "" },
      stdio: ["ignore", Bun.file(said), Bun.file(said)],
    });
    const read = (): string => readFileSync(said, "utf8");
    await waitFor(async () => child.exitCode !== null || (await other.j("ping")).code === 0, { what: read, timeoutMs: 20_000 });
    expect({ code: child.exitCode, said: child.exitCode === null ? "" : read() }).toEqual({ code: null, said: "" });
    await use(other.address, read);
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
  } finally {
    await other[Symbol.asyncDispose]();
  }
}

const rows: Readonly<Record<string, () => Promise<void>>> = {
  "expjobserver RUNNER LOG_DIR LOGGING_CONFIG": () =>
    oldCall("three", ["RUNNER", "LOG_DIR", "HERE/log.yaml"], async (_, said) => {
      expect(said()).toContain("log.yaml");
    }),
  "expjobserver RUNNER LOG_DIR": () =>
    oldCall("two", ["RUNNER", "LOG_DIR"], async (_, said) => {
      expect(said()).toContain("--print_results_path");
    }),
  "expjobserver --address ADDR": () =>
    oldCall("address", ["RUNNER", "LOG_DIR", "--address", "ADDR"], async (address) => {
      expect((await daemon.j("ping", "--address", address)).code).not.toBe(3);
    }),
  "expjobserver --allow_snap_fail": () =>
    oldCall("snap", ["RUNNER", "LOG_DIR", "--allow_snap_fail"], async (_, said) => {
      expect(said()).not.toContain("Unknown");
    }),
  "j --address ADDR": async () => {
    expect(await daemon.ok("--address", daemon.address, "ping")).toMatch(/\d m?s/);
  },
  "j ping": async () => {
    expect(await daemon.ok("ping")).toContain("0.1");
  },
  ...Object.fromEntries(
    ["bash", "zsh", "fish", "powershell", "elvish"].map((shell) => [
      `j completions --${shell} OUTDIR`,
      async () => {
        const folder = file(`completions-${shell}`);
        await daemon.ok("completions", `--${shell}`, folder);
        const [script = ""] = readdirSync(folder);
        expect(readFileSync(join(folder, script), "utf8")).toContain("complete");
      },
    ]),
  ),
  "j completions --bin NAME": async () => {
    expect(await daemon.ok("completions", "--bash", "--bin", "myj")).toContain("myj");
  },
  "j var ls": async () => {
    await daemon.ok("var", "set", "LISTED", "seen");
    expect(await daemon.ok("var", "ls")).toMatch(/LISTED\s+seen/);
  },
  "j var set NAME VALUE": async () => {
    await daemon.ok("var", "set", "COLOUR", "red");
    expect((await daemon.show(await daemon.add("nowhere", "paint {COLOUR}"))).command_line).toBe("paint red");
  },
  "j job add CLASS CMD CP_PATH": async () => {
    expect((await queued()).cp_results).toBe(file("queued"));
  },
  "j job add -x N": async () => {
    expect((await daemon.ok("job", "add", "nowhere", "true", results(), "-x", "3", "-q")).split("\n")).toHaveLength(3);
  },
  "j job add --times N": async () => {
    expect((await daemon.ok("job", "add", "nowhere", "true", "--times", "2", "-q")).split("\n")).toHaveLength(2);
  },
  "j job add --retry": async () => {
    expect(await queued("--retry")).toMatchObject({ status: "waiting", attempt: 1 });
  },
  "j job add --max_failures N": async () => {
    expect(await queued("--retry", "--max_failures", "4")).toMatchObject({ status: "waiting", attempt: 1 });
  },
  "j job add --timeout MINUTES": async () => {
    expect((await queued("--timeout", "5")).timeout).toBe(300);
  },
  "j job ls": async () => {
    expect(await daemon.ok("job", "ls")).toContain("exit 3");
  },
  "j job ls JID...": async () => {
    expect(await daemon.ok("job", "ls", String(done), String(failed), "-q")).toBe(`${done}\n${failed}`);
  },
  "j job ls -n N": async () => {
    expect((await daemon.json<unknown[]>("job", "ls", "-n", "2")).length).toBeGreaterThanOrEqual(2);
  },
  "j job ls -a JID": async () => {
    const jids = (await daemon.json<JobJson[]>("job", "ls", "-a", String(failed))).map((job) => job.jid);
    expect(jids).toContain(failed);
    expect(jids).not.toContain(done);
  },
  "j job ls --after JID": async () => {
    expect((await daemon.json<JobJson[]>("job", "ls", "--after", String(failed))).map((job) => job.jid)).toContain(failed);
  },
  "j job ls -r": async () => {
    const jid = await endless();
    expect((await daemon.ok("job", "ls", "-r", "-q")).split("\n")).toContain(String(jid));
  },
  "j job ls --running": async () => {
    const jid = await endless();
    expect((await daemon.ok("job", "ls", "--running", "-q")).split("\n")).toContain(String(jid));
  },
  "j job rm JID...": async () => {
    const { jid } = await queued();
    await daemon.ok("job", "rm", String(jid));
    expect(await status(jid)).toBe("canceled");
  },
  "j job rm -f JID...": async () => {
    const { jid } = await queued();
    await daemon.ok("job", "rm", "-f", String(jid));
    expect((await daemon.j("job", "show", String(jid))).code).toBe(1);
  },
  "j job rm --forget JID...": async () => {
    const { jid } = await queued();
    await daemon.ok("job", "rm", "--forget", String(jid));
    expect((await daemon.j("job", "show", String(jid))).code).toBe(1);
  },
  "j job stat --id JID...": async () => {
    expect(await daemon.ok("job", "stat", "--text", "--no_headers", "--jid", "--id", String(done), String(failed))).toBe(
      `${done}\n${failed}`,
    );
  },
  "j job stat --after JID": async () => {
    const jids = (await daemon.ok("job", "stat", "--text", "--no_headers", "--jid", "--after", String(failed))).split("\n");
    expect(jids).not.toContain(String(done));
    expect(jids).toContain(String(waiting));
  },
  "j job stat --running": async () => {
    const jid = await endless();
    expect((await daemon.ok("job", "stat", "--text", "--no_headers", "--jid", "--running")).split("\n")).toContain(String(jid));
  },
  "j job stat --only_done": async () => {
    const jids = await daemon.ok("job", "stat", "--text", "--no_headers", "--jid", "--only_done", "--id", String(done), String(failed));
    expect(jids).toBe(String(done));
  },
  "j job stat --csv": async () => {
    expect(await daemon.ok("job", "stat", "--csv", "--jid", "--status", "--id", String(done))).toMatch(
      new RegExp(`\\n"?${done}"?,"?done"?$`, "i"),
    );
  },
  "j job stat --text": async () => {
    expect((await daemon.ok("job", "stat", "--text", "--jid", "--id", String(done))).split("\n")).toHaveLength(2);
  },
  "j job stat --json": async () => {
    const [job] = await daemon.json<Record<string, unknown>[]>("job", "stat", "--id", String(done));
    expect(job).toMatchObject({ jid: done, status: "done", class: CLASS });
    expect(job?.["start"] ?? job?.["started"]).toBeTruthy();
  },
  "j job stat --no_headers": async () => {
    expect(await column("--jid")).toBe(String(done));
  },
  "j job stat --jid": async () => {
    expect(await column("--jid")).toBe(String(done));
  },
  "j job stat --matrix": async () => {
    expect(await daemon.ok("job", "stat", "--text", "--no_headers", "--matrix", "--id", String(matrix.jids[0]))).toBe(String(matrix.id));
  },
  "j job stat --cmd": async () => {
    expect(await column("--cmd")).toContain("echo problem");
  },
  "j job stat --class": async () => {
    expect(await column("--class")).toBe(CLASS);
  },
  "j job stat --machine": async () => {
    expect(await column("--machine")).toBe("local/1");
  },
  "j job stat --status": async () => {
    expect((await column("--status")).toLowerCase()).toBe("done");
  },
  "j job stat --error": async () => {
    expect(await daemon.ok("job", "stat", "--text", "--no_headers", "--error", "--id", String(failed))).toContain("3");
  },
  "j job stat --vars": async () => {
    const vars = await daemon.ok("job", "stat", "--text", "--no_headers", "--vars", "--id", String(matrix.jids[0]));
    expect(vars).toMatch(/A.*1.*B.*x/);
  },
  "j job stat --results": async () => {
    expect(await column("--results")).toContain("made");
  },
  "j job stat --results_path SUFFIX": async () => {
    expect(await column("--results_path", "")).toContain(join(results(), "made"));
  },
  "j job stat --starttime": async () => {
    expect(await column("--starttime")).toContain("202");
  },
  "j job stat --endtime": async () => {
    expect(await column("--endtime")).toContain("202");
  },
  "j job stat --duration": async () => {
    expect(await column("--duration")).toMatch(/\d/);
  },
  "j job stat --log": async () => {
    expect(readFileSync(await column("--log"), "utf8")).toStartWith("out\n");
  },
  "j job stat --results_dir": async () => {
    expect(await column("--results_dir")).toBe(results());
  },
  "j job stat --jid_map PROG": async () => {
    expect(await column("--jid", "--jid_map", programOf("twice", 'read x; echo "$x$x"'))).toBe(`${done}${done}`);
  },
  "j job stat --mapper PROG": async () => {
    const program = programOf("mapper", 'sed \'s/"class":"old"/"class":"mapped"/\'');
    expect(await column("--class", "--mapper", program)).toBe("mapped");
  },
  "j job hold JID...": async () => {
    await daemon.ok("job", "hold", String(waiting));
    expect(await status(waiting)).toBe("held");
  },
  "j job unhold JID...": async () => {
    const { jid } = await queued();
    await daemon.ok("job", "hold", String(jid));
    await daemon.ok("job", "unhold", String(jid));
    expect(await status(jid)).toBe("waiting");
  },
  "j job clone JID...": async () => {
    const clone = Number(await daemon.ok("job", "clone", String(done), "-q"));
    expect(await daemon.ended(clone)).toMatchObject({ status: "done", class: CLASS });
  },
  "j job clone -x N": async () => {
    expect((await daemon.ok("job", "clone", String(waiting), "-x", "3", "-q")).split("\n")).toHaveLength(3);
  },
  "j job restart JID...": async () => {
    const jid = await endless();
    const again = Number(await daemon.ok("job", "restart", String(jid), "-q"));
    await daemon.untilStatus(jid, "canceled");
    await daemon.untilStatus(again, "running");
    expect(again).toBeGreaterThan(jid);
  },
  "j job log JID...": async () => {
    expect(readFileSync(await daemon.ok("job", "log", String(done)), "utf8")).toStartWith("out\n");
  },
  "j job log -r": async () => {
    const jid = await endless();
    expect(await daemon.ok("job", "log", "-r")).toContain(`/${jid}-sleep_600`);
  },
  "j job log -e JID": async () => {
    expect(readFileSync(await daemon.ok("job", "log", "-e", String(done)), "utf8")).toBe("problem\n");
  },
  "j job log -l JID": async () => {
    const pager = file("bin");
    mkdirSync(pager, { recursive: true });
    writeFileSync(join(pager, "less"), '#!/bin/sh\nfor last; do :; done\ncat "$last"\n');
    chmodSync(join(pager, "less"), 0o755);
    const child = Bun.spawn([daemon.binary.j, "job", "log", "-l", String(done)], {
      cwd: daemon.folder,
      env: { ...daemon.environment, PATH: `${pager}:${daemon.environment["PATH"]}` },
      stdio: ["ignore", "pipe", "inherit"],
    });
    expect(await child.stdout.text()).toStartWith("out\n");
    expect(await child.exited).toBe(0);
  },
  "j job log -t JID": async () => {
    expect(await daemon.ok("job", "log", "-t", String(done))).toStartWith("out\n");
  },
  "j job matrix add CLASS CMD CP_PATH KEY=VALUES...": async () => {
    expect(matrix.jids).toHaveLength(4);
  },
  "j job matrix add -x N": async () => {
    const made = await daemon.json<{ jids: number[] }>("job", "matrix", "add", "nowhere", "a {A}", results(), "A=1,2", "-x", "2");
    expect(made.jids).toHaveLength(4);
  },
  "j job matrix add --timeout MINUTES": async () => {
    const made = await daemon.json<{ jids: number[] }>("job", "matrix", "add", "nowhere", "a {A}", "A=1", "--timeout", "2");
    expect(await daemon.show(made.jids[0] ?? -1)).toMatchObject({ timeout: 120 });
  },
  "j job matrix add --max_failures N": async () => {
    const made = await daemon.json<{ jids: number[] }>("job", "matrix", "add", "nowhere", "a {A}", "A=1", "--max_failures", "2");
    expect(made.jids).toHaveLength(1);
  },
  "j job matrix ls ID": async () => {
    expect(await daemon.ok("job", "matrix", "ls", String(matrix.id))).toContain(String(matrix.jids[3]));
  },
  "j job matrix stat ID": async () => {
    expect(await daemon.ok("job", "matrix", "stat", String(matrix.id))).toContain(String(matrix.jids[3]));
  },
  "j job matrix csv ID": async () => {
    expect((await daemon.ok("job", "matrix", "csv", String(matrix.id))).split("\n")[1]).toStartWith(`${matrix.jids[0]},1,x,done`);
  },
  "j job cpresults TO JID...": async () => {
    const to = file("copied");
    await daemon.ok("job", "cpresults", to, String(done));
    expect(readFileSync(join(to, "made"), "utf8")).toBe("found\n");
  },
  "j machine add ADDR CLASS": async () => {
    await daemon.ok("machine", "add", "added:22", "elsewhere");
    expect(await machineOf("added:22")).toMatchObject({ class: "elsewhere" });
  },
  "j machine ls": async () => {
    expect(await daemon.ok("machine", "ls")).toContain("local/1");
  },
  "j machine rm -m ADDR": async () => {
    await daemon.ok("machine", "add", "one:22", "gone");
    await daemon.ok("machine", "rm", "-m", "one:22");
    expect(await machineOf("one:22")).toBeUndefined();
  },
  "j machine rm -c CLASS": async () => {
    await daemon.ok("machine", "add", "two:22", "three:22", "gone");
    await daemon.ok("machine", "rm", "-c", "gone");
    expect(await machineOf("two:22")).toBeUndefined();
    expect(await machineOf("three:22")).toBeUndefined();
  },
  "j machine rm -f FILE": async () => {
    await daemon.ok("machine", "add", "four:22", "gone");
    await daemon.ok("machine", "rm", "-f", addressFile("four:22"));
    expect(await machineOf("four:22")).toBeUndefined();
  },
  "j machine mv -m ADDR NEW_CLASS": async () => {
    await daemon.ok("machine", "add", "five:22", "before");
    await daemon.ok("machine", "mv", "-m", "five:22", "after");
    expect(await machineOf("five:22")).toMatchObject({ class: "after" });
  },
  "j machine mv -c CLASS NEW_CLASS": async () => {
    await daemon.ok("machine", "add", "six:22", "before6");
    await daemon.ok("machine", "mv", "-c", "before6", "after");
    expect(await machineOf("six:22")).toMatchObject({ class: "after" });
  },
  "j machine mv -f FILE NEW_CLASS": async () => {
    await daemon.ok("machine", "add", "seven:22", "before7");
    await daemon.ok("machine", "mv", "-f", addressFile("seven:22"), "after");
    expect(await machineOf("seven:22")).toMatchObject({ class: "after" });
  },
  "j machine setup -m ADDR -- CMD...": async () => {
    const marker = file("setup-m");
    const jid = Number(await daemon.ok("machine", "setup", "-m", "local/s1", "-q", "--", "true", `echo set >'${marker}'`));
    expect((await daemon.ended(jid)).status).toBe("done");
    expect(existsSync(marker)).toBe(true);
  },
  "j machine setup -f FILE -- CMD...": async () => {
    const jids = (await daemon.ok("machine", "setup", "-f", addressFile("local/s2", "local/s3"), "-q", "--", "true"))
      .split("\n")
      .map(Number);
    expect(jids).toHaveLength(2);
    for (const jid of jids) expect((await daemon.ended(jid)).status).toBe("done");
  },
  "j machine setup -e -c CLASS -- CMD...": async () => {
    await daemon.ok("machine", "add", "local/s4", "again");
    const jid = Number(await daemon.ok("machine", "setup", "-e", "-c", "again", "-q", "--", "true"));
    expect(await daemon.ended(jid)).toMatchObject({ status: "done", machine: "local/s4" });
  },
  "j machine setup -c CLASS": async () => {
    const jid = Number(await daemon.ok("machine", "setup", "-m", "local/s5", "-c", "prepared", "-q", "--", "true"));
    await daemon.ended(jid);
    expect(await machineOf("local/s5")).toMatchObject({ class: "prepared" });
  },
  "j machine setup --timeout MINUTES": async () => {
    const jid = Number(await daemon.ok("machine", "setup", "-m", "local/s6", "--timeout", "7", "-q", "--", "true"));
    expect(await daemon.show(jid)).toMatchObject({ timeout: 420 });
  },
  "j machine setup --stagger SECONDS": async () => {
    const words = ["machine", "setup", "-m", "local/s7", "-m", "local/s8", "--stagger", "3600", "-q", "--", "true"];
    const [first = -1, second = -1] = (await daemon.ok(...words)).split("\n").map(Number);
    expect((await daemon.ended(first)).status).toBe("done");
    expect(await status(second)).toBe("waiting");
  },
};

test("every row of the table has a test, and every test a row", () => {
  const table = [...readFileSync(PAGE, "utf8").matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1] ?? "");
  expect(table.length).toBeGreaterThan(60);
  expect(table.sort()).toEqual(Object.keys(rows).sort());
});

describe("the old system's", () => {
  test.each(Object.entries(rows))(
    "%s",
    async (_row, typed) => {
      expect.hasAssertions();
      await typed();
    },
    120_000,
  );
});
