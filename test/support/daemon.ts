/**
 * The compiled `expjobserver serve` for end-to-end tests: in a temporary folder with HOME, state, logs and port of
 * its own, and the client beside it. Owns every process that grows from it: when it is closed, jobs included,
 * nothing is left.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildTestBinary, type TestBinary } from "./binary.ts";
import { freePort } from "./free-port.ts";
import { isAlive, marksOfTestFile, type Sshd, type SshdOptions, startSshd } from "./sshd.ts";
import { waitFor } from "./wait-for.ts";

export interface TestDaemonOptions {
  /** Default: built from the sources as they are. */
  readonly binary?: TestBinary;
  /** The text of config.toml. */
  readonly config?: string;
  /** More words for `serve`. */
  readonly args?: readonly string[];
  /** Machines reached over SSH: an ssh_config that knows them all is handed to the server. */
  readonly machines?: readonly Sshd[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Default: `state` in the folder. */
  readonly stateDir?: string;
  /** Put before the executable, e.g. `["sh", "-c", "umask 0; exec \"$@\"", "sh"]`. */
  readonly prefix?: readonly string[];
}

export interface Answer {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

/** What the tests read of the Job of cli.md. */
export interface JobJson {
  readonly jid: number;
  readonly status: string;
  readonly class: string;
  readonly machine: string | null;
  readonly exit_code: number | null;
  readonly signal: string | null;
  readonly error: string | null;
  readonly warning: string | null;
  readonly attempt: number;
  readonly created: string;
  readonly retry_of: number | null;
  readonly retried_by: number | null;
  readonly command_line: string;
  readonly cp_results: string | null;
  readonly results: readonly string[];
  readonly results_path: string | null;
  readonly files: readonly { readonly path: string; readonly bytes: number; readonly sha256: string }[] | null;
  readonly log: string | null;
  readonly err_log: string | null;
  readonly started: string | null;
  readonly ended: string | null;
  readonly variables: Readonly<Record<string, string>>;
}

/** Inherited by the server, its local jobs and, by SetEnv of sshd, the jobs on its machines. Not EXPJOB_*: that a server keeps from its jobs. */
const MARKER = "TEST_DAEMON_FOLDER";

export class TestDaemon implements AsyncDisposable {
  #child: Bun.Subprocess<"ignore", number, number> | null = null;
  #starts = 0;

  private constructor(
    readonly binary: TestBinary,
    readonly folder: string,
    readonly port: number,
    readonly options: TestDaemonOptions,
  ) {}

  /** Everything in place, the server not yet started. */
  static async prepare(options: TestDaemonOptions = {}): Promise<TestDaemon> {
    const binary = options.binary ?? (await buildTestBinary());
    const folder = mkdtempSync(join(tmpdir(), "expjob-e2e-"));
    mkdirSync(join(folder, "home"));
    writeFileSync(join(folder, "config.toml"), options.config ?? "");
    writeSshConfig(folder, options.machines ?? []);
    return new TestDaemon(binary, folder, await freePort("127.0.0.1"), options);
  }

  static async start(options: TestDaemonOptions = {}): Promise<TestDaemon> {
    const daemon = await TestDaemon.prepare(options);
    try {
      await daemon.start();
      return daemon;
    } catch (error) {
      await daemon[Symbol.asyncDispose]();
      throw error;
    }
  }

  get stateDir(): string {
    return this.options.stateDir ?? join(this.folder, "state");
  }

