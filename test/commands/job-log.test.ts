/** `job log` against scripted answers: several logs at once, logs of another host in the real less, signals and leftovers. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Socket } from "bun";
import { RequestError } from "../../src/protocol/error.ts";
import { waitFor } from "../support/wait-for.ts";
import { type ScriptedServer, startClient, startScriptedServer } from "./scripted-server.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const hasPagers = Bun.which("less") !== null && Bun.which("zless") !== null;
if (!hasPagers) console.warn("SKIPPED: tests of paging, because less or zless is not installed");

let server: ScriptedServer;
let temporary: string;
const bytes = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(text));
/** What job 7 writes next. */
let more = Promise.withResolvers<string>();

beforeAll(async () => {
  server = await startScriptedServer({
    "job.logs": async ({ ids, running }) => {
      if (running) return { logs: [], missing: [] };
      const wanted = ids.flatMap((selector) => (selector.kind === "id" ? [selector.id] : []));
      const logs = wanted
        .filter((jid) => jid !== 99)
        .flatMap((jid) => {
          const log = jid >= 50 ? join(server.stateDir, `log ${jid}`) : `/nowhere/logs/${jid}-bench`;
          // Job 12 is a setup job that is at its second command.
          const entry = { jid, status: "running" as const, log, err_log: null };
          return jid === 12 ? [1, 2].map((command) => ({ ...entry, command })) : [entry];
        });
      return { logs, missing: wanted.filter((jid) => jid === 99) };
    },
    "job.log-size": async ({ jid }) => ({ bytes: jid === 7 ? 12 : jid === 13 ? 1_000 : null }),
    "job.follow": async ({ jid }, { emit, signal }) => {
      const untilGone = (): Promise<never> => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      if (jid === 8) throw new RequestError("log-missing", { jid, path: "/nowhere/logs/8-bench" });
      if (jid === 7) {
        await emit(bytes("line "));
        await emit(bytes("of 7\nha"));
        await emit(bytes(await Promise.race([more.promise, untilGone()])));
        return await untilGone();
      }
      if (jid === 13) {
        await emit(bytes("fewer bytes than it has"));
        return await untilGone();
      }
      while (jid === 14) {
        signal.throwIfAborted();
        await emit(bytes("tick\n".repeat(1_000)));
      }
      if (jid === 12) {
        await emit(bytes("one\n"));
        await emit(new Uint8Array());
        await emit(bytes("two"));
      } else {
        await emit(bytes(`a\nb ${jid}`));
        await emit(bytes(`${jid}\n`));
      }
      return { status: "done" };
    },
  });
  temporary = join(server.stateDir, "tmp");
  mkdirSync(temporary);
});
afterAll(() => server[Symbol.asyncDispose]());

const leftovers = (): string[] => readdirSync(temporary);

