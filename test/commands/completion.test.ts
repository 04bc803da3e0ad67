/** What is offered at each place of a command line, with a server that answers whatever the test wants. */
import { describe, expect, test } from "bun:test";
import type { ArgumentDefinition } from "../../src/commands/argument.ts";
import type { Group, Leaf } from "../../src/commands/command.ts";
import { choicesOf, sortsOf } from "../../src/commands/completion/sorts.ts";
import { root } from "../../src/commands/root.ts";
import type { CompletionKind, WireCompletion } from "../../src/protocol/methods/completion.ts";
import { bareEnvironment, runClient, type ScriptedServer, startScriptedServer } from "./scripted-server.ts";

const NOTHING: WireCompletion = { jobs: [], matrices: [], tags: [], machines: [], classes: [], variables: [] };

async function offered(live: Partial<WireCompletion>, ...lines: readonly string[]): Promise<string[][]> {
  // As the real one does: what was not asked for is empty.
  const asked = (kinds: readonly CompletionKind[]) => Object.fromEntries(kinds.map((kind) => [kind, live[kind] ?? []]));
  await using server = await startScriptedServer({ "completion.list": async ({ kinds }) => ({ ...NOTHING, ...asked(kinds) }) });
  const answers: string[][] = [];
  for (const line of lines) {
    answers.push(await tab(server, line));
  }
  return answers;
}

/** One TAB. It waits for a server for 400 ms at most: a host that takes so long is asked again. */
async function tab(server: ScriptedServer, line: string): Promise<string[]> {
  for (let attempt = 0; ; attempt++) {
    const before = performance.now();
    const asked = server.asked.length;
    const { code, out, err } = await server.run("complete", "--quoting", "posix", "--", line);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    if (performance.now() - before < 400 || attempt === 20) return out.trimEnd().split("\n");
    server.asked.length = asked;
  }
}

/** The values alone, without descriptions and the word about files. */
const values = (lines: readonly string[]): string[] =>
  lines.filter((line) => !line.startsWith(":")).map((line) => line.split("\t")[0] ?? "");

const jobs = [7, 5, 3].map((jid) => ({ jid, status: "running", command: `bench --size ${jid}` }));

describe("where a JID is taken", () => {
  test("jobs, matrices and tags are offered, the newest first, and none twice", async () => {
    const live = { jobs, matrices: [{ id: 4, class: "c", command: "m" }], tags: [{ id: 6 }] };
    const [all = [], rest = [], one = []] = await offered(live, "j job rm ", "j job rm 7 last ", "j job wait --timeout 2h ");
    expect(all).toEqual([
      "last\tthe job with the highest id",
      "7\trunning  bench --size 7",
      "6\ttag",
      "5\trunning  bench --size 5",
      "4\tmatrix in c  m",
      "3\trunning  bench --size 3",
      ":4",
    ]);
    expect(values(rest)).toEqual(["6", "5", "4", "3"]);
    expect(values(one)).toContain("7");
  });

  test("a range is completed with the jobs that come later", async () => {
    const [range = []] = await offered({ jobs }, "j job rm 4-");
    expect(values(range)).toContain("4-7");
    expect(values(range)).not.toContain("4-3");
  });

  test("a description is one harmless line that fits a terminal", async () => {
    const hostile = { jid: 1, status: "\x1b[2J", command: `a\n:4\n\x07\u202e$(x)\t${"w".repeat(200)}` };
    const [lines = []] = await offered({ jobs: [hostile] }, "j job rm ");
    expect(lines).toHaveLength(3);
    expect(lines[1]).toStartWith("1\t\\e[2J  a\\n:4\\n\\x07\\u202e$(x)\\twww");
    expect(Bun.stringWidth(lines[1]?.split("\t")[1] ?? "")).toBeLessThanOrEqual(72);
  });
});

test("a name that a shell might act on is not offered, whoever says that it exists", async () => {
  const bad = [
    "$(touch x)",
    "`x`",
    "a b",
    "a;b",
    "-rf",
    "a'b",
    'a"b',
    "a\nb",
    "\x1b[31m",
    "~root",
    "=ls",
    "a\\b",
    "*",
    "a&b",
    "",
    "a|b",
    "%1",
  ];
  const machines = [...bad, "node1:22", "[::1]:22", "me@node2"].map((addr) => ({ addr, class: "c", state: "free" }));
  const classes = [...bad, "c220g5"].map((name) => ({ name, machines: 1 }));
  const [addresses = [], names = []] = await offered({ machines, classes }, "j machine check ", "j job add ");
  expect(values(addresses)).toEqual(["node1:22", "[::1]:22", "me@node2"]);
  expect(values(names)).toEqual(["c220g5"]);
});

