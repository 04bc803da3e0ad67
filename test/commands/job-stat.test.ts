/** `job stat` as it is typed: which jobs it asks for, the order of columns, formats, programs, and what it refuses. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { waitFor } from "../support/wait-for.ts";
import { wireJob } from "../terminal/samples.ts";
import { type ScriptedServer, startClient, startScriptedServer } from "./scripted-server.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const HOSTILE = "\x1b[2J\x1b]0;title\x07red\u202eevil\tend\n=1+1";
const JOBS = [
  wireJob({ jid: 3, status: "done", machine: "m1", duration: 1.5, started: "2026-11-22T20:00:00.000Z", ended: "2026-11-22T20:00:01.500Z" }),
  wireJob({ jid: 4, status: "failed", machine: "m2", cmd: '=cmd,"x"\ny', error: { code: "exit-code", data: { exit_code: "3" } } }),
  wireJob({ jid: 9, cmd: "-n", variables: {} }),
];
let server: ScriptedServer;

beforeAll(async () => {
  server = await startScriptedServer({
    "job.stat": async ({ ids, after }, { emit }) => {
      if (after?.kind === "id" && after.id === 1_000) {
        for (let first = 1_000; first < 6_000; first += 100)
          await emit(Array.from({ length: 100 }, (_, index) => wireJob({ jid: first + index })));
        return { missing: [] };
      }
      if (after?.kind === "id" && after.id === 666) await emit([wireJob({ jid: 666, cmd: HOSTILE, machine: HOSTILE })]);
      else if (after?.kind !== "id" || after.id !== 777) {
        await emit(JOBS.slice(0, 1));
        await emit(JOBS.slice(1));
      }
      return { missing: ids.length > 1 ? [99] : [] };
    },
  });
  const script = (name: string, text: string): void => {
    writeFileSync(join(server.stateDir, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(server.stateDir, name), 0o700);
  };
  script("upper", "tr a-z A-Z");
  script("brackets", 'read -r line; printf "[%s]\\n" "$line"');
  script("score", `sed 's/^{/{"score":"s","jid2":1,/'`);
});
afterAll(() => server[Symbol.asyncDispose]());

const stat = (...words: string[]) => server.run("job", "stat", ...words);

describe("job stat asks", () => {
  test("for the jobs that are named", async () => {
    const asked = async (...words: string[]): Promise<unknown> => {
      server.asked.length = 0;
      await stat("--jid", ...words);
      return server.asked[0]?.params;
    };
    const nothing = { ids: [], after: null, running: false, only_done: false };
    expect(await asked("--id", "3", "last", "5-9")).toEqual({
      ...nothing,
      ids: [{ kind: "id", id: 3 }, { kind: "last" }, { kind: "range", first: 5, last: 9 }],
    });
    expect(await asked("--after", "7")).toEqual({ ...nothing, after: { kind: "id", id: 7 } });
    expect(await asked("--after=last", "--running", "--only_done")).toEqual({
      ...nothing,
      after: { kind: "last" },
      running: true,
      only_done: true,
    });
  });
});

describe("job stat prints", () => {
  test("columns in the order in which their flags stand", async () => {
    expect((await stat("--after", "0", "--csv", "--status", "--jid", "--machine")).out).toBe(
      "status,jid,machine\ndone,3,m1\nfailed,4,m2\nwaiting,9,\n",
    );
    expect((await stat("--machine", "--csv", "--jid", "--after", "0", "--status")).out).toStartWith("machine,jid,status\n");
    expect((await stat("--after", "0", "--json", "--status", "--jid")).out).toBe(
      '[{"status":"done","jid":3},{"status":"failed","jid":4},{"status":"waiting","jid":9}]\n',
    );
  });

  test("text with tabs, and without headers when told so", async () => {
    const { out } = await stat("--after", "0", "--text", "--jid", "--cmd");
    expect(out).toBe('jid\tcmd\n3\tbench --size {SIZE} --mode {MODE}\n4\t=cmd,"x"\\ny\n9\t-n\n');
    expect((await stat("--after", "0", "--jid", "--no_headers")).out).toBe("3\n4\n9\n");
  });

  test("CSV with quotes, and safe for spreadsheets only when told so", async () => {
    expect((await stat("--after", "0", "--csv", "--cmd", "--jid")).out).toContain('\n"=cmd,""x""\ny",4\n-n,9\n');
    expect((await stat("--after", "0", "--csv", "--cmd", "--jid", "--excel-safe")).out).toContain('\n"\'=cmd,""x""\ny",4\n\'-n,9\n');
  });

  test("whole jobs as JSON, with the old names of the times", async () => {
    const jobs = JSON.parse((await stat("--after", "0", "--json")).out) as Record<string, unknown>[];
    expect(jobs.map((job) => job["jid"])).toEqual([3, 4, 9]);
    expect(jobs[0]).toMatchObject({ started: JOBS[0]?.started, start: JOBS[0]?.started, end: JOBS[0]?.ended, variables: { SIZE: "4" } });
    expect(jobs[1]?.["error"]).toBeString();
  });

  test("all columns when none is named, and an empty list of nothing", async () => {
    expect((await stat("--after", "777", "--csv")).out).toBe(
      "jid,matrix,cmd,class,machine,status,error,variables,results,results_path,start,end,duration,log,cp_results\n",
    );
    expect((await stat("--after", "777", "--json")).out).toBe("[]\n");
    expect((await stat("--after", "777", "-q")).out).toBe("");
    expect((await stat("--after", "0", "-q")).out).toBe("3\n4\n9\n");
  });

  test("what is not there as an error, and the rest", async () => {
    const ran = await stat("--id", "3", "99", "--jid", "--no-headers");
    expect(ran).toMatchObject({ code: 1, out: "3\n4\n9\n" });
    expect(ran.err).toStartWith("There is no job, matrix or tag 99.");
  });

  test("nothing more when nobody reads", async () => {
    const child = startClient(["job", "stat", "--after", "1000", "--json"], { environment: server.environment });
    const reader = child.stdout.getReader();
    await reader.read();
    await reader.cancel();
    expect([await child.exited, await child.stderr.text()]).toEqual([0, ""]);
  });
});

describe("the programs of job stat", () => {
  test("map a column, a whole job, or one after the other", async () => {
    const upper = join(server.stateDir, "upper");
    expect((await stat("--after", "0", "--csv", "--machine", "--machine_map", upper, "--jid")).out).toBe("machine,jid\nM1,3\nM2,4\n,9\n");
    expect((await stat("--after", "0", "--csv", "--jid", "--mapper", join(server.stateDir, "score"))).out).toBe(
      "jid,score,jid2\n3,s,1\n4,s,1\n9,s,1\n",
    );
    const words = ["--jid", "--jid-map", join(server.stateDir, "brackets"), "--mapper", "sed s/done/DONE/", "--status"];
    expect((await stat("--after", "0", "--json", ...words)).out).toBe(
      '[{"jid":"[3]","status":"DONE"},{"jid":"[4]","status":"failed"},{"jid":"[9]","status":"waiting"}]\n',
    );
  });

  test("that fail are named with their job, and the others are printed", async () => {
    const mapper = 'read -r job; case $job in *\'"jid":4,\'*) echo "odd \x1b[31m job" >&2; exit 7;; esac; printf "%s" "$job"';
    const ran = await stat("--after", "0", "--csv", "--jid", "--mapper", mapper);
    expect(ran).toMatchObject({ code: 1, out: "jid\n3\n9\n" });
    expect(ran.err).toContain("odd \\e[31m job\n");
    expect(ran.err).toMatch(/^The mapper ".*" failed for job 4: exit code 7\.$/m);
  });

  test.each([
    ["echo no json", "what it printed is no JSON"],
    ["echo [1]", "its JSON is no object"],
    ["true ", "it printed nothing"],
    ["kill -9 $$", "it was ended by SIGKILL"],
    ["printf '\\377'", "what it printed is not UTF-8"],
  ])("%s: %s", async (mapper, words) => {
    const ran = await stat("--id", "3", "--json", "--mapper", mapper);
    expect(ran).toMatchObject({ code: 1, out: "[]\n" });
    expect(ran.err).toContain(`failed for job 3: ${words}.`);
  });

  test("keep five thousand jobs in their order, and may ignore what they are given", async () => {
    const words = ["--no-headers", "--jid", "--class", "--class-map", "echo x"];
    const { out } = await stat("--after", "1000", ...words);
    expect(out).toBe(Array.from({ length: 5_000 }, (_, index) => `${1_000 + index}\tx\n`).join(""));
  }, 120_000);

  test("run at once, as many as there are cores", async () => {
    const folder = join(server.stateDir, "meet");
    mkdirSync(folder);
    // Each waits until another is there: one after the other would never end.
    const meet = `touch ${folder}/$$; n=0; while [ "$(ls ${folder} | wc -l)" -lt 2 ] && [ $n -lt 100 ]; do sleep 0.1; n=$((n+1)); done; ls ${folder} | wc -l`;
    if (navigator.hardwareConcurrency < 2) console.warn("SKIPPED in part: one core");
    const { out } = await stat("--after", "0", "--no-headers", "--jid", "--jid-map", meet);
    expect(Number(out.split("\n")[0])).toBeGreaterThanOrEqual(Math.min(2, navigator.hardwareConcurrency));
  });
});

describe("job stat refuses", () => {
  const refused: readonly (readonly [words: string, message: string])[] = [
    ["--jid", "No job is named."],
    ["--after 5-9 --jid", "--after takes one id"],
    ["--after x", '"x" is no job id.'],
    ["--after 1 --csv --text", "--text and --csv do not go together."],
    ["--after 1 --csv --no-headers", "--no-headers goes with --text only."],
    ["--after 1 --excel-safe", "--excel-safe goes with --csv only."],
    ["--after 1 --jid --cmd-map cat", "--cmd-map maps a column that is not asked for."],
    ["--after 1 --jid --jid-map /nonexistent/x", '--jid-map: there is no program "/nonexistent/x".'],
    ["--after 1 --jid --mapper nonexistent-x", '--mapper: there is no program "nonexistent-x".'],
    ["--after 1 --jids", 'There is no flag "--jids"'],
    ["--after 1 --results-path", "--results-path needs a value."],
  ];
  test.each(refused)("%s", async (words, message) => {
    server.asked.length = 0;
    const ran = await stat(...words.split(" "));
    expect([ran.code, ran.out, server.asked]).toEqual([2, "", []]);
    expect(ran.err).toStartWith(message);
  });

  test("two formats, with --json as JSON", async () => {
    const ran = await stat("--after", "1", "--csv", "--json");
    expect(JSON.parse(ran.err)).toMatchObject({ error: { code: "usage", message: "--csv and --json do not go together." } });
  });

  test("but takes an empty suffix", async () => {
    expect((await stat("--id", "3", "--results_path", "")).out).toBe("results_path\n\n\n\n");
  });
});

test("on a terminal nothing of a job acts on it, in any format", async () => {
  for (const format of [["--text"], ["--csv"], ["--json"], ["--text", "--mapper", "cat"]]) {
    let text = "";
    const child = Bun.spawn([process.execPath, MAIN, "job", "stat", "--after", "666", "--no-color", ...format], {
      env: { ...server.environment, TERM: "xterm" },
      terminal: {
        cols: 80,
        rows: 24,
        data: (_terminal, bytes) => {
          text += new TextDecoder().decode(bytes);
        },
      },
    });
    expect(await child.exited).toBe(0);
    await waitFor(() => text.includes("666"));
    child.terminal?.close();
    // Columns that nobody named and that hold nothing have no room on a screen.
    if (format[0] === "--text") expect(text).not.toContain("matrix");
    expect(text.replaceAll("\r\n", "\n")).not.toMatch(/[\p{Cf}\x00-\x09\x0b-\x1f\x7f-\x9f]/u);
  }
  expect((await stat("--after", "666", "--csv", "--cmd")).out).toContain("\x1b[2J");
});
