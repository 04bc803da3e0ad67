/** `j machine setup` as it is typed: what is sent, what is printed, and what is refused before anything is sent. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { RequestError } from "../../src/protocol/error.ts";
import { type ScriptedServer, startScriptedServer } from "./scripted-server.ts";

let server: ScriptedServer;

beforeAll(async () => {
  server = await startScriptedServer({
    "machine.setup": async ({ addrs, existing, class: className, cmds }) => {
      if (className === "none") throw new RequestError("no-such-class", { class: className });
      const warnings = cmds.some((cmd) => cmd.includes("{WHAT}")) ? [{ code: "placeholder-undefined", data: { name: "WHAT" } }] : [];
      return { first: 4, count: existing ? 3 : addrs.length, warnings };
    },
  });
});
afterAll(async () => await server[Symbol.asyncDispose]());

const setUp = async (...words: readonly string[]) => await server.run("machine", "setup", ...words);

/** What reached the server. */
async function sent(...words: readonly string[]): Promise<unknown> {
  server.asked.length = 0;
  const ran = await setUp(...words);
  if (ran.code !== 0) throw new Error(ran.err);
  return server.asked[0]?.params;
}

function fileOf(name: string, text: string): string {
  const path = join(server.stateDir, name);
  writeFileSync(path, text);
  return path;
}

const REQUEST = { addrs: ["a:22"], existing: false, class: null, cmds: ["one"], timeout: null, stagger: 0, notify: false };

describe("what is sent", () => {
  test("as the old README writes it", async () => {
    const words = [
      "--class",
      "foo",
      "-m",
      "my.machine.foo.com:22",
      "--",
      "setup-the-thing {MACHINE} --flag --blah",
      "another-setup-command",
    ];
    expect(await sent(...words)).toEqual({
      ...REQUEST,
      addrs: ["my.machine.foo.com:22"],
      class: "foo",
      cmds: ["setup-the-thing {MACHINE} --flag --blah", "another-setup-command"],
    });
  });

  test("machines by name and from files, each once, in their order", async () => {
    const file = fileOf("lab", "# the lab\n\n a:22  # first\r\nb:22\n  \nc:22");
    expect(await sent("-m", "b:22", "-f", file, "-m", "d:22", "--", "one")).toMatchObject({ addrs: ["b:22", "d:22", "a:22", "c:22"] });
  });

  test("commands without --, flags on either side", async () => {
    expect(await sent("-m", "a:22", "one", "two words", "-c", "foo")).toMatchObject({ cmds: ["one", "two words"], class: "foo" });
    expect(await sent("one", "-m", "a:22")).toEqual(REQUEST);
  });

  test("all machines of a class", async () => {
    expect(await sent("-e", "-c", "foo", "--", "one")).toEqual({ ...REQUEST, addrs: [], existing: true, class: "foo" });
  });

  test("times: a bare timeout is minutes, a bare stagger seconds", async () => {
    expect(await sent("-m", "a:22", "--timeout", "7", "--stagger", "30", "--notify", "one")).toMatchObject({
      timeout: 420,
      stagger: 30,
      notify: true,
    });
    expect(await sent("-m", "a:22", "--timeout", "1h34m", "--stagger", "2m", "one")).toMatchObject({ timeout: 5_640, stagger: 120 });
  });
});

describe("what is printed", () => {
  test("is the ids, as job add prints them, and how many commands were understood", async () => {
    expect((await setUp("-m", "a", "one")).out).toBe("Queued job 4 (1 command)\n");
    expect((await setUp("-m", "a", "-m", "b", "make", "install")).out).toBe("Queued jobs 4-5 (2 commands each)\n");
    expect((await setUp("-m", "a", "-m", "b", "-q", "one")).out).toBe("4\n5\n");
    expect(JSON.parse((await setUp("-e", "-c", "foo", "--json", "one")).out)).toEqual({ jids: [4, 5, 6] });
  });

  test("is a warning for a name that nothing defines", async () => {
    expect((await setUp("-m", "a", "one {WHAT}")).err).toContain("Nothing defines {WHAT}");
  });

  test("is what the server refused", async () => {
    expect(await setUp("-e", "-c", "none", "one")).toMatchObject({ code: 1, err: expect.stringContaining('no machine in class "none"') });
  });
});

test("what cannot be meant is wrong usage, said in one line with what to do, and nothing is sent", async () => {
  const empty = fileOf("empty", "# nobody\n\n");
  const wrong: readonly (readonly [readonly string[], string])[] = [
    [["-c", "foo", "--", "one"], "No machine is named."],
    [["-m", "a"], "needs CMD."],
    [["-m", "a", "--"], "needs CMD."],
    [["-m", "a", "--", ""], "The command is empty."],
    [["-e", "--", "one"], "--existing needs a class."],
    [["-e", "-c", "foo", "-m", "a", "--", "one"], "--existing does not go with"],
    [["-e", "-c", "foo", "-f", empty, "--", "one"], "--existing does not go with"],
    [["-f", empty, "--", "one"], `There is no machine in "${empty}".`],
    [["-f", "/nowhere/at/all", "--", "one"], "cannot be read: ENOENT"],
    [["-m", "a", "--timeout", "soon", "--", "one"], '--timeout is "soon", which is no time.'],
    [["-m", "a", "--stagger", "soon", "--", "one"], '--stagger is "soon", which is no time.'],
    [["-m", "a", "-c", "foo", "-c", "bar", "--", "one"], "-c stands more than once."],
    [["-m", "a", "-c", "", "--", "one"], "-c needs a value"],
  ];
  for (const [words, message] of wrong) {
    server.asked.length = 0;
    const { code, out, err } = await setUp(...words);
    expect({ words, code, out, lines: err.trim().split("\n").length, asked: server.asked }).toEqual({
      words,
      code: 2,
      out: "",
      lines: 2,
      asked: [],
    });
    expect(err).toContain(message);
  }
});
