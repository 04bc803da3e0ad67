/** clone, restart, settimeout, line, tags and --dry-run as they are typed: what is sent, what is printed, and how it exits. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { RequestError } from "../../src/protocol/error.ts";
import { LISTING, NO_COUNTS, wireJob } from "../terminal/samples.ts";
import { type ScriptedServer, startScriptedServer } from "./scripted-server.ts";

let server: ScriptedServer;
/** After which job the server has the line. */
let line: number | null = null;
const tag = { id: 12, created: "2026-11-22T20:00:00.000Z", counts: { ...NO_COUNTS, done: 2 } };

beforeAll(async () => {
  server = await startScriptedServer({
    "job.clone": async ({ ids, count }) => ({
      first: 20,
      count: ids.length * count,
      missing: ids.flatMap((id) => (id.kind === "id" && id.id === 99 ? [99] : [])),
      warnings: [],
    }),
    "job.restart": async ({ ids }) => ({ first: 20, count: ids.length, missing: [], warnings: [], stopping: ids.length - 1 }),
    "job.set_timeout": async ({ ids }) => ({ done: [17], failed: ids.length > 1 ? [{ id: 8, code: "job-over" }] : [] }),
    "job.line": async ({ after }) => ({ line: after === null ? null : after.kind === "id" ? after.id : 277 }),
    "job.list": async (_params, { emit }) => {
      await emit([...LISTING.rows]);
      return { counts: LISTING.counts, missing: [], line };
    },
    "job.preview": async ({ keys, count }) => {
      const all = keys.reduce((product, key) => product * key.values.length, count);
      const warnings = keys.length === 0 ? [] : [{ code: "variable-unused", data: { name: "B" } }];
      const [first, last] = ["run 1", "run 2\u001b[2J"].map((command_line) => ({
        command_line,
        cp_results: keys.length === 0 ? null : "/r",
      }));
      if (first === undefined || last === undefined) throw new Error("there are two");
      return { count: all, first, last, warnings };
    },
    "job.cancel": async ({ forget }) => ({
      done: [3, 4, 5],
      failed: [],
      stopping: [4, 5],
      ...(forget ? {} : { unreachable: [{ jid: 5, machine: "node5:22" }] }),
    }),
    "job.wait": async () => ({ timed_out: false, jobs: [wireJob({ jid: 7, status: "done" })], omitted: 3, missing: [] }),
    "machine.add": async ({ addrs }) => ({ added: addrs.slice(2), moved: addrs.slice(1, 2), unchanged: addrs.slice(0, 1) }),
    "tag.new": async () => ({ id: 12 }),
    "tag.set": async ({ tag: id }) => {
      if (id !== 12) throw new RequestError("no-such-tag", { id });
      return { done: [1, 2, 5], failed: [] };
    },
    "tag.unset": async () => ({ done: [1], failed: [] }),
    "tag.list": async (_params, { emit }) => {
      await emit([wireJob({ jid: 1, status: "done", tag: 12 })]);
      return { tag };
    },
    "tag.all": async (_params, { emit }) => {
      await emit([tag]);
      return {};
    },
  });
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(() => {
  server.asked.length = 0;
});

describe("job clone and restart", () => {
  test("print the new ids as add does", async () => {
    expect(await server.run("job", "clone", "17", "-x", "3")).toEqual({ code: 0, out: "Queued jobs 20-22\n", err: "" });
    expect(server.asked[0]).toMatchObject({ method: "job.clone", params: { ids: [{ kind: "id", id: 17 }], count: 3 } });
    expect((await server.run("job", "clone", "17", "18", "--json")).out).toBe('{"jids":[20,21]}\n');
    expect((await server.run("-q", "job", "restart", "5-9", "last")).out).toBe("20\n21\n");
  });

  test("do what they can, and name what is not there", async () => {
    const ran = await server.run("job", "clone", "17", "99");
    expect(ran).toMatchObject({ code: 1, out: "Queued jobs 20-21\n" });
    expect(ran.err).toContain("There is no job, matrix or tag 99.");
  });

  test("restart says how many are being stopped", async () => {
    expect((await server.run("job", "restart", "5", "6")).out).toBe("Stopping 1 job\nQueued jobs 20-21\n");
    expect((await server.run("job", "restart", "5")).out).toBe("Queued job 20\n");
  });

  test("a wrong count is wrong usage", async () => {
    expect((await server.run("job", "clone", "17", "-x", "0")).code).toBe(2);
    expect(server.asked).toEqual([]);
  });
});

describe("job settimeout", () => {
  test("takes a time, or none", async () => {
    expect(await server.run("job", "settimeout", "1h34m", "17")).toEqual({
      code: 0,
      out: "Set the timeout to 1h34m for job 17\n",
      err: "",
    });
    expect((await server.run("job", "settimeout", "none", "17")).out).toBe("Removed the timeout of job 17\n");
    expect((await server.run("job", "settimeout", "15", "17")).code).toBe(0);
    expect(server.asked.map(({ params }) => (params as { timeout: number | null }).timeout)).toEqual([5_640, null, 900]);
  });

  test("names what has ended, and what is no time", async () => {
    const ran = await server.run("job", "settimeout", "2d", "17", "8");
    expect(ran).toMatchObject({ code: 1, out: "Set the timeout to 2d for job 17\n" });
    expect(ran.err).toContain("Job 8 has ended: no timeout can stop it any more.");
    const wrong = await server.run("job", "settimeout", "soon", "17");
    expect(wrong).toMatchObject({ code: 2, out: "" });
    expect(wrong.err).toContain('T is "soon", which is no time.');
    expect(wrong.err).toContain("none");
  });
});

describe("job line", () => {
  const oldFile = () => join(server.stateDir, ".expjobserver-client-line");
  const dashes = (out: string): number => out.split("\n").findIndex((text) => /^ -+$/.test(text));

  test("draws, moves and removes it", async () => {
    expect((await server.run("job", "line", "12")).out).toBe("Drew a line after job 12\n");
    expect((await server.run("job", "line", "last", "--json")).out).toBe('{"line":277}\n');
    expect((await server.run("job", "line")).out).toBe("Removed the line\n");
    expect(server.asked.map(({ params }) => params)).toEqual([
      { after: { kind: "id", id: 12 } },
      { after: { kind: "last" } },
      { after: null },
    ]);
    expect((await server.run("job", "line", "2-5")).code).toBe(2);
  });

  test("job ls shows it, and scripts never see it", async () => {
    line = 270;
    expect(dashes((await server.run("job", "ls")).out)).toBe(4);
    expect(await server.run("job", "ls", "--json")).toMatchObject({ out: expect.not.stringContaining("---") });
    expect((await server.run("job", "ls", "-q")).out.split("\n")).toHaveLength(LISTING.rows.length + 1);
  });

  test("that the old client had is drawn as long as the server has none, and said when it is taken away", async () => {
    line = null;
    expect(dashes((await server.run("job", "ls")).out)).toBe(-1);
    writeFileSync(oldFile(), " 271\n");
    expect(dashes((await server.run("job", "ls")).out)).toBe(5);
    line = 270;
    expect(dashes((await server.run("job", "ls")).out)).toBe(4);
    line = null;
    expect((await server.run("job", "line")).err).toContain("~/.expjobserver-client-line still has the old client's line, after job 271.");
    writeFileSync(oldFile(), "no number");
    expect(dashes((await server.run("job", "ls")).out)).toBe(-1);
    rmSync(oldFile());
  });
});

describe("--dry-run", () => {
  test("of a matrix prints the number and the first and last command lines, and warns; nothing is queued", async () => {
    const ran = await server.run("job", "matrix", "add", "x", "run {A}", "/r", "A=1,,2\\,5", "B=", "-x", "2", "--dry-run");
    expect(ran.code).toBe(0);
    expect(ran.out).toBe("Would queue 6 jobs in class x\nFirst: run 1  (results to /r)\nLast:  run 2\\e[2J  (results to /r)\n");
    expect(ran.err).toContain("The command does not use {B}");
    expect(server.asked.map(({ method }) => method)).toEqual(["job.preview"]);
    expect(server.asked[0]?.params).toMatchObject({
      keys: [
        { name: "A", values: ["1", "", "2,5"] },
        { name: "B", values: [""] },
      ],
    });
  });

  test("of a job, for people and for scripts", async () => {
    expect((await server.run("job", "add", "x", "run", "--dry-run")).out).toBe("Would queue 1 job in class x\nIt: run 1\n");
    const json = JSON.parse((await server.run("job", "add", "x", "run", "-x", "2", "--dry-run", "--json")).out);
    expect(json).toMatchObject({ count: 2, first: { command_line: "run 1" } });
    expect((await server.run("-q", "job", "add", "x", "run", "-x", "2", "--dry-run")).out).toBe("2\n");
  });
});

describe("tags", () => {
  test("work under job and by themselves", async () => {
    expect((await server.run("job", "tag", "new")).out).toBe("Made tag 12\n");
    expect((await server.run("tag", "new", "--json")).out).toBe('{"id":12}\n');
    expect((await server.run("job", "tag", "set", "1-2", "5", "12")).out).toBe("Put in tag 12: jobs 1-2, 5\n");
    expect(server.asked.at(-1)?.params).toEqual({
      ids: [
        { kind: "range", first: 1, last: 2 },
        { kind: "id", id: 5 },
      ],
      tag: 12,
    });
    expect((await server.run("tag", "unset", "1")).out).toBe("Untagged job 1\n");
    expect((await server.run("tag", "ls")).out).toContain(" 12     2  2D");
    expect((await server.run("tag", "ls", "12")).out).toMatch(/^Tag +12\n/);
    expect(JSON.parse((await server.run("job", "tag", "ls", "12", "--json")).out)).toMatchObject({ id: 12, jobs: [{ jid: 1, tag: 12 }] });
    expect((await server.run("-q", "tag", "ls", "12")).out).toBe("1\n");
  });

  test("a tag that is none, or not named, is said", async () => {
    expect(await server.run("tag", "set", "1", "13")).toMatchObject({ code: 1, err: expect.stringContaining("There is no tag 13.") });
    expect(await server.run("tag", "set", "12")).toMatchObject({ code: 2, err: expect.stringContaining("JID... TAG") });
    expect((await server.run("tag", "set", "1", "last")).code).toBe(2);
  });
});

describe("what is asked for and what is done are told apart", () => {
  test("job rm says Stopping of what still runs, and how a machine that is gone is freed", async () => {
    const ran = await server.run("job", "rm", "3-5");
    expect(ran).toMatchObject({ code: 0, out: "Stopping jobs 4-5\nCanceled job 3\n" });
    expect(ran.err).toBe(
      'Warning: Machine "node5:22" cannot be reached: job 5 ends when it answers again.\n`j job rm 5` once more ends it now and frees the machine; its processes may still run.\n',
    );
    expect((await server.run("job", "rm", "-f", "3-5")).out).toBe("Stopping jobs 4-5, to be forgotten\nForgot job 3\n");
    expect((await server.run("-q", "job", "rm", "3-5")).out).toBe("3\n4\n5\n");
  });

  test("job wait says how many jobs its answer had no room for", async () => {
    expect((await server.run("job", "wait", "7")).err).toContain("3 more jobs were waited for and did not fit the answer.");
  });

  test("machine add says what was there already", async () => {
    expect((await server.run("machine", "add", "a", "b", "c", "x")).out).toBe(
      "Added c to x\nMoved b to x\na is in x already: nothing changed\n",
    );
  });
});
