import { describe, expect, test } from "bun:test";
import type { Group, Leaf } from "../../src/commands/command.ts";
import { UsageError } from "../../src/commands/failure.ts";
import { renderHelp } from "../../src/commands/help.ts";
import { parseIds } from "../../src/commands/ids.ts";
import { parseMatrixWords } from "../../src/commands/matrix/keys.ts";
import { isOldCall, readOldCall } from "../../src/commands/old-call.ts";
import { type ParsedCall, parseCommandLine } from "../../src/commands/parse.ts";
import { root } from "../../src/commands/root.ts";
import { parseRetry, parseTime } from "../../src/commands/values.ts";

async function call(line: string | readonly string[]): Promise<ParsedCall> {
  const parsed = await parseCommandLine(root, typeof line === "string" ? line.split(" ") : line);
  if (parsed.kind !== "call") throw new Error(`not a call but ${parsed.kind}`);
  return parsed;
}

async function refusal(line: string): Promise<{ message: string; hint: string; exitCode: number }> {
  const words = line === "" ? [] : line.split(" ");
  const error = await parseCommandLine(root, words).then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof UsageError)) throw new Error(`not refused: ${line}`);
  return { message: error.message, hint: error.hint, exitCode: error.exitCode };
}

const flagsOf = (parsed: ParsedCall): Record<string, readonly string[]> => Object.fromEntries(parsed.flags);

describe("a command line", () => {
  test("is read with its words and flags in any order", async () => {
    const parsed = await call(["job", "add", "-x", "3", "foo", "--retry", "bar --the", "--timeout=2h", "/results"]);
    expect(parsed.path).toEqual(["job", "add"]);
    expect(parsed.words).toEqual(["foo", "bar --the", "/results"]);
    expect(flagsOf(parsed)).toEqual({ times: ["3"], retry: [], timeout: ["2h"] });
  });

  test("takes flags in both spellings", async () => {
    expect(flagsOf(await call("job add --max_failures 3 a b"))).toEqual({ "max-failures": ["3"] });
    expect(flagsOf(await call("job add --max-failures=3 a b"))).toEqual({ "max-failures": ["3"] });
  });

  test("takes short flags alone, together and with their value attached", async () => {
    expect(flagsOf(await call("job log -er 3"))).toEqual({ error: [], running: [] });
    expect(flagsOf(await call("job ls -n5"))).toEqual({ limit: ["5"] });
    expect(flagsOf(await call("job ls -n=5"))).toEqual({ limit: ["5"] });
    expect(flagsOf(await call("job ls -rn 5"))).toEqual({ running: [], limit: ["5"] });
  });

  test("takes global flags before and after the command", async () => {
    for (const line of [
      "--json --address 127.0.0.1:1 job ls",
      "job --json ls --address=127.0.0.1:1",
      "job ls --address 127.0.0.1:1 --json",
    ]) {
      expect((await call(line)).globals).toMatchObject({ json: true, address: "127.0.0.1:1", colour: true, quiet: false });
    }
    expect((await call("job ls --no-color -q --state_dir /s")).globals).toMatchObject({ colour: false, quiet: true, stateDir: "/s" });
  });

  test("repeats flags where that makes sense", async () => {
    expect(flagsOf(await call("machine rm -m a -m b --machine=c"))).toEqual({ machine: ["a", "b", "c"] });
    expect((await refusal("job ls -n 3 -n 4")).message).toBe("-n stands more than once.");
  });

  test("ends flags at --", async () => {
    expect((await call("var set NAME -- -secret")).words).toEqual(["NAME", "-secret"]);
    expect((await call(["job", "add", "--", "foo", "--help"])).words).toEqual(["foo", "--help"]);
    expect((await call("var set NAME -")).words).toEqual(["NAME", "-"]);
  });

  test("gives a flag what looks like one, unless it is one", async () => {
    expect(flagsOf(await call("serve --runner-arg --print_results_path"))).toEqual({ "runner-arg": ["--print_results_path"] });
    expect((await refusal("serve --runner-arg --json")).hint).toBe("If that is the value, write --runner-arg=--json.");
  });

  test("takes `stat` for `ls` of a matrix", async () => {
    expect((await call("job matrix stat 5")).path).toEqual(["job", "matrix", "ls"]);
  });

  test("a flag of many values takes all words up to the next flag", async () => {
    const command: Leaf = {
      kind: "leaf",
      name: "stat",
      summary: "",
      example: "",
      arguments: { id: { type: "string", many: true, valueHint: "JID" }, csv: { type: "boolean" } },
      run: () => Promise.resolve(0),
    };
    const tree: Group = {
      kind: "group",
      name: "j",
      summary: "",
      example: "",
      commands: [{ name: "stat", summary: "", load: () => Promise.resolve(command) }],
    };
    const parsed = await parseCommandLine(tree, ["stat", "--id", "1", "2-5", "last", "--csv", "--id=9"]);
    expect(parsed.kind === "call" && flagsOf(parsed)).toEqual({ id: ["1", "2-5", "last", "9"], csv: [] });
  });
});

