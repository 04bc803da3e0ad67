/**
 * OpenSSH's sshd as the current user on a loopback address, with a folder of its own for configuration, keys and log.
 * Nothing of the user's or the system's is read or changed, but for the empty folder that sshd demands of root.
 */
import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { canConnect } from "./free-port.ts";
import { isAlive, processTree, sendSignal } from "./process-tree.ts";

export interface OpensshServerOptions {
  /** Must exist. */
  readonly folder: string;
  readonly address: string;
  readonly port: number;
  /** Files of private keys. */
  readonly hostKeyFiles: readonly string[];
  readonly authorizedKeysFile: string;
  /** Must exist. HOME of its sessions: a login shell reads its files there, and this user's may say or wait for anything. */
  readonly home: string;
  /** More variables of its sessions. */
  readonly sessionEnvironment?: Readonly<Record<string, string>>;
  /** More lines for sshd_config. First come, first served: they stand above ours. */
  readonly configLines?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Put before the program, which must take the place of it: to start it in another network, for one. */
  readonly prefix?: readonly string[];
}

/** As root, sshd confines its unprivileged half to it. Distributions make it when their service starts. */
const CONFINEMENT_FOLDER = "/run/sshd";
const startTimeoutMs = 10_000;
const endTimeoutMs = 10_000;

/** Its path, wherever system programs are; null when there is none. */
export function findSshd(): string | null {
  return Bun.which("sshd", { PATH: `${process.env.PATH ?? ""}:/usr/sbin:/usr/local/sbin:/sbin` });
}

export class OpensshServer {
  #pid: number | null = null;

  constructor(readonly options: OpensshServerOptions) {}

  /** What sshd wrote. */
  get log(): string {
    const file = this.#logFile();
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  }

  /** Also after `kill`. @throws {Error} with sshd's own words when it does not listen. */
  async start(): Promise<void> {
    const program = findSshd();
    if (program === null) throw new Error("there is no sshd");
    const { folder, address, port } = this.options;
    const configFile = join(folder, "sshd_config");
    writeFileSync(configFile, this.#config());
    if (process.geteuid?.() === 0) mkdirSync(CONFINEMENT_FOLDER, { recursive: true, mode: 0o755 });
    // -E and not a pipe: its sessions must not hold anything of ours open.
    const log = openSync(this.#logFile(), "a");
    const [executable = program, ...words] = [...(this.options.prefix ?? []), program, "-D", "-f", configFile, "-E", this.#logFile()];
    const child = spawn(executable, words, {
      stdio: ["ignore", log, log],
      detached: true,
      ...(this.options.env === undefined ? {} : { env: this.options.env }),
    });
    closeSync(log);
    child.unref();
    this.#pid = child.pid ?? null;
    const deadline = performance.now() + startTimeoutMs;
    while (!(await canConnect(address, port))) {
      if (child.exitCode !== null || child.pid === undefined || performance.now() > deadline) {
        const said = this.log.trim();
        await this.kill();
        throw new Error(`sshd does not listen on ${address}:${port}${said === "" ? "" : `: ${said}`}`);
      }
      await Bun.sleep(10);
    }
  }

  /** SIGKILL to the server and all below it: a machine that crashes. */
  async kill(): Promise<void> {
    const pids = this.processes();
    for (const pid of pids) sendSignal(pid, "SIGKILL");
    this.#pid = null;
    const deadline = performance.now() + endTimeoutMs;
    while (pids.some(isAlive)) {
      if (performance.now() > deadline) throw new Error(`sshd does not end: ${pids.filter(isAlive).join(" ")}`);
      await Bun.sleep(10);
    }
  }

  /** The server first, then those of its sessions. */
  processes(): number[] {
    return this.#pid === null ? [] : processTree(this.#pid);
  }

  #logFile(): string {
    return join(this.options.folder, "sshd.log");
  }

  #config(): string {
    const { address, port, hostKeyFiles, authorizedKeysFile, home, sessionEnvironment = {}, configLines = [] } = this.options;
    // One line: of several sshd takes only the first.
    const environment = Object.entries({ HOME: home, ...sessionEnvironment }).map(([name, value]) => `"${name}=${value}"`);
    return [
      ...configLines,
      `Port ${port}`,
      `ListenAddress ${address}`,
      ...hostKeyFiles.map((file) => `HostKey "${file}"`),
      `AuthorizedKeysFile "${authorizedKeysFile}"`,
      "PidFile none",
      `SetEnv ${environment.join(" ")}`,
      "UsePAM no",
      "StrictModes no",
      "PasswordAuthentication no",
      "KbdInteractiveAuthentication no",
      "PermitRootLogin prohibit-password",
      "PermitUserRC no",
      "MaxStartups 200",
      "UseDNS no",
      "PrintMotd no",
      "Subsystem sftp internal-sftp",
      "",
    ].join("\n");
  }
}

/** Is the folder there that `start` would have to make? Ask before, to know what to take away after. */
export function hasConfinementFolder(): boolean {
  return existsSync(CONFINEMENT_FOLDER);
}

/** Takes the folder away again, unless an sshd of anybody's runs that may need it. */
export function removeConfinementFolder(): void {
  if (process.geteuid?.() !== 0 || !existsSync(CONFINEMENT_FOLDER) || isAnySshdRunning()) return;
  if (readdirSync(CONFINEMENT_FOLDER).length === 0) rmdirSync(CONFINEMENT_FOLDER);
}

function isAnySshdRunning(): boolean {
  return readdirSync("/proc").some((name) => /^\d+$/.test(name) && isAlive(Number(name)) && commandOf(name).startsWith("sshd"));
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8");
  } catch {
    return ""; // gone
  }
}
