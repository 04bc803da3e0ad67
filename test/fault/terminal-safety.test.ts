/**
 * Whatever stands in a field that comes from outside, on a real terminal of 60, 80 and 200 columns only our own colours
 * reach it, listings are no wider than it, and columns stand where their headers stand. Every field of every answer is
 * filled, from the schemas themselves: by a server that lies as much as it can. Then the compiled server with hostile jobs.
 */
import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { VERSION } from "../../src/config/version.ts";
import { REPLY_BYTES_MAX } from "../../src/daemon/handlers/reply-size.ts";
import type { Handlers } from "../../src/daemon/server/handler.ts";
import { RequestError } from "../../src/protocol/error.ts";
import type { Method } from "../../src/protocol/method.ts";
import { METHODS, type MethodName } from "../../src/protocol/methods.ts";
import { TestServer } from "../daemon/server/test-server.ts";
import { buildTestBinary } from "../support/binary.ts";
import { TestDaemon } from "../support/daemon.ts";
import { type Pick, sampled } from "../support/sampled-value.ts";
import { waitFor } from "../support/wait-for.ts";
import { chooseSeed, count, randomFrom, report, timeoutMs } from "./forms.ts";

const seed = chooseSeed();
const rounds = count("terminal-safety", { short: 1, long: 200 });
const WIDTHS = [60, 80, 200] as const;
const AT_ONCE = 4;
/** Plain words, which nothing that is tried contains. */
const END_MARK = "<the end of what was shown>";

const HOSTILE: readonly string[] = [
  "plain",
  "\x1b[2J\x1b[H\x1b]0;title\x07\x1b[31mred",
  "\x9b31m\x90payload\x9c\x8e\x8f",
  "line\nbreak\r\nreturn\rover\ttab\x08\x08back\x07\x0b\x0c",
  "\u202egnp.exe\u202c \u2066isolate\u2069 \u061c",
  "zero\u200bwidth\u200d\ufeff\u2060\u00ad\u034f",
  "日本語の名前 全角ＡＢＣ",
  "👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 ❤️ 1️⃣",
  "e\u0301\u0302\u0303\u0304\u0305\u0306 \u0336strike",
  "\u2028\u2029\u0085 \u3164 \u115f \u{e0041}\u{e007f} \ud800",
  "한글 ᄀᆞᆼ ﷽ क्षि",
  "\0nul \x7fdel",
  "=cmd()|' /C calc'!A0 +1 -1 @x",
  "$(reboot) `id` ; rm -rf / \\ \" '",
  "x".repeat(5_000),
  "字".repeat(1_000),
  "",
];
const LARGE = ["\x1b[2J".repeat(250_000), "宽".repeat(333_333)];
const TIMES = ["2026-11-22T20:00:00.000Z", "2026-11-22T20:00:01.500Z"];
/** Words of fields that are no text: the schema says only that they are strings. */
const FIXED = { created: TIMES, started: TIMES, ended: TIMES, since: TIMES, now: TIMES } as const;

/** Listings: no line is wider than the terminal. What follows the header is where the column stands, found by what can stand in it. */
const LISTINGS: readonly { readonly words: readonly string[]; readonly column?: readonly [header: string, cells: RegExp] }[] = [
  { words: ["job", "ls"], column: ["Status", /(?:waiting|held|running|copying|done|failed|canceled|unknown)\b/] },
  { words: ["job", "ls", "-r"] },
  { words: ["job", "matrix", "ls", "0"] },
  { words: ["tag", "ls", "0"] },
  { words: ["tag", "ls"] },
  { words: ["machine", "ls"], column: ["State", /(?:free|busy|quarantined|unreachable)\b/] },
  { words: ["var", "ls"] },
  { words: ["job", "stat", "--after", "0"] },
  { words: ["job", "stat", "--after", "0", "--cmd", "--status", "--error"] },
];