  get logDir(): string {
    return join(this.folder, "logs");
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  get sshConfig(): string {
    return join(this.folder, "ssh_config");
  }

  get pid(): number {
    if (this.#child === null) throw new Error("the server does not run");
    return this.#child.pid;
  }

  /** stderr of the last start. */
  get stderr(): string {
    return readFileSync(this.#errorFile(), "utf8");
  }

  get environment(): Record<string, string> {
    return {
      PATH: process.env["PATH"] ?? "/usr/bin:/bin",
      HOME: join(this.folder, "home"),
      LANG: "C.UTF-8",
      EXPJOBSERVER_ADDRESS: this.address,
      EXPJOBSERVER_STATE_DIR: this.stateDir,
      EXPJOBSERVER_CONFIG: join(this.folder, "config.toml"),
      [MARKER]: this.folder,
      ...marksOfTestFile(),
      ...this.options.environment,
    };
  }

  /** The words of `serve` without the program. */
  serveWords(more: readonly string[] = []): string[] {
    return ["serve", "--log-dir", this.logDir, "--ssh-config", this.sshConfig, ...(this.options.args ?? []), ...more];
  }

  /** Starts the server and waits for its answer to a ping. */
  async start(more: readonly string[] = []): Promise<void> {
    const child = this.launch(more);
    await waitFor(async () => child.exitCode !== null || (await this.#listens()), {
      what: () => `the server: ${this.stderr}`,
      timeoutMs: 20_000,
    });
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}: ${this.stderr}`);
  }

  /** Starts the server and waits for its end. */
  async startToFail(more: readonly string[] = []): Promise<Answer> {
    const child = this.launch(more);
    const code = await child.exited;
    this.#child = null;
    return { stdout: "", stderr: this.stderr, code };
  }

  launch(more: readonly string[] = []): Bun.Subprocess<"ignore", number, number> {
    this.#starts += 1;
    const errors = Bun.file(this.#errorFile());
    writeFileSync(this.#errorFile(), "");
    const child = Bun.spawn([...(this.options.prefix ?? []), this.binary.expjobserver, ...this.serveWords(more)], {
      cwd: this.folder,
      env: this.environment,
      stdio: ["ignore", errors, errors],
      detached: true,
    }) as unknown as Bun.Subprocess<"ignore", number, number>;
    this.#child = child;
    return child;
  }

  /** kill -9 to the server alone. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    child.kill("SIGKILL");
    await child.exited;
    this.#child = null;
  }

  /** SIGTERM. @returns the exit code */
  async stop(): Promise<number> {
    const child = this.#child;
    if (child === null) return 0;
    child.kill("SIGTERM");
    const code = await child.exited;
    this.#child = null;
    return code;
  }

  async j(...args: readonly string[]): Promise<Answer> {
    return await run([this.binary.j, ...args], { cwd: this.folder, env: this.environment });
  }

  /** Must succeed. @returns stdout, trimmed */
  async ok(...args: readonly string[]): Promise<string> {
    const answer = await this.j(...args);
    if (answer.code !== 0) throw new Error(`j ${args.join(" ")}: exit ${answer.code}\n${answer.stdout}${answer.stderr}`);
    return answer.stdout.trim();
  }

  async json<T>(...args: readonly string[]): Promise<T> {
    return JSON.parse(await this.ok(...args, "--json")) as T;
  }

  async add(className: string, command: string, ...more: readonly string[]): Promise<number> {
    const { jids } = await this.json<{ jids: number[] }>("job", "add", className, command, ...more);
    const [jid] = jids;
    if (jid === undefined) throw new Error("no job was added");
    return jid;
  }

  async show(jid: number): Promise<JobJson> {
    const [job] = await this.json<JobJson[]>("job", "show", String(jid));
    if (job === undefined) throw new Error(`no job ${jid}`);
    return job;
  }

  async jobs(...ids: readonly (number | string)[]): Promise<JobJson[]> {
    return await this.json<JobJson[]>("job", "show", ...ids.map(String));
  }

  /** `job wait`, then the job. */
  async ended(jid: number, timeoutSeconds = 25): Promise<JobJson> {
    const { code, stderr } = await this.j("job", "wait", String(jid), "--timeout", `${timeoutSeconds}s`);
    if (code > 1) throw new Error(`job wait ${jid}: exit ${code} ${stderr}\n${this.stderr}`);
    return await this.show(jid);
  }

  /** A job is running from the decision on; here it must have begun too. */
  async untilStatus(jid: number, status: string): Promise<JobJson> {
    let job = await this.show(jid);
    await waitFor(
      async () => {
        job = await this.show(jid);
        return job.status === status && (status !== "running" || job.started !== null);
      },
      { what: () => `job ${jid} ${status}: ${JSON.stringify(job)}`, everyMs: 50, timeoutMs: 20_000 },
    );
    return job;
  }

  /** What the job wrote. */
  output(job: JobJson, stream: "log" | "err_log" = "log"): string {
    return readFileSync(job[stream] ?? "/dev/null", "utf8");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await endMarked(this.folder);
    rmSync(this.folder, { recursive: true, force: true });
  }

  #errorFile(): string {
    return join(this.folder, `serve.${this.#starts}.err`);
  }

  async #listens(): Promise<boolean> {
    return (await this.j("ping")).code === 0;
  }
}

/** Where a machine is, when not on this host's loopback. */
export type MachinePlace = Required<Pick<SshdOptions, "address" | "prefix">>;

/** Three machines, say: sshd on 127.0.0.2, .3, …, each with a home of its own, in the test's folder. */
export async function startMachines(
  count: number,
  configLines: readonly string[] = [],
  places: readonly MachinePlace[] = [],
): Promise<TestMachines> {
  const folder = mkdtempSync(join(tmpdir(), "expjob-machines-"));
  const started = Array.from({ length: count }, (_, index) => {
    const home = join(folder, `home${index}`);
    mkdirSync(home);
    return startSshd({
      address: `127.0.0.${index + 2}`,
      ...places[index],
      home,
      sessionEnvironment: { [MARKER]: folder },
      configLines,
    });
  });
  return new TestMachines(folder, await Promise.all(started));
}

export class TestMachines implements AsyncDisposable {
  constructor(
    readonly folder: string,
    readonly all: readonly Sshd[],
  ) {}

  get addresses(): string[] {
    return this.all.map((machine) => machine.machine);
  }

  at(index: number): Sshd {
    const machine = this.all[index];
    if (machine === undefined) throw new Error(`there is no machine ${index}`);
    return machine;
  }

  home(index: number): string {
    return join(this.folder, `home${index}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const machine of this.all) await machine.stop();
    await endMarked(this.folder);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface RunOptions {
  readonly cwd: string;
  readonly env: Record<string, string>;
  readonly stdin?: string;
}

export async function run(command: readonly string[], options: RunOptions): Promise<Answer> {
  const child = Bun.spawn([...command], {
    cwd: options.cwd,
    env: options.env,
    stdio: [options.stdin === undefined ? "ignore" : new Blob([options.stdin]), "pipe", "pipe"],
  });
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { stdout, stderr, code };
}

function writeSshConfig(folder: string, machines: readonly Sshd[]): void {
  const hosts = machines.flatMap((machine) => [`Host ${machine.address}`, `  IdentityFile ${machine.client.identityFile}`]);
  const common = ["Host *", "  IdentitiesOnly yes", "  IdentityAgent none", `  UserKnownHostsFile ${join(folder, "known_hosts")}`];
  writeFileSync(join(folder, "ssh_config"), [...hosts, ...common, "  GlobalKnownHostsFile /dev/null", ""].join("\n"));
  writeFileSync(join(folder, "known_hosts"), machines.map((machine) => `${machine.knownHostsLine()}\n`).join(""));
}

/** SIGKILL to whatever carries the mark, until nothing does. One that is just being executed shows no mark: looked for again. */
async function endMarked(folder: string): Promise<void> {
  let emptyLooks = 0;
  await waitFor(
    () => {
      const left = markedProcesses(folder);
      emptyLooks = left.length === 0 ? emptyLooks + 1 : 0;
      for (const pid of left) {
        try {
          process.kill(pid, "SIGKILL");
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
        }
      }
      return emptyLooks === 3;
    },
    { what: () => `the end of ${markedProcesses(folder).join(" ")}`, everyMs: 20 },
  );
}

export function markedProcesses(folder: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => isAlive(pid) && environmentOf(pid).includes(`${MARKER}=${folder}\0`));
}

function environmentOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, "latin1");
  } catch {
    // Another user's, or gone.
    return "";
  }
}