describe("a wrong command line", () => {
  const cases: [string, string, string][] = [
    ["jbo ls", 'There is no command "jbo".', "Did you mean `j job`?"],
    ["job lst", 'There is no command "job lst".', "Did you mean `j job ls`"],
    ["xyzzy", 'There is no command "xyzzy".', "The commands are: job, machine"],
    ["job list", 'There is no command "job list".', "Did you mean `j job ls`?"],
    ["job cancel 3", 'There is no command "job cancel".', "Did you mean `j job rm`?"],
    ["machine delete x", 'There is no command "machine delete".', "Did you mean `j machine rm`?"],
    ["ls", 'There is no command "ls".', "Did you mean `j job ls` or `j machine ls` or `j var ls`?"],
    ["matrix add", 'There is no command "matrix".', "Did you mean `j job matrix`?"],
    ["submit zz x", 'There is no command "submit".', "Did you mean `j job add` or `j machine add`?"],
    ["start", 'There is no command "start".', "Did you mean `j serve`?"],
    ["version", 'There is no command "version".', "Did you mean `j --version`?"],
    ["job ls -5", 'There is no flag "-5" for `j job ls`.', "Did you mean -n 5?"],
    ["job show -5", 'There is no flag "-5" for `j job show`.', "--help"],
    ["job ls --jsn", 'There is no flag "--jsn" for `j job ls`.', "Did you mean --json?"],
    ["job add --max-failure 3 a b", 'There is no flag "--max-failure" for `j job add`.', "Did you mean --max-failures?"],
    ["job ls -x", 'There is no flag "-x" for `j job ls`.', "--help"],
    ["job ls -rk", 'There is no flag "-k" in "-rk" for `j job ls`.', "--help"],
    ["job ls --no-json", 'There is no flag "--no-json" for `j job ls`.', ""],
    ["job ls --running=yes", "--running takes no value.", 'Leave out "=yes".'],
    ["job ls -n", "-n needs a value.", "Write -n N."],
    ["job ls --limit=", "--limit needs a value, but it is empty.", "Write --limit N."],
    ["job ls -n --running", "-n needs a value, but the flag --running follows.", "write -n=--running"],
    ["job add foo", "`j job add` needs CMD.", "Write j job add CLASS CMD [CP_PATH]; `j job add --help` tells more."],
    ["job show", "`j job show` needs JID.", "Write j job show JID...; `j job show --help` tells more."],
    [
      "job matrix add zz x",
      "`j job matrix add` needs [CP_PATH] KEY=V1,V2,...",
      "Write j job matrix add CLASS CMD [CP_PATH] KEY=V1,V2,...; ",
    ],
    [
      "serve extra",
      '`expjobserver serve` does not take another word: "extra".',
      "It takes flags only: `expjobserver serve --help` lists them.",
    ],
    ["ping now", '`j ping` does not take another word: "now".', "It takes flags only: `j ping --help` lists them."],
    ["serve --runer x", 'There is no flag "--runer" for `expjobserver serve`.', "Did you mean --runner?"],
    ["job add a b c d", '`j job add` does not take another word: "d".', "quotes"],
    ["--address", "--address needs a value.", "HOST:PORT"],
  ];
  for (const [line, message, hint] of cases) {
    test(`is refused: ${line}`, async () => {
      const refused = await refusal(line);
      expect(refused.message).toBe(message);
      expect(refused.hint).toContain(hint);
      expect(refused.exitCode).toBe(2);
    });
  }
});