/** Everything else that shows what it was sent: sentences may be long, nothing else. */
const OTHERS: readonly (readonly string[])[] = [
  ["job", "show", "0"],
  ["job", "show", "0", "--json"],
  ["job", "ls", "--json"],
  ["job", "ls", "-q"],
  ["job", "why", "0"],
  ["job", "log", "0"],
  ["job", "wait", "0", "--timeout", "1s"],
  ["job", "matrix", "csv", "0"],
  ["job", "stat", "--json", "--after", "0"],
  ["job", "stat", "--csv", "--after", "0"],
  ["job", "cpresults", "/nonexistent", "0"],
  ["job", "add", "x", "y"],
  ["job", "add", "x", "y", "--dry-run"],
  ["job", "rm", "0"],
  ["job", "hold", "0"],
  ["job", "clone", "0"],
  ["job", "restart", "0"],
  ["job", "line", "0"],
  ["job", "matrix", "add", "x", "y", "K=1"],
  ["machine", "add", "m", "x"],
  ["machine", "rm", "-c", "x"],
  ["machine", "mv", "-c", "x", "y"],
  ["machine", "restore", "m"],
  ["machine", "check"],
  ["machine", "ls", "--json"],
  ["machine", "setup", "-m", "m", "--", "true"],
  ["var", "set", "A", "1"],
  ["var", "rm", "A"],
  ["var", "ls", "--json"],
  ["notify", "test"],
  ["status"],
  ["status", "--json"],
  ["ping"],
  ["complete", "--quoting", "none", "--", "j", "job", "show", ""],
  ["complete", "--quoting", "none", "--", "j", "machine", "rm", "-m", ""],
];

test(
  `${rounds} times every command, with hostile text in every field, at ${WIDTHS.join(", ")} columns: only our own escapes, nothing wider (seed ${seed})`,
  async () => {
    const startedAt = performance.now();
    const { j } = await buildTestBinary();
    const chance = randomFrom(seed);
    const pick: Pick = (below) => Math.floor(chance() * below);
    const faults: string[] = [];
    let shown = 0;
    for (let round = 0; round < rounds; round += 1) {
      const refusing = round % 3 === 2;
      await using server = await TestServer.start({ handlers: lyingHandlers(pick, refusing), version: VERSION });
      const calls = [...LISTINGS, ...OTHERS.map((words) => ({ words, column: undefined }))].flatMap((call) =>
        WIDTHS.map((width) => ({ ...call, width, isListing: LISTINGS.some(({ words }) => words === call.words) })),
      );
      await eachOf(calls, async ({ words, width, column, isListing }) => {
        const environment = { PATH: process.env["PATH"] ?? "", HOME: server.folder, TERM: "xterm-256color", LANG: "C.UTF-8" };
        const address = ["--address", server.address, "--state-dir", server.folder];
        const terminal = words[0] === "complete" ? [...words] : [...words, ...address];
        const given = words.includes("--") && words[0] !== "complete" ? withFlags(words, address) : terminal;
        const output = await onTerminal([j, ...given], width, {
          ...environment,
          EXPJOBSERVER_ADDRESS: server.address,
          EXPJOBSERVER_STATE_DIR: server.folder,
        });
        shown += 1;
        // One tab a line is the shell's own way to tell a word from what it means.
        const read = words[0] === "complete" ? output.replace(/^([^\t\n]*)\t/gm, "$1 ") : output;
        for (const fault of faultsOf(read, { width: isListing && !refusing ? width : null, column: column ?? null })) {
          faults.push(`${words.join(" ")} at ${width}: ${fault}`);
        }
      });
      expect(server.errors).toEqual([]);
    }
    report({ name: "terminal-safety", count: shown, violations: faults.length, seed, seconds: (performance.now() - startedAt) / 1_000 });
    expect(faults.slice(0, 20)).toEqual([]);
  },
  timeoutMs(60_000),
);

