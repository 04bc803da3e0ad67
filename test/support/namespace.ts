/**
 * A machine of its own by Linux namespaces: processes with numbers of their own, another boot id, or a network behind
 * a cable that can be pulled. Held by one process; when that is killed the kernel takes away all that is within.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAlive } from "./sshd.ts";
import { waitFor } from "./wait-for.ts";

const BOOT_ID = "/proc/sys/kernel/random/boot_id";
/** Reaps whatever is left to it, so that process numbers become free. */
const INIT = "while :; do sleep 1 & wait; done";
const PATH = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;

/** What keeps a namespace from being made here; null: nothing. */
export function namespacesMissing(tools: readonly string[] = []): string | null {
  if (process.getuid?.() !== 0) return "it needs root";
  const missing = ["unshare", "nsenter", "mount", ...tools].find((tool) => Bun.which(tool, { PATH }) === null);
  if (missing !== undefined) return `it needs ${missing}`;
  const probe = Bun.spawnSync(["unshare", "-p", "-f", "-n", "--mount-proc", "true"], { env: { PATH } });
  return probe.exitCode === 0 ? null : `no namespaces: ${probe.stderr.toString().trim()}`;
}

export class Namespace implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "expjob-namespace-"));
  readonly #holder: Bun.Subprocess;
  #init = 0;
  #words: string[] = [];

  private constructor(kind: "processes" | "network") {
    const bootFile = join(this.folder, "boot_id");
    writeFileSync(bootFile, `${crypto.randomUUID()}\n`);
    const within = kind === "processes" ? `mount --bind '${bootFile}' ${BOOT_ID} && ${INIT}` : INIT;
    const words = kind === "processes" ? ["-p", "-f", "--mount-proc", "--kill-child"] : ["-n"];
    this.#holder = Bun.spawn(["unshare", ...words, "sh", "-c", within], { stdio: ["ignore", "ignore", "inherit"], env: { PATH } });
  }

  static async start(kind: "processes" | "network"): Promise<Namespace> {
    const namespace = new Namespace(kind);
    await waitFor(() => namespace.#find(kind), { what: () => "the namespace" });
    return namespace;
  }

  /** Its first process, as this host numbers it. */
  get pid(): number {
    return this.#init;
  }

  /** Put before a command. With processes of its own, the command is a child of what this starts. */
  get prefix(): string[] {
    return ["nsenter", "-t", String(this.#init), ...this.#words];
  }

  /** As after a reboot, though nothing ends. */
  newBoot(): void {
    writeFileSync(join(this.folder, "boot_id"), `${crypto.randomUUID()}\n`);
  }

  /** Must succeed. @returns standard output, trimmed */
  run(script: string): string {
    const { exitCode, stdout, stderr } = Bun.spawnSync([...this.prefix, "sh", "-c", script], { env: { PATH } });
    if (exitCode !== 0) throw new Error(`in the namespace: ${script}: ${exitCode} ${stderr.toString()}`);
    return stdout.toString().trim();
  }

  #find(kind: "processes" | "network"): boolean {
    if (this.#holder.exitCode !== null) throw new Error(`unshare ended with ${this.#holder.exitCode}`);
    if (kind === "network") {
      this.#init = this.#holder.pid;
      this.#words = ["-n"];
      return networkOf(this.#init) !== networkOf(process.pid);
    }
    const [child] = childrenOf(this.#holder.pid);
    if (child === undefined) return false;
    this.#init = child;
    this.#words = ["-p", "-m"];
    // The other boot id is the last thing that is made.
    const seen = Bun.spawnSync([...this.prefix, "cat", BOOT_ID], { env: { PATH } }).stdout.toString();
    return seen !== "" && seen !== hostBoot();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pid of [this.#init, this.#holder.pid]) if (pid > 0 && isAlive(pid)) process.kill(pid, "SIGKILL");
    await this.#holder.exited;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A cable between this host and a network namespace. It goes with the namespace. */
export class Cable {
  private constructor(
    private readonly name: string,
    /** Of the machine. */
    readonly address: string,
  ) {}

  static connect(machine: Namespace): Cable {
    // Of 198.18.0.0/15, which is for tests of networks: a pair that nobody has.
    const name = `exv${crypto.randomUUID().slice(0, 8)}`;
    const [near, far] = pairOf(Math.floor(Math.random() * 32_768));
    ip("link", "add", name, "type", "veth", "peer", "name", "lab", "netns", String(machine.pid));
    ip("address", "add", `${near}/30`, "dev", name);
    ip("link", "set", name, "up");
    machine.run(`ip address add ${far}/30 dev lab && ip link set lab up && ip link set lo up`);
    return new Cable(name, far);
  }

  pull(): void {
    ip("link", "set", this.name, "down");
  }

  plugIn(): void {
    ip("link", "set", this.name, "up");
  }
}

export function childrenOf(pid: number): number[] {
  const text = Bun.spawnSync(["cat", `/proc/${pid}/task/${pid}/children`]).stdout.toString();
  return text.split(" ").filter(Boolean).map(Number);
}

function pairOf(index: number): [string, string] {
  const base = index * 4;
  const at = (offset: number) => `198.${18 + (base >> 16)}.${(base >> 8) & 255}.${(base & 255) + offset}`;
  return [at(1), at(2)];
}

function ip(...words: readonly string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(["ip", ...words], { env: { PATH } });
  if (exitCode !== 0) throw new Error(`ip ${words.join(" ")}: ${stderr.toString()}`);
}

function networkOf(pid: number): string {
  return Bun.spawnSync(["readlink", `/proc/${pid}/ns/net`]).stdout.toString();
}

function hostBoot(): string {
  return Bun.spawnSync(["cat", BOOT_ID]).stdout.toString();
}
