/** On a real terminal: its width is found, colours are on unless told otherwise, and nothing a job says acts on it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { waitFor } from "../support/wait-for.ts";
import { LISTING, wireJob } from "../terminal/samples.ts";
import { type ScriptedServer, startScriptedServer } from "./scripted-server.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const HOSTILE = "\x1b[2J\x1b]0;title\x07red\r\n\u202eevil\tend\n";
let server: ScriptedServer;

beforeAll(async () => {
  server = await startScriptedServer({
    "job.list": async (_params, { emit }) => {
      await emit([...LISTING.rows, { kind: "job", job: wireJob({ jid: 278, cmd: `日本語 ${HOSTILE}`.repeat(9), machine: HOSTILE }) }]);
      return { counts: LISTING.counts, missing: [] };
    },
    "job.logs": async ({ ids }) => ({
      logs: [{ jid: 7, status: "done", log: ids.length > 1 ? join(server.stateDir, "log") : "/logs/7", err_log: null }],
      missing: ids.length > 1 ? [99] : [],
    }),
    "job.follow": async (_params, { emit }) => {
      const bytes = new TextEncoder().encode(HOSTILE.repeat(2));
      // Cut inside a line break and inside a character, as a log that grows may be.
      const cut = HOSTILE.indexOf("\r") + 1;
      await emit(new Uint8Array(bytes.subarray(0, cut)));
      await emit(new Uint8Array(bytes.subarray(cut, cut + 2)));
      await emit(new Uint8Array(bytes.subarray(cut + 2)));
      return { status: "done" };
    },
  });
});
afterAll(() => server[Symbol.asyncDispose]());

async function onTerminal(columns: number, argv: readonly string[], environment: Record<string, string> = {}): Promise<string[]> {
  let text = "";
  const decoder = new TextDecoder();
  const child = Bun.spawn([process.execPath, MAIN, ...argv], {
    env: { ...server.environment, TERM: "xterm", ...environment },
    terminal: {
      cols: columns,
      rows: 24,
      data: (_terminal, bytes) => {
        text += decoder.decode(bytes, { stream: true });
      },
    },
  });
  await child.exited;
  child.terminal?.close();
  return text.replace(/\r?\n$/, "").split("\r\n");
}

describe("the pager", () => {
  test("outlives Ctrl-C, and what was not found makes the exit code 1", async () => {
    writeFileSync(join(server.stateDir, "log"), "a line\n");
    const pager = ["#!/bin/sh", "trap 'echo interrupted' INT", "echo ready", "until read -r key; do :; done", 'echo "took $key"', ""].join(
      "\n",
    );
    writeFileSync(join(server.stateDir, "less"), pager, { mode: 0o755 });
    let text = "";
    const child = Bun.spawn([process.execPath, MAIN, "job", "log", "-l", "7", "99"], {
      env: { ...server.environment, PATH: `${server.stateDir}:${server.environment["PATH"]}`, TERM: "xterm" },
      terminal: {
        cols: 80,
        rows: 24,
        data: (_terminal, bytes) => {
          text += new TextDecoder().decode(bytes);
        },
      },
    });
    await waitFor(() => text.includes("ready"));
    child.terminal?.write("\x03");
    await waitFor(() => text.includes("interrupted"));
    child.terminal?.write("q\n");
    expect(await child.exited).toBe(1);
    await waitFor(() => text.includes("took q"));
    expect(text).toContain("There is no job, matrix or tag 99.");
    child.terminal?.close();
  });
});

describe("on a terminal", () => {
  for (const columns of [60, 80, 133, 250]) {
    test(`of ${columns} columns no line of job ls wraps`, async () => {
      const lines = await onTerminal(columns, ["job", "ls"]);
      expect(lines.length).toBe(LISTING.rows.length + 3);
      expect(Math.max(...lines.map((line) => Bun.stringWidth(line)))).toBeLessThanOrEqual(columns);
      // The screen is used: a long command is cut only where it ends.
      expect(Math.max(...lines.map((line) => Bun.stringWidth(line)))).toBeGreaterThan(Math.min(columns, 150) - 20);
      const bare = lines.join("\n").replaceAll(/\x1b\[\d{1,2}m/g, "");
      expect(bare).not.toMatch(/[\p{Cf}\x00-\x09\x0b-\x1f\x7f-\x9f]/u);
      expect(lines.join("")).toContain("\x1b[1m270\x1b[22m");
    });
  }

  test("colours are off when told so", async () => {
    for (const [argv, environment] of [
      [["job", "ls", "--no-color"], {}],
      [["job", "ls"], { NO_COLOR: "1" }],
      [["job", "ls"], { TERM: "dumb" }],
    ] as const) {
      expect((await onTerminal(80, argv, environment)).join("")).not.toContain("\x1b");
    }
  });

  test("what a job printed is shown, and does nothing", async () => {
    const lines = await onTerminal(80, ["job", "log", "-t", "7"]);
    expect(lines.slice(0, 2).map((line) => line.replaceAll(/ +/g, "\t"))).toEqual(["\\e[2J\\e]0;title\\x07red", "\\u202eevil\tend"]);
  });
});