test(
  "what hostile jobs, files and folders of the compiled server leave to be shown is as harmless",
  async () => {
    const startedAt = performance.now();
    await using daemon = await TestDaemon.start();
    await daemon.ok("machine", "add", "local", "local/a", "here");
    const nasty = "\x1b[31m\u202e\x9b2J日本👍\u200b";
    await daemon.ok("var", "set", "V", `${nasty}\r\n\x07`);
    const out = join(daemon.folder, `out${nasty}`);
    mkdirSync(out);
    writeFileSync(join(out, `file${nasty}\nsecond`), "1");
    const jids = [
      await daemon.add("here", `printf '%s' '${nasty}\r' >&2; exit 3 # {V}`),
      await daemon.add("here", `echo '${nasty}'; printf 'RESULTS: ${out}/\\n' # ${nasty}`, join(daemon.folder, `to${nasty}`)),
      await daemon.add("here", `printf 'RESULTS: \\033[2J\\n' # ${"x".repeat(60_000)}`, join(daemon.folder, "to")),
      await daemon.add("here", `'/nonexistent/${nasty}'`),
    ];
    const { jids: cells } = await daemon.json<{ jids: number[] }>("job", "matrix", "add", "here", ": {K}", `K=${nasty},\u202e,b`);
    for (const jid of [...jids, ...cells]) await daemon.ended(jid);
    const faults: string[] = [];
    const calls = [...LISTINGS.map(({ words }) => words), ["job", "show", "0-100"], ["job", "log", "0-100"], ["job", "matrix", "csv", "4"]];
    for (const words of calls) {
      for (const width of WIDTHS) {
        const output = await onTerminal([daemon.binary.j, ...words], width, { ...daemon.environment, TERM: "xterm-256color" });
        const listing = LISTINGS.find((one) => one.words === words);
        for (const fault of faultsOf(output, { width: listing === undefined ? null : width, column: listing?.column ?? null })) {
          faults.push(`${words.join(" ")} at ${width}: ${fault}`);
        }
      }
    }
    // The server's own log is read on terminals too.
    const own = daemon.stderr.split("\n").flatMap((line) => faultsOf(line, { width: null, column: null }));
    const tried = calls.length * WIDTHS.length + 1;
    const violations = faults.length + own.length;
    report({ name: "hostile-jobs-shown", count: tried, violations, seed: null, seconds: (performance.now() - startedAt) / 1_000 });
    expect({ faults: faults.slice(0, 20), own: own.slice(0, 5) }).toEqual({ faults: [], own: [] });
  },
  timeoutMs(60_000),
);

/** Answers as the schemas allow, with hostile text wherever they say "string"; or refuses everything in hostile words. */
function lyingHandlers(pick: Pick, refusing: boolean): Partial<Handlers> {
  const text = { "": [...HOSTILE, ...(pick(3) === 0 ? LARGE : [])], ...FIXED };
  const lie = (method: Method) => async (_params: unknown, context: { emit(chunk: unknown): Promise<void> }) => {
    if (refusing) {
      const code = chosen(["no-such-job", "limit-exceeded", "log-missing", "bad-request", chosen(HOSTILE, pick)], pick);
      throw new RequestError(code, {
        jid: 1,
        path: chosen(HOSTILE, pick),
        what: chosen(HOSTILE, pick),
        [chosen(HOSTILE, pick)]: chosen(HOSTILE, pick),
      });
    }
    if (method.chunk !== undefined)
      for (let left = 1 + pick(3); left > 0; left -= 1) await context.emit(sendable(method.chunk, pick, text));
    return sendable(method.result, pick, text);
  };
  return Object.fromEntries(
    (Object.keys(METHODS) as MethodName[]).map((name) => [name, lie(METHODS[name])]),
  ) as unknown as Partial<Handlers>;
}

/** Drawn again until it fits a frame as JSON text: what a server cannot send never reaches a screen. */
function sendable(...[schema, pick, text]: Parameters<typeof sampled>): unknown {
  for (;;) {
    const value = sampled(schema, pick, text);
    if (Buffer.byteLength(JSON.stringify(value) ?? "") <= REPLY_BYTES_MAX) return value;
  }
}