describe("help", () => {
  test("has an example at every level", async () => {
    for (const path of [[], ["job"], ["machine"], ["var"], ["job", "matrix"]]) {
      const parsed = await parseCommandLine(root, [...path, "--help"]);
      expect(parsed.kind === "help" && renderHelp(parsed.command, path, 80)).toMatch(/\nExample:\n {2}\S/);
    }
  });

  test("is given for a word as well, at every level", async () => {
    for (const line of ["help", "help job", "job help", "job matrix help", "machine help"]) {
      expect(await parseCommandLine(root, line.split(" "))).toMatchObject({ kind: "help", wanted: true });
    }
  });

  async function everyCommand(group: Group, path: readonly string[]): Promise<{ path: readonly string[]; command: Leaf | Group }[]> {
    const below = await Promise.all(
      group.commands.map(async (entry) => {
        const command = await entry.load();
        const here = [...path, entry.name];
        return command.kind === "group" ? everyCommand(command, here) : [{ path: here, command }];
      }),
    );
    return [{ path, command: group }, ...below.flat()];
  }

  test("of every command is as before, and fits 80 columns", async () => {
    for (const { path, command } of await everyCommand(root, [])) {
      const help = renderHelp(command, path, 80);
      const usage = help.split("\n\nExample:")[0] ?? "";
      expect(usage.split("\n").filter((line) => line.length > 80)).toEqual([]);
      expect(help).toMatchSnapshot(["j", ...path].join(" "));
    }
  });

  test("names an example for every command that can be parsed itself", async () => {
    for (const { command } of await everyCommand(root, [])) {
      if (command.kind === "group") continue;
      expect(command.example).toMatch(/(^|\| )(j|expjobserver) /);
    }
  });

  test("is given to who asks for it, whatever else is wrong", async () => {
    for (const line of ["job add --help", "job add --nonsense -h", "job --help", "help job add", "--help"]) {
      expect((await parseCommandLine(root, line.split(" "))).kind).toBe("help");
    }
  });

  test("every short flag has a long form", async () => {
    for (const { command } of await everyCommand(root, [])) {
      if (command.kind === "group") continue;
      for (const name of Object.keys(command.arguments)) expect(name.length).toBeGreaterThan(1);
    }
  });
});

describe("values", () => {
  test("ids are numbers, last and ranges", () => {
    expect(parseIds(["3", "last", "5-9", "0"])).toEqual([
      { kind: "id", id: 3 },
      { kind: "last" },
      { kind: "range", first: 5, last: 9 },
      { kind: "id", id: 0 },
    ]);
    for (const word of ["x", "-1", "3-", "1.5", "", "99999999999", "9-5", "last-3"]) expect(() => parseIds([word])).toThrow(UsageError);
  });

  test("times are seconds, a bare number minutes", () => {
    expect(["90s", "15m", "1h34m", "2d", "5", "0.5"].map((typed) => parseTime(typed, "--timeout"))).toEqual([
      90, 900, 5_640, 172_800, 300, 30,
    ]);
    for (const typed of ["0", "-5", "5x", "m5", "1m1h", "", "1e3", " 5"]) expect(() => parseTime(typed, "--timeout")).toThrow(UsageError);
  });

  test("retries follow their two flags", () => {
    expect(parseRetry(undefined, undefined)).toBeNull();
    expect(parseRetry(true, undefined)).toEqual({ max_failures: null });
    expect(parseRetry(undefined, "3")).toEqual({ max_failures: 3 });
    expect(parseRetry(undefined, "0")).toEqual({ max_failures: null });
    expect(() => parseRetry(undefined, "many")).toThrow(UsageError);
  });

  test("a matrix has keys in the order typed, commas escaped", () => {
    expect(parseMatrixWords(["/r", "I=1,2", "J=a\\,b,c\\d", "K="])).toEqual({
      copyTo: "/r",
      keys: [
        { name: "I", values: ["1", "2"] },
        { name: "J", values: ["a,b", "c\\d"] },
        { name: "K", values: [""] },
      ],
    });
    expect(parseMatrixWords(["I=1=2"]).keys).toEqual([{ name: "I", values: ["1=2"] }]);
    for (const words of [[], ["/r"], ["/r", "/s"], ["I=1", "I=2"], ["I=1", "2J=1"]])
      expect(() => parseMatrixWords(words)).toThrow(UsageError);
  });
});

describe("the old call of the server", () => {
  test("is known by a slash in its first word", () => {
    expect(isOldCall(["./driver", "logs"])).toBe(true);
    expect(isOldCall(["--allow_snap_fail", "/driver", "logs"])).toBe(true);
    for (const words of [["serve"], ["job", "ls"], [], ["--address", "a/b"]]) expect(isOldCall(words)).toBe(false);
  });

  test("becomes one of serve", () => {
    const { argv, notes } = readOldCall(["/d", "/logs", "/c.toml", "--allow_snap_fail", "--detach"]);
    expect(argv).toEqual(["serve", "--runner=/d", "--log-dir=/logs", "--config=/c.toml", "--allow-snap-fail", "--detach"]);
    expect(notes.join()).toContain("--runner-arg --print_results_path");
  });

  test("takes an old logging config with a warning, and no other", () => {
    const { argv, notes } = readOldCall(["/d", "/logs", "log4rs.yml"]);
    expect(argv.join(" ")).not.toContain("log4rs");
    expect(notes.join()).toContain("log4rs.yml");
    for (const words of [["/d"], ["/d", "/l", "c.ini"], ["/d", "/l", "c.toml", "x"]]) expect(() => readOldCall(words)).toThrow(UsageError);
  });
});
