/** The demo's own `expjobserver serve`, and `j` beside it: the executable itself, as a user would call it. */
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../free-port.ts";

export interface DemoServerOptions {
  /** The executables, as `buildBinary` answers. */
  readonly expjobserver: string;
  readonly j: string;
  /** Exists and is ours alone: HOME, state and settings of the server. */
  readonly folder: string;
  readonly logDir: string;
  readonly sshConfigFile: string;
  readonly knownHostsFile: string;
  readonly cleanup: (undo: () => Promise<void> | void) => void;
}

const startTimeoutMs = 20_000;
const stopTimeoutMs = 5_000;
const portTries = 3;
/** cli.md: another process has the port. */
const portTaken = 6;

export class DemoServer {
  #child: Bun.Subprocess | null = null;
  #port = 0;

  constructor(readonly options: DemoServerOptions) {
    mkdirSync(this.#home, { mode: 0o700 });
    writeFileSync(this.#configFile, "");
    options.cleanup(() => this.#kill());
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  get stateDir(): string {
    return join(this.#home, "state");
  }

  get tokenFile(): string {
    return join(this.stateDir, "token");
  }

  /** @throws {Error} with what the server said. */
  async start(): Promise<void> {
    for (let tried = 1; ; tried += 1) {
      this.#port = await freePort("127.0.0.1");
      const child = this.#launch();
      const deadline = performance.now() + startTimeoutMs;
      while (child.exitCode === null && performance.now() < deadline) {
        if ((await this.call(["ping"])).code === 0) return;
      }
      if (child.exitCode === portTaken && tried < portTries) continue;
      throw new Error(`the server does not answer: ${readFileSync(this.#errorFile, "utf8").trim()}`);
    }
  }

  /** @returns what `j` printed. @throws {Error} when it fails. */
  async j(...words: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.call(words);
    if (code !== 0) throw new Error(`j ${words.join(" ")} exited with ${code}: ${`${stdout}${stderr}`.trim()}`);
    return stdout.trimEnd();
  }

  async call(words: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const child = Bun.spawn([this.options.j, ...words], {
      cwd: this.#home,
      env: this.#environment(),
      stdio: ["ignore", "pipe", "pipe"],
      // ^C is for the demo, which then ends what it started, in the right order.
      detached: true,
    });
    const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { code, stdout, stderr };
  }

  /** `j stop`. @throws {Error} when it does not end, or not cleanly. */
  async stop(): Promise<void> {
    await this.j("stop");
    await Promise.race([this.#child?.exited, Bun.sleep(stopTimeoutMs)]);
    const code = this.#child?.exitCode ?? "it still runs";
    if (code !== 0) throw new Error(`the server did not stop cleanly (${code}): ${readFileSync(this.#errorFile, "utf8").trim()}`);
  }

  get #home(): string {
    return join(this.options.folder, "server");
  }

  get #configFile(): string {
    return join(this.#home, "config.toml");
  }

  get #errorFile(): string {
    return join(this.#home, "serve.err");
  }

  #launch(): Bun.Subprocess {
    const { expjobserver, logDir, sshConfigFile, knownHostsFile } = this.options;
    const errors = openSync(this.#errorFile, "w");
    const words = ["serve", "--address", this.address, "--log-dir", logDir, "--ssh-config", sshConfigFile];
    // Not in ssh_config, where a list of files can hold none with a space in its name.
    words.push("--known-hosts", knownHostsFile);
    const child = Bun.spawn([expjobserver, ...words], {
      cwd: this.#home,
      env: this.#environment(),
      stdio: ["ignore", errors, errors],
      detached: true,
    });
    closeSync(errors);
    this.#child = child;
    return child;
  }

  /** Nothing of the user's: neither settings nor agent nor keys. */
  #environment(): Record<string, string> {
    return {
      PATH: process.env.PATH ?? "/usr/bin:/bin",
      HOME: this.#home,
      EXPJOBSERVER_ADDRESS: this.address,
      EXPJOBSERVER_STATE_DIR: this.stateDir,
      EXPJOBSERVER_CONFIG: this.#configFile,
    };
  }

  async #kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#child?.exited;
  }
}