describe("flags", () => {
  test("are offered once, both spellings are known, and short ones after one hyphen", async () => {
    const lines = ["j job add --max_f", "j job add --retry --", "j job ls -", "j machine rm -m a --", "j --no"];
    const [underscored = [], given = [], short = [], repeated = [], negated = []] = await offered({}, ...lines);
    expect(values(underscored)).toContain("--max_failures");
    expect(values(given)).not.toContain("--retry");
    expect(values(given)).toContain("--max-failures");
    expect(values(short)).toContain("-n");
    expect(values(repeated)).toContain("--machine");
    expect(values(negated)).toContain("--no-color");
  });

  test("take their value after a space or an equals sign, and nothing is a flag after --", async () => {
    const live = { classes: [{ name: "small", machines: 1 }], machines: [{ addr: "m1", class: "small", state: "free" }] };
    const lines = [
      "j machine ls -c ",
      "j machine ls --class=",
      "j machine check -- -",
      "j machine rm -f ",
      "j serve --log-dir=",
      "j serve --log-level ",
    ];
    const [spaced = [], attached = [], ended = [], file = [], folder = [], level = []] = await offered(live, ...lines);
    expect(values(spaced)).toEqual(["small"]);
    expect(values(attached)).toEqual(["--class=small"]);
    expect(values(ended)).toEqual(["m1"]);
    expect(file).toEqual([":0"]);
    expect(folder).toEqual([":16"]);
    expect(values(level)).toEqual(["error", "warn", "info", "debug", "trace"]);
  });
});

test("commands are offered by level; after an unknown one nothing is; a path begins the old call of the server", async () => {
  const [top = [], group = [], unknown = [], path = []] = await offered({}, "j ", "j job matrix ", "j nonsense ", "expjobserver ./dri");
  expect(values(top)).toContain("completions");
  expect(values(top)).not.toContain("complete");
  expect(values(group)).toContain("add");
  expect(values(unknown)).not.toContain("job");
  expect(path).toEqual([":0"]);
});

test("the server is asked for what may stand there, and not at all for a command or a flag", async () => {
  await using server = await startScriptedServer({ "completion.list": async () => NOTHING });
  for (const line of ["j job", "j job ls --", "j machine rm -f ", "j job log "]) await tab(server, line);
  expect(server.asked).toEqual([{ method: "completion.list", params: { kinds: ["jobs", "matrices", "tags"] } }]);
});

test("whatever is wrong, a TAB says nothing about it", async () => {
  const environment = bareEnvironment("/nowhere");
  for (const argv of [
    [],
    ["--quoting"],
    ["--quoting", "base64", "--", "%%%"],
    ["--quoting", "none", "--"],
    ["--", "j --config /nowhere/x job rm "],
  ]) {
    expect(await runClient(["complete", ...argv], { environment })).toMatchObject({ code: 0, err: "" });
  }
});

/** What help calls these tells what they are; an argument called so is completed without more work. */
const TELLING = /^(JID|ADDR|CLASS|NEW_CLASS|FILE|PATH|DIR|TO|PROG)$/;

test("every id, machine, class and path of every command is completed", async () => {
  const missing: string[] = [];
  await eachLeaf(root, [], (leaf, path) => {
    for (const [name, definition] of Object.entries<ArgumentDefinition>(leaf.arguments)) {
      const hint = definition.valueHint ?? name.toUpperCase().replaceAll("-", "_");
      const known = sortsOf(name, definition).length > 0 || choicesOf(definition).length > 0;
      if (definition.type !== "boolean" && TELLING.test(hint) && !known) missing.push(`${path.join(" ")} ${hint}`);
    }
  });
  expect(missing).toEqual([]);
});

async function eachLeaf(
  command: Leaf | Group,
  path: readonly string[],
  visit: (leaf: Leaf, path: readonly string[]) => void,
): Promise<void> {
  if (command.kind === "leaf") return visit(command, path);
  for (const entry of command.commands) await eachLeaf(await entry.load(), [...path, entry.name], visit);
}
