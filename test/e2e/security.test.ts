/** Who may not: wrong tokens, other users, other programs; and secrets, which nobody is to see. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { run, startMachines, TestDaemon } from "../support/daemon.ts";
import { sshdAvailable } from "../support/sshd.ts";

describe("the door", () => {
  let daemon: TestDaemon;
  beforeAll(async () => {
    // Under umask 0, everything that is private is so by our own doing.
    daemon = await TestDaemon.start({ prefix: ["/bin/sh", "-c", 'umask 0; exec "$@"', "sh"] });
    await daemon.ok("machine", "add", "local", "here");
    await daemon.ok("var", "set", "SECRET", "s3cr3t-value", "--secret");
    const job = await daemon.ended(await daemon.add("here", "umask; echo {SECRET} >/dev/null"));
    expect(daemon.output(job)).toBe("0000\n");
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
  });

  test("a wrong token: exit 4, one clear line, and nothing done", async () => {
    const other = join(daemon.folder, "other");
    mkdirSync(other);
    writeFileSync(
      join(other, "token"),
      readFileSync(join(daemon.stateDir, "token"), "latin1").replace(/[0-9a-f]/, (digit) => (digit === "0" ? "1" : "0")),
      { mode: 0o600 },
    );
    for (const words of [["ping"], ["job", "add", "here", "echo x"], ["stop"], ["job", "ls"]]) {
      const answer = await daemon.j(...words, "--state-dir", other);
      expect([answer.code, answer.stdout]).toEqual([4, ""]);
      expect(answer.stderr).toContain("does not accept the token");
      expect(answer.stderr.trimEnd().split("\n")).toHaveLength(2);
    }
    const none = await daemon.j("ping", "--state-dir", join(daemon.folder, "nowhere"));
    expect(none.code).toBe(4);
    expect(none.stderr).toContain("does not exist");
    expect(await daemon.json<unknown[]>("job", "ls")).toHaveLength(1);
  });

  test("a token that others can read is not used", async () => {
    const token = join(daemon.stateDir, "token");
    chmodSync(token, 0o644);
    try {
      const answer = await daemon.j("ping");
      expect(answer.code).toBe(4);
      expect(answer.stderr).toContain("chmod 600");
    } finally {
      chmodSync(token, 0o600);
    }
  });

  test("everything in the state folder is 0700 or 0600, although the umask was 0", async () => {
    await daemon.stop();
    await daemon.start();
    const open: string[] = [];
    for (const entry of ["", ...readdirSync(daemon.stateDir, { recursive: true }).map(String)]) {
      // What an earlier server left may be removed meanwhile.
      const mode = statSync(join(daemon.stateDir, entry), { throwIfNoEntry: false })?.mode ?? 0;
      if ((mode & 0o077) !== 0) open.push(`${entry} ${(mode & 0o777).toString(8)}`);
    }
    expect(open).toEqual([]);
  });

  test("the logs' folder is 0700 and the server's log 0600; a job's own follow the umask, as its results do", () => {
    const modes = ["", "server.log", ...readdirSync(daemon.logDir).filter((name) => name !== "server.log")].map(
      (name) => statSync(join(daemon.logDir, name)).mode & 0o777,
    );
    expect(modes).toEqual([0o700, 0o600, 0o666, 0o666]);
  });

  test.each([
    ["HTTP", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"],
    ["TLS", Buffer.from("160301020001000001fc0303", "hex")],
    ["SSH", "SSH-2.0-OpenSSH_9.2\r\n"],
    ["Redis", "*1\r\n$4\r\nPING\r\n"],
    ["random bytes", crypto.getRandomValues(new Uint8Array(4_096))],
    ["our first byte and then random ones", Uint8Array.of(0xe7, ...crypto.getRandomValues(new Uint8Array(300)))],
  ])("%s gets no word and a closed connection", async (_name, bytes) => {
    expect(await say(daemon.port, bytes)).toBe(0);
    expect((await daemon.j("ping")).code).toBe(0);
  });

  test("another host's address is not listened on", async () => {
    const listening = readFileSync("/proc/net/tcp", "utf8")
      .split("\n")
      .filter((line) => line.includes(`:${daemon.port.toString(16).toUpperCase().padStart(4, "0")} `) && line.includes(" 0A "));
    expect(listening.map((line) => line.trim().split(/\s+/)[1]?.split(":")[0])).toEqual(["0100007F"]);
  });

  test.skipIf(process.getuid?.() !== 0 || !existsSync("/usr/bin/su"))(
    "another user of the host cannot do or read anything, with a copy of the program (SKIPPED unless root)",
    async () => {
      const program = join(daemon.folder, "program");
      mkdirSync(program, { mode: 0o755 });
      await Bun.write(join(program, "j"), Bun.file(daemon.binary.expjobserver));
      chmodSync(join(program, "j"), 0o755);
      chmodSync(daemon.folder, 0o755);
      const asNobody = async (command: string) =>
        await run(["su", "nobody", "-s", "/bin/sh", "-c", command], { cwd: "/", env: { PATH: "/usr/bin:/bin" } });
      const j = `'${join(program, "j")}' --address ${daemon.address}`;
      const shut = await asNobody(`${j} --state-dir '${daemon.stateDir}' job ls`);
      expect([shut.code, shut.stdout]).toEqual([4, ""]);
      const own = await asNobody(
        `d=$(mktemp -d) && mkdir -m 700 $d/s && (umask 077; echo ${"ab".repeat(32)} >$d/s/token) && ${j} --state-dir $d/s job ls; c=$?; rm -rf $d; exit $c`,
      );
      expect([own.code, own.stdout]).toEqual([4, ""]);
      for (const folder of [daemon.stateDir, daemon.logDir]) expect((await asNobody(`ls '${folder}'`)).code).not.toBe(0);
      expect((await asNobody(`cat '${daemon.stateDir}/token' '${daemon.stateDir}/secrets.toml'`)).stdout).toBe("");
      expect(await daemon.json<unknown[]>("job", "ls")).toHaveLength(1);
    },
  );
});

describe("a secret variable", () => {
  test.skipIf(!sshdAvailable())(
    "reaches its jobs, and no file but secrets.toml, no listing and no command line (SKIPPED without sshd)",
    async () => {
      const canary = `canary-${crypto.randomUUID()}`;
      await using machines = await startMachines(1);
      await using daemon = await TestDaemon.start({ machines: machines.all, args: ["--log-level", "trace"] });
      const set = await run([daemon.binary.j, "var", "set", "SECRET", "-", "--secret"], {
        cwd: daemon.folder,
        env: daemon.environment,
        stdin: canary,
      });
      expect(set.code).toBe(0);
      await daemon.ok("machine", "add", ...machines.addresses, "remote");
      await daemon.ok("machine", "add", "local", "here");
      const results = join(daemon.folder, "results");
      const go = join(daemon.folder, "go");
      // The value is proved to be there by its checksum, twice: put in as text, and in the environment.
      const proof = "printf %s '{SECRET}' | sha256sum; printf %s \"$EXPJOB_VAR_SECRET\" | sha256sum";
      const wait = `while ! [ -e '${go}' ]; do sleep 0.05; done`;
      const jids = [
        await daemon.add("remote", `${proof}; mkdir -p out; echo 1 >out/r-'{JID}'; echo 'RESULTS: out/r-{JID}'; ${wait}`, results),
        await daemon.add("here", `${proof}; ${wait}`),
        await daemon.add("here", "echo {SECRET} >/dev/null; exit 3", "--retry", "--max-failures", "2"),
      ];
      for (const jid of jids.slice(0, 2)) await daemon.untilStatus(jid, "running");
      expect(commandLinesWith(canary)).toEqual([]);
      writeFileSync(go, "");
      const jobs = [await daemon.ended(jids[0] ?? -1), await daemon.ended(jids[1] ?? -1)];
      const digest = new Bun.CryptoHasher("sha256").update(canary).digest("hex");
      for (const job of jobs) {
        expect(job.status).toBe("done");
        expect(daemon.output(job).match(new RegExp(digest, "g"))).toHaveLength(2);
        expect(job.variables).toEqual({ SECRET: expect.not.stringContaining(canary) });
      }
      const shown: string[] = [];
      for (const words of [
        ["var", "ls"],
        ["var", "ls", "--json"],
        ["job", "ls"],
        ["job", "show", "0-2"],
        ["job", "show", "0-2", "--json"],
        ["job", "ls", "--json", "-a", "0"],
        ["job", "why", "2"],
        ["status"],
        ["job", "log", "0-2"],
        ["machine", "ls", "--json"],
      ]) {
        const answer = await daemon.j(...words);
        shown.push(answer.stdout, answer.stderr);
      }
      expect(shown.filter((text) => text.includes(canary))).toEqual([]);
      const held = (): string[] => [...filesWith(canary, daemon.folder), ...filesWith(canary, machines.folder)];
      expect(held().filter((path) => path !== join(daemon.stateDir, "secrets.toml"))).toEqual([]);
      // Through a snapshot, and a damaged one too.
      await daemon.stop();
      await daemon.start();
      expect(held()).toEqual([join(daemon.stateDir, "secrets.toml")]);
      await daemon.ok("var", "rm", "SECRET");
      await daemon.stop();
      expect(held()).toEqual([]);
    },
    120_000,
  );

  test("that is removed before its job starts: the job waits and says so, and runs when it is set again", async () => {
    await using daemon = await TestDaemon.start();
    await daemon.ok("var", "set", "PASS", "one", "--secret");
    const jid = await daemon.add("here", "test '{PASS}' = two");
    await daemon.ok("var", "rm", "PASS");
    await daemon.ok("machine", "add", "local", "here");
    expect(await daemon.ok("job", "why", String(jid))).toContain("PASS");
    expect((await daemon.show(jid)).status).toBe("waiting");
    await daemon.ok("var", "set", "PASS", "two", "--secret");
    expect((await daemon.ended(jid)).status).toBe("done");
  });
});

/** @returns how many bytes came back before the server hung up */
async function say(port: number, bytes: string | Uint8Array): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  let received = 0;
  const socket = connect({ port, host: "127.0.0.1" }, () => socket.write(bytes));
  socket.on("data", (chunk: Buffer) => {
    received += chunk.length;
  });
  socket.on("error", () => undefined);
  socket.on("close", () => resolve(received));
  return await promise;
}

function filesWith(text: string, folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).flatMap((entry) => {
    const path = join(entry.parentPath, entry.name);
    if (entry.name.includes(text)) return [path];
    return entry.isFile() && bytesOf(path).includes(text) ? [path] : [];
  });
}

/** None of a file that was removed since it was listed. */
function bytesOf(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return Buffer.alloc(0);
    throw error;
  }
}

function commandLinesWith(text: string): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, "latin1");
        return words.includes(text) ? [words] : [];
      } catch {
        // Gone in between.
        return [];
      }
    });
}
