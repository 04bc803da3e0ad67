/**
 * `npm run demo`: builds the executable and runs the experiment of examples/compression on three machines that are
 * reached over SSH, from the queue to a table of verified results.
 *
 *   npm run demo                       4 programs x 3 levels x 3 sizes
 *   npm run demo -- --quick            a small matrix
 *   npm run demo -- --embedded         without OpenSSH's sshd, even if this host has it
 *   npm run demo -- --results FOLDER   where the results go (default: demo-results/TIME here)
 *   npm run demo -- --stay             leave everything running until ^C, to look around with `j`
 *
 * Whatever it starts is gone when it ends, for whatever reason it ends: servers, machines, jobs, temporary folders. Only
 * the results stay. Exit code 0: every job is done and every result is right; 1: not so; 2: wrong usage; 128+n: signal n.
 */
import { spawnSync } from "node:child_process";
import { accessSync, cpSync, existsSync, constants as fileModes, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { WireJob } from "../src/protocol/methods/job.ts";
import { type BuildResult, buildBinary, isBinaryCurrent } from "./build-binary.ts";
import { checkResults } from "./demo/check-results.ts";
import { Cleanup, endProcessesOf, removeFolder } from "./demo/cleanup.ts";
import { watchMatrix } from "./demo/live-view.ts";
import { type DemoMachines, startMachines } from "./demo/machines.ts";
import { DemoScreen } from "./demo/screen.ts";
import { DemoServer } from "./demo/server.ts";

interface DemoOptions {
  readonly quick: boolean;
  readonly embedded: boolean;
  readonly stay: boolean;
  /** Null: a new folder in demo-results. */
  readonly results: string | null;
}

interface Matrix {
  readonly id: number;
  readonly jobs: number;
}

const root = resolve(import.meta.dir, "..");
const example = join(root, "examples", "compression");
/** The name of the example's folder in each machine's home. */
const folderOnMachine = "compression";
const signalGraceMs = 50;
const here = process.env.INIT_CWD ?? process.cwd();
const screen = new DemoScreen();

async function runDemo(options: DemoOptions, cleanup: Cleanup, signal: AbortSignal): Promise<boolean> {
  screen.line("expjobserver demo: a real experiment on three machines");
  const folder = mkdtempSync(join(tmpdir(), "expjob-demo-"));
  cleanup.add(() => removeFolder(folder));
  cleanup.add(() => endProcessesOf(folder));
  const binary = await build(folder, cleanup);
  const results = makeResultsFolder(options.results);

  screen.heading("Three machines");
  const machines = await startMachines({ folder, embedded: options.embedded, cleanup: cleanup.add });
  describeMachines(machines);
  const programs = preparePrograms(folder, machines);

  screen.heading("The server");
  const logDir = join(results, "logs");
  const { sshConfigFile, knownHostsFile } = machines;
  const server = new DemoServer({ ...binary, folder, logDir, sshConfigFile, knownHostsFile, cleanup: cleanup.add });
  await server.start();
  screen.line(`expjobserver serve --address ${server.address} --log-dir ${shown(logDir)} ...`);

  screen.heading("The experiment");
  const addresses = machines.all.map(({ address }) => address);
  await say(server, ["machine", "add", ...addresses, "lab"]);
  await say(server, ["machine", "check"]);
  const copies = join(results, "results");
  const matrix = await queue(server, { programs, copies, quick: options.quick });
  screen.line();
  const jobs = await watchMatrix({ address: server.address, tokenFile: server.tokenFile, matrix: matrix.id, screen, signal });

  screen.heading("The results");
  const good = report(jobs, matrix, machines, copies);
  writeFileSync(join(results, "jobs.csv"), `${await server.j("job", "matrix", "csv", String(matrix.id))}\n`);
  if (jobs.some((job) => job.status === "done")) printTable(copies, join(results, "measurements.csv"));
  screen.line("The three machines share this host's cores: the ratios are exact, the speeds");
  screen.line("only say who is faster. The start of the program is part of each time.");
  printWhereToLook(results);
  if (options.stay) await stay(server, signal);
  else await server.stop();
  return good;
}

async function build(folder: string, cleanup: Cleanup): Promise<BuildResult> {
  // In another user's clone there may be no binary, and none can be put there.
  const elsewhere = canWrite(join(root, "dist")) || (await isBinaryCurrent()) ? {} : { outfile: join(folder, "bin", "expjobserver") };
  // It cannot be broken off: it is left to end, so that nothing of it stays in dist/.
  const building = buildBinary(elsewhere);
  cleanup.add(async () => {
    await Promise.allSettled([building]);
  });
  const binary = await building;
  const took = binary.rebuilt ? `built in ${(binary.durationMs / 1000).toFixed(1)} s` : "up to date";
  screen.line(`${shown(binary.expjobserver)} and j: ${took}`);
  return binary;
}

function canWrite(folder: string): boolean {
  try {
    accessSync(existsSync(folder) ? folder : dirname(folder), fileModes.W_OK);
    return true;
  } catch {
    return false; // another user's, or a read-only file system
  }
}

function makeResultsFolder(wanted: string | null): string {
  if (wanted !== null) {
    mkdirSync(wanted, { recursive: true });
    return wanted;
  }
  const time = new Date().toISOString().slice(0, 19).replaceAll(":", "");
  try {
    mkdirSync(join(here, "demo-results"), { recursive: true });
    return mkdtempSync(join(here, "demo-results", `${time}-`));
  } catch (error) {
    const folder = mkdtempSync(join(tmpdir(), "expjobserver-demo-results-"));
    screen.line(`This folder cannot be written (${error instanceof Error ? error.message : String(error)}): results go to ${folder}`);
    return folder;
  }
}

function describeMachines({ all, form, reason }: DemoMachines): void {
  if (form === "sshd") screen.line("OpenSSH's sshd, with keys and settings of its own, on");
  else screen.line(`An embedded SSH server takes the place of OpenSSH's sshd\n(${reason}), on`);
  for (const { address } of all) screen.line(`  ${address}`);
}

/** The experiment's files go where a user would copy them: into the home folder of each machine. */
function preparePrograms(folder: string, { all }: DemoMachines): string[] {
  const prepared = join(folder, "compression");
  cpSync(example, prepared, { recursive: true, filter: (path) => !path.startsWith(join(example, "results")) });
  const corpus = script("make-corpus.sh", ["README.md", "docs", "scripts", "src", "test"], prepared);
  screen.line(corpus.stdout.trim());
  for (const { home } of all) cpSync(prepared, join(home, folderOnMachine), { recursive: true });
  const { stdout, stderr } = script("programs.sh");
  for (const line of stderr.split("\n")) if (line !== "") screen.line(`${line}; the experiment goes on without it`);
  return stdout.trim().split(",");
}

function script(name: string, args: readonly string[] = [], folder = example): { stdout: string; stderr: string } {
  const { status, stdout, stderr, error } = spawnSync("sh", [join(folder, name), ...args], { cwd: root, encoding: "utf8" });
  if (status !== 0) throw new Error(`${name} failed: ${error?.message ?? `${stdout}${stderr}`.trim()}`);
  return { stdout, stderr };
}

/** Shows a command of `j` as one would type it, and what it prints. */
async function say(server: DemoServer, words: readonly string[]): Promise<string> {
  screen.line(`$ j ${words.map(quoted).join(" ")}`);
  const said = await server.j(...words);
  if (said !== "") screen.line(said);
  return said;
}

function quoted(word: string): string {
  const named = word.startsWith(`${root}/`) || word.startsWith(`${here}/`) ? shown(word) : word;
  return /^[\w@%+=:,./-]+$/.test(named) ? named : `'${named.replaceAll("'", "'\\''")}'`;
}

async function queue(
  server: DemoServer,
  experiment: { readonly programs: readonly string[]; readonly copies: string; readonly quick: boolean },
): Promise<Matrix> {
  const { programs, copies, quick } = experiment;
  const levels = quick ? ["1", "9"] : ["1", "6", "9"];
  const sizes = quick ? ["16K", "64K"] : ["64K", "256K", "1M"];
  const command = `sh ${folderOnMachine}/measure.sh {PROGRAM} {LEVEL} {SIZE}`;
  const used = quick ? programs.slice(0, 2) : programs;
  const keys = [`PROGRAM=${used.join(",")}`, `LEVEL=${levels.join(",")}`, `SIZE=${sizes.join(",")}`];
  // A failure is shown at once here: an experiment of its own would be tried again.
  const said = await say(server, ["job", "matrix", "add", "--max-failures", "1", "lab", command, copies, ...keys]);
  const id = /matrix (\d+)/.exec(said)?.[1];
  if (id === undefined) throw new Error(`j did not say which matrix it queued: ${said}`);
  return { id: Number(id), jobs: used.length * levels.length * sizes.length };
}

/** @returns whether every job is done and every file is right */
function report(jobs: readonly WireJob[], matrix: Matrix, { all }: DemoMachines, copies: string): boolean {
  const done = jobs.filter((job) => job.status === "done");
  for (const job of jobs.filter(({ status }) => status !== "done")) {
    screen.line(`Job ${job.jid} (${job.command_line}) is ${job.status}: ${job.error?.code ?? "no reason"}`);
    if (job.err_log !== null) screen.line(readFileSync(job.err_log, "utf8").trimEnd());
  }
  screen.line(`${done.length} of ${matrix.jobs} jobs done`);
  if (done.length === 0) return false;
  const { files, bytes, differences } = checkResults({
    jobs: done,
    machines: all,
    folder: copies,
    folderOnMachine: `${folderOnMachine}/results`,
  });
  for (const difference of differences) screen.line(`Wrong: ${difference}`);
  if (differences.length === 0) {
    screen.line(`${files} files (${(bytes / 1e6).toFixed(1)} MB) copied; each has the SHA-256 of the file on its machine`);
  }
  return done.length === matrix.jobs && differences.length === 0;
}

function printTable(copies: string, csvFile: string): void {
  writeFileSync(csvFile, script("measurements.sh", [copies]).stdout);
  screen.line();
  screen.line(script("table.sh", [csvFile]).stdout.trimEnd());
  screen.line();
}

function printWhereToLook(results: string): void {
  screen.heading(`To look further, in ${shown(results)}`);
  screen.line("  measurements.csv  the table as CSV, a row each job");
  screen.line("  jobs.csv          the same jobs as `j job matrix csv` tells them");
  screen.line("  results/          what was copied; how it came to be: .expjobserver/JID.toml");
  screen.line("  logs/             what the jobs printed, and the server's log");
  screen.line("npm run demo -- --stay    the same, and everything stays to be tried with `j`");
  screen.line("examples/compression      the same by hand, on machines of your own");
  screen.line();
}

async function stay(server: DemoServer, signal: AbortSignal): Promise<void> {
  screen.heading("Everything goes on running until ^C. In another terminal:");
  screen.line(`export EXPJOBSERVER_ADDRESS=${server.address} EXPJOBSERVER_STATE_DIR=${server.stateDir}`);
  screen.line(`${shown(server.options.j)} job ls`);
  const { promise, resolve: stop } = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => stop());
  await promise;
}

