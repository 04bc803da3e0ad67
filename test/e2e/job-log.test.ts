/** `job log` on the built binary: paths, the real less on a terminal, several logs at once, logs of another host, compressed ones. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Answer, run, TestDaemon } from "../support/daemon.ts";
import { waitFor } from "../support/wait-for.ts";

const hasPagers = ["less", "zless", "gzip"].every((name) => Bun.which(name) !== null);
if (!hasPagers) console.warn("SKIPPED: tests of paging, because less, zless or gzip is not installed");
/** A host of its own as far as files go: the client sees an empty folder where the server keeps its logs. */
const elsewhere = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs none "$1" && shift && exec "$@"', "sh"];
const hasElsewhere = await canMount();
if (!hasElsewhere) console.warn("SKIPPED: logs of another host, because this host gives no mount namespaces (unshare -rm)");

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.start();
  await daemon.ok("machine", "add", "local/a", "local/b", "here");
});
afterAll(() => daemon[Symbol.asyncDispose]());

/** Writes the lines of `text`, one each time that the file `name` has been touched anew. */
const stepwise = (name: string, lines: number): string =>
  `n=0; while [ $n -lt ${lines} ]; do while [ ! -e ${join(daemon.folder, name)}.$n ]; do sleep 0.02; done; printf 'ha'; echo "lf $n of ${name}"; n=$((n+1)); done`;
const step = (name: string, index: number): void => writeFileSync(join(daemon.folder, `${name}.${index}`), "");

/** One job that has ended, with something in both logs. */
async function ended(text: string): Promise<number> {
  const jid = await daemon.add("here", `echo ${text}; echo ${text} error >&2`);
  await daemon.ended(jid);
  return jid;
}

describe("job log", () => {
  test("prints the path of a log, of both streams, and of what retention compressed", async () => {
    const jid = await ended("hello");
    const path = await daemon.ok("job", "log", String(jid));
    expect(path).toStartWith(`${daemon.logDir}/${jid}-`);
    expect(await daemon.ok("job", "log", "-e", String(jid))).toBe(`${path}.err`);
    if (Bun.which("gzip") === null) return;
    await run(["gzip", path], { cwd: daemon.folder, env: daemon.environment });
    expect(await daemon.ok("job", "log", String(jid))).toBe(`${path}.gz`);
    expect(await daemon.ok("job", "log", "-t", String(jid))).toBe("hello");
    if (hasPagers) expect(await daemon.ok("job", "log", "-l", String(jid))).toBe("hello");
  });

  test("follows several jobs at once, line by line, to the end of the last", async () => {
    const jids = [await daemon.add("here", stepwise("one", 2)), await daemon.add("here", stepwise("two", 2))];
    for (const jid of jids) await daemon.untilStatus(jid, "running");
    const child = Bun.spawn([daemon.binary.j, "job", "log", "-r", "-t"], { env: daemon.environment, stdout: "pipe", stderr: "pipe" });
    let text = "";
    const reading = (async (): Promise<void> => {
      for await (const piece of child.stdout) text += new TextDecoder().decode(piece);
    })();
    for (const [name, index] of [
      ["one", 0],
      ["two", 0],
      ["two", 1],
      ["one", 1],
    ] as const) {
      step(name, index);
      await waitFor(() => text.includes(`half ${index} of ${name}\n`), { what: () => text });
    }
    expect(await child.exited).toBe(0);
    await reading;
    const [one, two] = jids;
    expect(text).toBe(`${one}| half 0 of one\n${two}| half 0 of two\n${two}| half 1 of two\n${one}| half 1 of one\n`);
  });

  test("ends at Ctrl-C with 130 on a terminal, which is as it was", async () => {
    const jid = await daemon.add("here", stepwise("three", 1));
    await daemon.untilStatus(jid, "running");
    const terminal = openTerminal(["sh", "-c", `trap : INT; "${daemon.binary.j}" job log -t ${jid} ${jid - 1}; echo "code $?"; stty -a`]);
    await waitFor(() => terminal.text().includes("one"), { what: terminal.text });
    terminal.type("\x03");
    await waitFor(() => /code \d+[\s\S]*\becho\b/.test(terminal.text()), { what: terminal.text });
    expect(terminal.text()).toContain("code 130");
    expect(terminal.text()).toMatch(/ icanon\b/);
    expect(terminal.text()).not.toMatch(/ -echo\b/);
    await terminal.exited();
    step("three", 0);
  });

  test.skipIf(!hasPagers)("pages with the real less, whose Ctrl-C is its own (SKIPPED without less)", async () => {
    const jid = await ended("to be paged");
    const other = await ended("another page");
    const terminal = openTerminal([daemon.binary.j, "job", "log", "-l", String(jid), String(other)]);
    await waitFor(() => terminal.text().includes("to be paged"), { what: terminal.text });
    const before = terminal.text().length;
    // On its own: the terminal throws away what was typed with it.
    terminal.type("\x03");
    await waitFor(() => terminal.text().length > before, { what: terminal.text });
    terminal.type(":n");
    await waitFor(() => terminal.text().includes("another page"), { what: terminal.text });
    terminal.type("q");
    expect(await terminal.exited()).toBe(0);
  });

  test("says in one line that there is no less", async () => {
    const bin = join(daemon.folder, "bin");
    mkdirSync(bin, { recursive: true });
    const jid = await ended("unseen");
    const answer = await run([daemon.binary.j, "job", "log", "-l", String(jid)], {
      cwd: daemon.folder,
      env: { ...daemon.environment, PATH: bin },
    });
    expect(answer).toMatchObject({ code: 1, stdout: "" });
    expect(answer.stderr).toBe("less is not installed on this host.\nLeave out -l to get the path, or take -t.\n");
  });

  test("into a pipe that closes is silent", async () => {
    const jid = await daemon.add("here", "seq 200000");
    await daemon.ended(jid);
    const shell = `"${daemon.binary.j}" job log -t ${jid} ${jid} 2>errors | head -n 1; cat errors`;
    const { stdout } = await run(["sh", "-c", shell], { cwd: daemon.folder, env: daemon.environment });
    expect(stdout.split("\n").length).toBe(2);
  });
});