function chosen(items: readonly string[], pick: Pick): string {
  return items[pick(items.length)] ?? "";
}

/** Flags of ours stand before the two hyphens. */
function withFlags(words: readonly string[], flags: readonly string[]): string[] {
  const end = words.indexOf("--");
  return [...words.slice(0, end), ...flags, ...words.slice(end)];
}

/** What a terminal of this width is sent. */
async function onTerminal(command: readonly string[], columns: number, environment: Record<string, string>): Promise<string> {
  const parts: Uint8Array[] = [];
  const terminal = new Bun.Terminal({ cols: columns, rows: 50, data: (_terminal, bytes) => parts.push(bytes.slice()) });
  // What was written last is lost now and then when the terminal is closed as its program ends: so it stays for one word more.
  const child = Bun.spawn(["/bin/sh", "-c", `"$@"; printf '${END_MARK}'; read -r _`, "sh", ...command], { env: environment, terminal });
  const output = (): string => Buffer.concat(parts).toString("utf8");
  await waitFor(() => output().endsWith(END_MARK), { what: () => `the end of ${command.slice(1).join(" ")}: ${output().slice(-500)}` });
  terminal.write("\n");
  await child.exited;
  await terminal[Symbol.asyncDispose]?.();
  return output().split(END_MARK)[0] ?? "";
}

interface Judgement {
  /** null: lines may be longer, the terminal folds them. */
  readonly width: number | null;
  readonly column: readonly [header: string, cells: RegExp] | null;
}

/** Our own: bold, dim, underlined, colours, and their ends. */
const OWN = /\x1b\[(?:0|1|2|4|22|24|3[0-9]|39|9[0-7]|[0-9];[0-9]{1,2}|38;5;[0-9]{1,3})?m/g;
const HARMFUL = /[\p{C}\p{Zl}\p{Zp}\p{DI}]/u;

function faultsOf(output: string, { width, column }: Judgement): string[] {
  const faults: string[] = [];
  const lines = output.replaceAll("\r\n", "\n").split("\n");
  const bare = lines.map((line) => line.replace(OWN, ""));
  for (const line of bare) {
    const harm = HARMFUL.exec(line);
    if (harm !== null)
      faults.push(
        `U+${harm[0].codePointAt(0)?.toString(16)} in ${JSON.stringify(line.slice(Math.max(0, harm.index - 30), harm.index + 30))}`,
      );
    if (width !== null && Bun.stringWidth(line) > width)
      faults.push(`${Bun.stringWidth(line)} columns: ${JSON.stringify(line.slice(0, 300))}`);
  }
  if (/\bat \S+ \(.*:\d+:\d+\)/.test(output) || /\b(?:TypeError|RangeError|ReferenceError)\b/.test(output))
    faults.push(`crashed: ${output.slice(-500)}`);
  if (column !== null) faults.push(...misaligned(bare, column));
  return faults;
}

/** The word of a known column has to stand where its header stands, in every row that has not been cut before it. */
function misaligned(lines: readonly string[], [header, cells]: readonly [string, RegExp]): string[] {
  const from = lines.findIndex((line) => line.includes(` ${header} `));
  const head = lines[from];
  if (head === undefined) return [];
  const at = Bun.stringWidth(head.slice(0, head.indexOf(` ${header} `) + 1));
  return lines.slice(from + 1).flatMap((line) => {
    if (!/^ +\d+ |^ \S/.test(line) || line.includes("─")) return [];
    const rest = Bun.sliceAnsi(line, at);
    return cells.test(line) && cells.exec(rest)?.index !== 0 && !line.endsWith("…")
      ? [`not at column ${at}: ${JSON.stringify(line.slice(0, 300))}`]
      : [];
  });
}

async function eachOf<Item>(items: readonly Item[], once: (item: Item) => Promise<void>): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) await once(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}