describe("following several logs", () => {
  test("gives each line its job, whole, and a setup job's the command too", async () => {
    const ran = await server.run("job", "log", "-t", "3", "12", "4");
    expect([ran.code, ran.err]).toEqual([0, ""]);
    const lines = ran.out.split("\n");
    expect(lines.toSorted()).toEqual(["", "   3| a", "   3| b 33", "   4| a", "   4| b 44", "12.1| one", "12.2| two"]);
    expect(lines.filter((line) => line.includes("3| ")).slice(0, 2)).toEqual(["   3| a", "   3| b 33"]);
  });

  test("goes on when one cannot be read, and exits with 1", async () => {
    const ran = await server.run("job", "log", "-t", "3", "8", "99");
    expect(ran).toMatchObject({ code: 1, out: "3| a\n3| b 33\n" });
    expect(ran.err).toContain("There is no job, matrix or tag 99.");
    expect(ran.err).toContain('The log of job 8 cannot be read at "/nowhere/logs/8-bench".');
  });

  test("ends at Ctrl-C with 130", async () => {
    more = Promise.withResolvers();
    const child = startClient(["job", "log", "-t", "7", "3"], { environment: server.environment });
    const reader = child.stdout.getReader();
    let text = "";
    while (!text.includes("7| line of 7\n") || !text.includes("b 33")) text += new TextDecoder().decode((await reader.read()).value);
    child.kill("SIGINT");
    expect([await child.exited, await child.stderr.text()]).toEqual([130, ""]);
  });

  test("ends without a word when nobody reads", async () => {
    const child = startClient(["job", "log", "-t", "7", "14"], { environment: server.environment });
    const reader = child.stdout.getReader();
    await reader.read();
    await reader.cancel();
    expect([await child.exited, await child.stderr.text()]).toEqual([0, ""]);
  });

  test("ends without a word when its reader leaves with some of it unread: a socket is then reset", async () => {
    const { promise: reached, resolve } = Promise.withResolvers<Socket>();
    using reader = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: resolve } });
    const command = [process.execPath, MAIN, "job", "log", "-t", "7", "14"];
    const child = Bun.spawn(["bash", "-c", `exec "$@" > /dev/tcp/127.0.0.1/${reader.port}`, "bash", ...command], {
      env: server.environment,
      stdin: "ignore",
      stderr: "pipe",
    });
    (await reached).terminate();
    expect([await child.exited, await child.stderr.text()]).toEqual([0, ""]);
  });

  test("says when none runs, or when they are too many", async () => {
    expect(await server.run("job", "log", "-rt")).toEqual({ code: 0, out: "", err: "Warning: No job is running.\n" });
    const many = Array.from({ length: 61 }, (_, index) => String(100 + index));
    const ran = await server.run("job", "log", "-t", ...many);
    expect([ran.code, ran.err.split("\n")[0]]).toEqual([2, "That names 61 jobs, but 60 can be followed at a time."]);
  });

  test("is coloured on a terminal, and says how each job ended", async () => {
    const { text } = await onTerminal(["job", "log", "-t", "3", "4"]);
    expect(text).toContain("\x1b[36m3| \x1b[39ma\r\n");
    expect(text).toContain("\x1b[33m4| \x1b[39m\x1b[2m(done)\x1b[22m\r\n");
  });
});

describe("paths", () => {
  test("are those that exist: a compressed log is named as it is now", async () => {
    writeFileSync(join(server.stateDir, "log 50.gz"), gzipSync("compressed 50\n"));
    const path = join(server.stateDir, "log 50");
    expect(await server.run("job", "log", "50", "3")).toEqual({ code: 0, out: `${path}.gz\n/nowhere/logs/3-bench\n`, err: "" });
    const [log] = JSON.parse((await server.run("job", "log", "50", "--json")).out) as { log: string }[];
    expect(log?.log).toBe(`${path}.gz`);
    writeFileSync(path, "not yet removed\n");
    expect((await server.run("job", "log", "50")).out).toBe(`${path}\n`);
  });

  test("of ids and --running together are refused", async () => {
    const ran = await server.run("job", "log", "-r", "3");
    expect([ran.code, ran.err.split("\n")[0]]).toEqual([2, "Ids and --running do not go together."]);
  });
});

