/**
 * A real OpenSSH server for tests: started as the current user on a loopback address and a free port, with host
 * key, configuration, accepted key and client files of its own in a temporary folder. Nothing of the user's is touched.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findSshd, OpensshServer } from "../../scripts/openssh-server.ts";
import { isAlive, sendSignal } from "../../scripts/process-tree.ts";
import { freePort } from "./free-port.ts";

export { isAlive };

export interface SshdOptions {
  /** Default 127.0.0.1. */
  readonly address?: string;
  /** Lines for sshd_config, e.g. "MaxSessions 3" or "ForceCommand /path". First come, first served: they stand above ours. */
  readonly configLines?: readonly string[];
  /** Types of host keys, in the order made. Default: ed25519. */
  readonly hostKeyTypes?: readonly ("ed25519" | "ecdsa" | "rsa")[];
  /** Must exist. Default: one of its own, in the server's folder, and empty. */
  readonly home?: string;
  /** More variables of its sessions. */
  readonly sessionEnvironment?: Readonly<Record<string, string>>;
  /** Put before sshd, to start it in the network that has the address. */
  readonly prefix?: readonly string[];
}

export interface ClientFiles {
  /** An ssh_config that knows the server as `name`, and nothing else of this user's. */
  readonly configFile: string;
  readonly knownHostsFile: string;
  readonly identityFile: string;
}

/** Can an sshd be started here? When not, a test says loudly that it was skipped. */
export function sshdAvailable(): boolean {
  return findSshd() !== null && Bun.which("ssh-keygen") !== null;
}

export async function startSshd(options: SshdOptions = {}): Promise<Sshd> {
  const folder = mkdtempSync(join(tmpdir(), "expjob-sshd-"));
  const address = options.address ?? "127.0.0.1";
  const types = options.hostKeyTypes ?? ["ed25519"];
  for (const type of types) generateKey(join(folder, `host_${type}`), type);
  generateKey(join(folder, "id"), "ed25519");
  writeFileSync(join(folder, "authorized_keys"), readFileSync(join(folder, "id.pub")), { mode: 0o600 });
  const home = options.home ?? join(folder, "home");
  mkdirSync(home, { recursive: true });
  const server = new OpensshServer({
    folder,
    address,
    home,
    sessionEnvironment: { ...marksOfTestFile(), ...options.sessionEnvironment },
    port: await freePort(options.prefix === undefined ? address : "127.0.0.1"),
    hostKeyFiles: types.map((type) => join(folder, `host_${type}`)),
    authorizedKeysFile: join(folder, "authorized_keys"),
    configLines: options.configLines ?? [],
    ...(options.prefix === undefined ? {} : { prefix: options.prefix }),
  });
  const sshd = new Sshd(server);
  await sshd.start();
  return sshd;
}

export class Sshd implements AsyncDisposable {
  readonly folder: string;
  readonly address: string;
  readonly port: number;
  readonly #server: OpensshServer;

  constructor(server: OpensshServer) {
    this.#server = server;
    this.folder = server.options.folder;
    this.address = server.options.address;
    this.port = server.options.port;
  }

  /** As a machine would be added to the pool without any ssh_config. */
  get machine(): string {
    return `${this.address}:${this.port}`;
  }

  /** HOME of its sessions. */
  get home(): string {
    return this.#server.options.home;
  }

  get client(): ClientFiles {
    return {
      configFile: join(this.folder, "ssh_config"),
      knownHostsFile: join(this.folder, "known_hosts"),
      identityFile: join(this.folder, "id"),
    };
  }

  hostKeyFile(type = "ed25519"): string {
    return join(this.folder, `host_${type}`);
  }

  /** The line of known_hosts for one of its keys. */
  knownHostsLine(type = "ed25519"): string {
    const [keyType = "", base64 = ""] = readFileSync(`${this.hostKeyFile(type)}.pub`, "utf8").split(" ");
    return `[${this.address}]:${this.port} ${keyType} ${base64}`;
  }

  /** What sshd wrote, for a test that fails. */
  get log(): string {
    return this.#server.log;
  }

  /** Also after `kill`: the same server on the same port. */
  async start(): Promise<void> {
    const types = readdirSync(this.folder).flatMap((name) => /^host_(\w+)$/.exec(name)?.[1] ?? []);
    writeFileSync(this.client.knownHostsFile, types.map((type) => `${this.knownHostsLine(type)}\n`).join(""));
    this.writeClientConfig([]);
    await this.#server.start();
  }

  /** The client's ssh_config: `lines` first, then what makes this server reachable by any name. */
  writeClientConfig(lines: readonly string[]): void {
    const { configFile, identityFile, knownHostsFile } = this.client;
    writeFileSync(
      configFile,
      [
        ...lines,
        "Host *",
        `  IdentityFile ${identityFile}`,
        "  IdentitiesOnly yes",
        "  IdentityAgent none",
        `  UserKnownHostsFile ${knownHostsFile}`,
        "  GlobalKnownHostsFile /dev/null",
        "",
      ].join("\n"),
    );
  }

  /** SIGSTOP to the server and its sessions: a machine that hangs. */
  freeze(): void {
    this.#signal("SIGSTOP");
  }

  thaw(): void {
    this.#signal("SIGCONT");
  }

  /** SIGKILL to the server and all below it: a machine that crashes. */
  async kill(): Promise<void> {
    await this.#server.kill();
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Processes of open sessions, the server itself not counted. */
  sessionProcesses(): number[] {
    return this.#server.processes().slice(1);
  }

  #signal(signal: NodeJS.Signals): void {
    for (const pid of this.#server.processes()) sendSignal(pid, signal);
  }
}

/** The runner of test files finds what they leave behind by this variable; it goes on to our children. */
export function marksOfTestFile(): Record<string, string> {
  const mark = process.env["EXPJOBSERVER_TEST_FILE"];
  return mark === undefined ? {} : { EXPJOBSERVER_TEST_FILE: mark };
}

export function generateKey(path: string, type: string, passphrase = ""): void {
  const made = spawnSync("ssh-keygen", [
    "-q",
    "-t",
    type,
    ...(type === "rsa" ? ["-b", "2048"] : []),
    "-N",
    passphrase,
    "-C",
    "test",
    "-f",
    path,
  ]);
  if (made.status !== 0) throw new Error(`ssh-keygen: ${made.stderr}`);
}
