/** The commands of the README's tour, typed one after the other into a shell with the compiled binary. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { buildTestBinary } from "../support/binary.ts";
import { freePort } from "../support/free-port.ts";

const README = join(import.meta.dir, "../../README.md");
const folder = mkdtempSync(join(tmpdir(), "expjob-readme-"));
let environment: Record<string, string> = {};

beforeAll(async () => {
  const { expjobserver } = await buildTestBinary();
  environment = {
    PATH: `${dirname(expjobserver)}:${process.env.PATH ?? ""}`,
    HOME: folder,
    EXPJOBSERVER_ADDRESS: `127.0.0.1:${await freePort("127.0.0.1")}`,
  };
});

afterAll(() => {
  typed("j stop");
  rmSync(folder, { recursive: true, force: true });
});

function typed(command: string): { readonly code: number; readonly output: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync(["sh", "-c", command], { cwd: folder, env: environment, stdin: "ignore" });
  return { code: exitCode, output: `${stdout.toString()}${stderr.toString()}` };
}

/** The lines after `$ ` in the blocks marked `console`. */
function tour(): readonly string[] {
  const blocks = readFileSync(README, "utf8").matchAll(/^```console\n(.*?)^```/gms);
  return Array.from(blocks, (block) => block[1] ?? "")
    .join("")
    .split("\n")
    .flatMap((line) => /^\$ (.*)$/.exec(line)?.[1] ?? []);
}

/** What the reader must see of it. */
const SEEN: Readonly<Record<string, RegExp>> = {
  "j ping": /answered in/,
  "j machine ls": /local\/a +small +free/,
  "j job ls": /Done \(.*Ready/,
  "j job show 0": /sha256/,
  "cat results/out-0.txt": /^job 0 on local\/[ab]\n$/,
  "j job matrix csv 3": /^jid,SIZE,MODE,status,machine,duration,results_path\n4,1,fast,done,/,
  "j job log 0": /\/logs\/0-/,
  "j job log -t 0": /RESULTS: out-0/,
  "j job log -t 0-2": /^[012]\| RESULTS: out-[012]$/m,
  "j job stat --after 0 --only-done --csv --jid --machine --duration --results-path ''":
    /^jid,machine,duration,results_path\n0,local\/[ab],[\d.]+,\/.*\/results\/out-0.txt\n/,
  "j job stat --id 3 --text --no-headers --vars --jid --jid-map 'sed s/^/job-/'": /^\{"SIZE":"1","MODE":"fast"\}\tjob-4\n/,
  "j job stat --id 0 --json --mapper 'sed s/small/tiny/'": /"class":"tiny"/,
  "j job matrix add small 'echo {SIZE} {MODE}' SIZE=1,2,4 MODE=fast,slow --dry-run":
    /^Would queue 6 jobs in class small\nFirst: echo 1 fast\nLast: {2}echo 4 slow\n/,
  "j job clone 3": /^Queued jobs 11-16\n/,
  "j tag new": /^Made tag 17\n/,
  "j job clone 17": /^Queued jobs 18-20\n/,
  "j job settimeout 2h last": /^Set the timeout to 2h for job 21\n/,
  "j job ls -n 100": /^ *10 +Canceled.*\n -+\n/m,
  "j job cpresults 'copies/{JID}' 0-2": /Job 2: .*\/copies\/2\/out-2.txt \(1 file/,
  "j job mvresults archive 0": /^Job 0: .*\/archive\/out-0.txt /,
  "j machine setup -e -c small --timeout 10m -- 'test -e set-up.txt'": /^Queued jobs \d+-\d+ \(1 command each\)/,
  "j job why last": /no machine in class "huge"/,
  "j var ls": /PASSWORD +\(secret\)/,
  "j job ls --json": /^\[\{/,
};

test("every command of the tour works as it stands there", () => {
  const commands = tour();
  expect(commands.length).toBeGreaterThan(20);
  const seen = new Set<string>();
  for (const command of commands) {
    const { code, output } = typed(command);
    expect({ command, code, output: code === 0 ? "" : output }).toEqual({ command, code: 0, output: "" });
    const expected = SEEN[command];
    if (expected !== undefined) expect(output).toMatch(expected);
    if (expected !== undefined) seen.add(command);
    expect(output).not.toContain("hunter2");
  }
  expect([...seen].sort()).toEqual(Object.keys(SEEN).sort());
}, 120_000);