describe.skipIf(!hasElsewhere || !hasPagers)("from another host (SKIPPED without mount namespaces or less)", () => {
  const copies = (): string => join(daemon.folder, "copies");
  const there = async (...words: string[]): Promise<Answer> => {
    mkdirSync(copies(), { recursive: true });
    const env = { ...daemon.environment, TMPDIR: copies() };
    return await run([...elsewhere, daemon.logDir, daemon.binary.j, "job", "log", ...words], { cwd: daemon.folder, env });
  };

  test("a log is paged and followed through the connection, and its copy is removed", async () => {
    const jid = String(await ended("from afar"));
    expect(await there("-l", jid)).toEqual({ code: 0, stdout: "from afar\n", stderr: "" });
    expect(await there("-l", "-e", jid)).toEqual({ code: 0, stdout: "from afar error\n", stderr: "" });
    expect(await there("-t", jid)).toEqual({ code: 0, stdout: "from afar\n", stderr: "" });
    expect((await there(jid)).stdout).toBe(`${await daemon.ok("job", "log", jid)}\n`);
    expect(readdirSync(copies())).toEqual([]);
  });

  test("what was compressed comes as it was", async () => {
    const jid = String(await ended("small by now"));
    await run(["gzip", await daemon.ok("job", "log", jid)], { cwd: daemon.folder, env: daemon.environment });
    expect(await there("-l", jid)).toEqual({ code: 0, stdout: "small by now\n", stderr: "" });
  });

  test("a log that is gone there too is said to be, with exit code 1", async () => {
    const jid = String(await ended("gone"));
    rmSync(await daemon.ok("job", "log", jid));
    const answer = await there("-l", jid);
    expect(answer).toMatchObject({ code: 1, stdout: "" });
    expect(answer.stderr).toStartWith(`The log of job ${jid} cannot be read at "${daemon.logDir}/`);
  });
});

interface Terminal {
  readonly text: () => string;
  readonly type: (keys: string) => void;
  readonly exited: () => Promise<number>;
}

function openTerminal(command: readonly string[]): Terminal {
  let shown = "";
  const child = Bun.spawn([...command], {
    env: { ...daemon.environment, TERM: "xterm", LESS: "" },
    cwd: daemon.folder,
    terminal: {
      cols: 100,
      rows: 24,
      data: (_terminal, piece) => {
        shown += new TextDecoder().decode(piece);
      },
    },
  });
  return {
    text: () => shown,
    type: (keys) => void child.terminal?.write(keys),
    exited: async () => {
      const code = await child.exited;
      child.terminal?.close();
      return code;
    },
  };
}

async function canMount(): Promise<boolean> {
  if (Bun.which("unshare") === null) return false;
  const folder = mkdtempSync(join(tmpdir(), "expjob-mount-"));
  try {
    return (await Bun.spawn([...elsewhere, folder, "true"], { stdio: ["ignore", "ignore", "ignore"] }).exited) === 0;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