describe.skipIf(!hasPagers)("the pager (SKIPPED without less and zless)", () => {
  test("shows logs of another host, and nothing is left of their copies", async () => {
    const ran = await server.run("job", "log", "-l", "3", "12", "4", "99");
    expect(ran.out).toBe("a\nb 33\none\ntwoa\nb 44\n");
    expect(ran.code).toBe(1);
    const { text, code } = await onTerminal(["job", "log", "-l", "3"], "q", (shown) => shown.includes("b 33") && shown.includes("(END)"));
    expect(code).toBe(0);
    expect(text).toContain("3-bench");
    expect(leftovers()).toEqual([]);
  });

  test("shows what a log that grows has by now, and more when it comes; Ctrl-C is less's", async () => {
    more = Promise.withResolvers();
    const terminal = openTerminal(["job", "log", "-l", "7"]);
    await waitFor(() => terminal.text().includes("line of 7"), { what: terminal.text });
    more.resolve("lf and the rest\n");
    // F waits for more as `tail -f` does; Ctrl-C ends that and not less.
    terminal.type("F");
    await waitFor(() => terminal.text().includes("lf and the rest"), { what: terminal.text });
    await waitFor(() => terminal.text().includes("Waiting for data"), { what: terminal.text });
    const before = terminal.text().length;
    terminal.type("\x03");
    await waitFor(() => terminal.text().slice(before).includes(":") || terminal.text().slice(before).includes("END"), {
      what: terminal.text,
    });
    terminal.type("q");
    expect(await terminal.exited()).toBe(0);
    expect(leftovers()).toEqual([]);
  });

  test("opens compressed logs, and flags are handed on", async () => {
    writeFileSync(join(server.stateDir, "log 51.gz"), gzipSync("compressed 51\n"));
    writeFileSync(join(server.stateDir, "log 52"), "plain 52\n");
    expect((await server.run("job", "log", "-l", "51", "52")).out).toBe("compressed 51\nplain 52\n");
    expect((await server.run("job", "log", "-lz", "52")).out).toBe("plain 52\n");
    writeFileSync(join(server.stateDir, "log 53"), "\x1b[31mred\x1b[0m\n");
    const shown = async (flags: string): Promise<string> =>
      (await onTerminal(["job", "log", flags, "53"], "q", (text) => text.includes("red"))).text;
    expect(await shown("-lR")).toContain("\x1b[31mred");
    expect(await shown("-l")).not.toContain("\x1b[31mred");
  });

  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("%s while a log is fetched leaves nothing behind", async (signal) => {
    const terminal = openTerminal(["job", "log", "-l", "3", "13"]);
    const copies = (): string[] =>
      readdirSync(temporary, { recursive: true })
        .map(String)
        .filter((path) => path.endsWith("13-bench"));
    await waitFor(() => copies().length === 1);
    terminal.kill(signal);
    expect(await terminal.exited()).toBe({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }[signal]);
    expect(leftovers()).toEqual([]);
  });

  test("that is told to end takes its copies with it", async () => {
    const terminal = openTerminal(["job", "log", "-l", "3"]);
    await waitFor(() => terminal.text().includes("b 33"), { what: terminal.text });
    terminal.kill("SIGTERM");
    expect(await terminal.exited()).toBe(143);
    expect(leftovers()).toEqual([]);
  });

  test("that is missing is said in one line", async () => {
    const bin = join(server.stateDir, "bin");
    mkdirSync(bin, { recursive: true });
    for (const [argv, program] of [
      [["-l", "3"], "less"],
      [["-lz", "3"], "zless"],
      [["-l", "51"], "zless"],
    ] as const) {
      const child = startClient(["job", "log", ...argv], { environment: { ...server.environment, PATH: bin } });
      expect([await child.exited, (await child.stderr.text()).split("\n")[0]]).toEqual([1, `${program} is not installed on this host.`]);
    }
  });
});

interface Terminal {
  readonly text: () => string;
  readonly type: (keys: string) => void;
  readonly kill: (signal: NodeJS.Signals) => void;
  readonly exited: () => Promise<number>;
}

function openTerminal(argv: readonly string[]): Terminal {
  let shown = "";
  const child = Bun.spawn([process.execPath, MAIN, ...argv], {
    env: { ...server.environment, TERM: "xterm", TMPDIR: temporary, LESS: "" },
    terminal: {
      cols: 100,
      rows: 20,
      data: (_terminal, piece) => {
        shown += new TextDecoder().decode(piece);
      },
    },
  });
  return {
    text: () => shown,
    type: (keys) => void child.terminal?.write(keys),
    kill: (signal) => child.kill(signal),
    exited: async () => {
      const code = await child.exited;
      child.terminal?.close();
      return code;
    },
  };
}

async function onTerminal(
  argv: readonly string[],
  keys = "",
  isReady: (text: string) => boolean = () => true,
): Promise<{ text: string; code: number }> {
  const terminal = openTerminal(argv);
  if (keys !== "") {
    await waitFor(() => isReady(terminal.text()), { what: terminal.text });
    terminal.type(keys);
  }
  const code = await terminal.exited();
  return { text: terminal.text(), code };
}
