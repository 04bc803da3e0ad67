/**
 * A real OpenSSH server for tests: started as the current user on a loopback address and a free port, with host
 * key, configuration, accepted key and client files of its own in a temporary folder. Nothing of the user's is touched.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { waitFor } from "./wait-for.ts";

const SSHD = "/usr/sbin/sshd";

export interface SshdOptions {
  /** Default 127.0.0.1. */
  readonly address?: string;
  /** Lines for sshd_config, e.g. "MaxSessions 3" or "ForceCommand /path". First come, first served: they stand above ours. */
  readonly configLines?: readonly string[];
  /** Types of host keys, in the order made. Default: ed25519. */
  readonly hostKeyTypes?: readonly ("ed25519" | "ecdsa" | "rsa")[];
}

export interface ClientFiles {
  /** An ssh_config that knows the server as `name`, and nothing else of this user's. */
  readonly configFile: string;
  readonly knownHostsFile: string;
  readonly identityFile: string;
}

/** Can an sshd be started here? When not, a test says loudly that it was skipped. */
export function sshdAvailable(): boolean {
  return existsSync(SSHD) && Bun.which("ssh-keygen") !== null;
}

export async function startSshd(options: SshdOptions = {}): Promise<Sshd> {
  const folder = mkdtempSync(join(tmpdir(), "expjob-sshd-"));
  const address = options.address ?? "127.0.0.1";
  const types = options.hostKeyTypes ?? ["ed25519"];
  for (const type of types) generateKey(join(folder, `host_${type}`), type);
  generateKey(join(folder, "id"), "ed25519");
  writeFileSync(join(folder, "authorized_keys"), readFileSync(join(folder, "id.pub")), { mode: 0o600 });
  // As root, sshd insists on the folder into which it would confine itself.
  if (userInfo().uid === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  const port = await freePort(address);
  writeFileSync(
    join(folder, "sshd_config"),
    [
      ...(options.configLines ?? []),
      `Port ${port}`,
      `ListenAddress ${address}`,
      ...types.map((type) => `HostKey ${join(folder, `host_${type}`)}`),
      `AuthorizedKeysFile ${join(folder, "authorized_keys")}`,
      "PidFile none",
      "UsePAM no",
      "StrictModes no",
      "PasswordAuthentication no",
      "KbdInteractiveAuthentication no",
      "PermitRootLogin prohibit-password",
      "MaxStartups 200",
      "UseDNS no",
      "PrintMotd no",
      "Subsystem sftp internal-sftp",
      "",
    ].join("\n"),
  );
  const sshd = new Sshd(folder, address, port);
  await sshd.start();
  return sshd;
}

export class Sshd implements AsyncDisposable {
  #pid: number | null = null;

  constructor(
    readonly folder: string,
    readonly address: string,
    readonly port: number,
  ) {}

  /** As a machine would be added to the pool without any ssh_config. */
  get machine(): string {
    return `${this.address}:${this.port}`;
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
    return readFileSync(join(this.folder, "sshd.log"), "utf8");
  }

  /** Also after `kill`: the same server on the same port. */
  async start(): Promise<void> {
    const types = readdirSync(this.folder).flatMap((name) => /^host_(\w+)$/.exec(name)?.[1] ?? []);
    writeFileSync(this.client.knownHostsFile, types.map((type) => `${this.knownHostsLine(type)}\n`).join(""));
    this.writeClientConfig([]);
    const log = join(this.folder, "sshd.log");
    // -E and not a pipe: its sessions must not hold anything of the test open.
    const child = spawn(SSHD, ["-D", "-f", join(this.folder, "sshd_config"), "-E", log], { stdio: "ignore", detached: true });
    child.unref();
    this.#pid = child.pid ?? null;
    await waitFor(() => canConnect(this.address, this.port), { what: () => `sshd on ${this.machine}: ${existsSync(log) ? this.log : ""}` });
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
    const pids = this.#pid === null ? [] : descendants(this.#pid);
    for (const pid of pids) sendSignal(pid, "SIGKILL");
    this.#pid = null;
    await waitFor(() => pids.every((pid) => !isAlive(pid)), { what: () => `end of sshd ${pids.join(" ")}` });
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
    return this.#pid === null ? [] : descendants(this.#pid).filter((pid) => pid !== this.#pid);
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#pid === null) return;
    for (const pid of descendants(this.#pid)) sendSignal(pid, signal);
  }
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

/** A port that was free a moment ago. */
export async function freePort(address: string): Promise<number> {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.once("error", reject);
  server.listen(0, address, () => {
    const bound = server.address();
    server.close(() => (bound !== null && typeof bound === "object" ? resolve(bound.port) : reject(new Error("no port"))));
  });
  return promise;
}

export function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

/** A process and all below it, by /proc: sessions of sshd are in sessions of their own, so no group reaches them. */
function descendants(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const pid = Number(name);
    const parent = parentOf(pid);
    if (parent !== null) children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const found = [root];
  for (let index = 0; index < found.length; index += 1) found.push(...(children.get(found[index] ?? 0) ?? []));
  return found;
}

function parentOf(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return Number(stat.slice(stat.lastIndexOf(") ") + 2).split(" ")[1]);
  } catch {
    return null;
  }
}

function canConnect(address: string, port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host: address, port });
  socket.once("connect", () => {
    socket.destroy();
    resolve(true);
  });
  socket.once("error", () => resolve(false));
  return promise;
}