function shown(path: string): string {
  const way = relative(here, path);
  return way.startsWith("..") ? path : way;
}

function readOptions(): DemoOptions {
  const { values } = parseArgs({
    args: process.argv.slice(2),
    options: {
      quick: { type: "boolean", default: false },
      embedded: { type: "boolean", default: false },
      stay: { type: "boolean", default: false },
      results: { type: "string" },
    },
  });
  const { quick, embedded, stay: stays } = values;
  return { quick, embedded, stay: stays, results: values.results === undefined ? null : resolve(here, values.results) };
}

async function main(): Promise<number> {
  const startedAt = performance.now();
  const options = readOptions();
  if (process.platform !== "linux") {
    screen.line("The demo runs servers and machines, and those are Linux; on this system only the client runs.");
    return 1;
  }
  const cleanup = new Cleanup();
  const ending = new AbortController();
  const signaled = Promise.withResolvers<NodeJS.Signals>();
  let received: NodeJS.Signals | null = null;
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const) {
    // Not `once`: a second ^C must not break off the tidying up.
    process.on(name, () => {
      received ??= name;
      signaled.resolve(name);
    });
  }
  const work = runDemo(options, cleanup, ending.signal).catch((error: unknown) =>
    error instanceof Error ? error : new Error(String(error)),
  );
  let outcome = await Promise.race([work, signaled.promise]);
  ending.abort();
  if (outcome instanceof Error) {
    // ^C also ends the programs that we wait for, and their failure may be seen first.
    await Bun.sleep(signalGraceMs);
    outcome = received ?? outcome;
  }
  screen.endBlock();
  if (typeof outcome === "string") screen.line(`\n${outcome}: ending what was started`);
  const failures = await cleanup.run();
  if (outcome instanceof Error) screen.line(`\nThe demo failed: ${outcome.message}`);
  for (const failure of failures) screen.line(`Not tidied up: ${failure}`);
  screen.line(`Everything that was started is gone again. ${((performance.now() - startedAt) / 1000).toFixed(1)} s in all.`);
  if (typeof outcome === "string") return 128 + constants.signals[outcome];
  return outcome === true && failures.length === 0 ? 0 : 1;
}

if (import.meta.main) {
  try {
    process.exit(await main());
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exit(2);
  }
}
