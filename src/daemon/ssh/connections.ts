/**
 * All SSH connections of the daemon: one a machine, and one a jump host, however many machines stand behind it.
 * Owns how a transport comes about (configuration, proxy, host key, authentication) and how many are opened at once.
 */
import type { Duplex } from "node:stream";
import { type Problem, problem } from "../../core/problem.ts";
import { type MachineShell, MachineShellError } from "../machine-shell.ts";
import { type ProxyWay, resolveSshTarget, type SshTarget } from "./config.ts";
import { SSH_LIMITS, SshConnection, type SshLimits } from "./connection.ts";
import { Keepalives } from "./keepalives.ts";
import type { SshLink } from "./link.ts";
import type { SshSettings } from "./options.ts";
import { openProxyProcess } from "./proxy-process.ts";
import { SshMachineShell } from "./shell.ts";

/** Handshakes at once: each costs some milliseconds of this process's one thread, and sshd turns crowds away. */
const HANDSHAKES_MAX = 16;

export interface SshConnectionsOptions {
  readonly settings: SshSettings;
  readonly limits?: Partial<SshLimits>;
  /** Told when an established connection ends, whoever used it. */
  readonly onDisconnect?: (machine: string, reason: Problem) => void;
}

export class SshConnections {
  readonly #options: SshConnectionsOptions;
  readonly #limits: SshLimits;
  readonly #connections = new Map<string, SshConnection>();
  readonly #keepalives: Keepalives;
  readonly #waiting: (() => void)[] = [];
  #handshakes = 0;

  constructor(options: SshConnectionsOptions) {
    this.#options = options;
    this.#limits = { ...SSH_LIMITS, ...options.limits };
    this.#keepalives = new Keepalives(this.#limits);
  }

  /** The machine as a place to run scripts; connects when it is first used. */
  shell(machine: string): MachineShell {
    return new SshMachineShell({ machine, connection: this.#connection([machine]), startTimeoutMs: this.#limits.shellStartTimeoutMs });
  }

  /** The next use of the machine, or of a jump host, is tried at once, whatever failed before. */
  forgetFailures(): void {
    for (const connection of this.#connections.values()) connection.forgetFailure();
  }

  /** The machine has left the pool. */
  forget(machine: string): void {
    this.#connections.get(machine)?.close();
    this.#connections.delete(machine);
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.close();
    this.#connections.clear();
  }

  /**
   * `route`: jump hosts and, last, the machine. A route of one follows its own configuration; in a longer one
   * only the first does, as with `ssh -J`.
   */
  #connection(route: readonly string[]): SshConnection {
    const key = route.join(" ");
    const existing = this.#connections.get(key);
    if (existing !== undefined) return existing;
    const connection = new SshConnection({ machine: route.at(-1) ?? "", limits: this.#limits, open: () => this.#open(route) });
    this.#connections.set(key, connection);
    return connection;
  }

  async #open(route: readonly string[]): Promise<SshLink> {
    const machine = route.at(-1) ?? "";
    const target = await this.#resolve(machine);
    const before = route.slice(0, -1);
    const proxy: ProxyWay = before.length > 0 ? { kind: "jump", hops: before } : target.proxy;
    if (before.length === 0) await this.#refuseLoop(target);
    const openSocket = await this.#prepareSocket(target, proxy);
    const link = await this.#handshake({ ...target, proxy }, openSocket);
    this.#keepalives.watch(link);
    link.onDeath((reason) => this.#options.onDisconnect?.(machine, reason));
    return link;
  }

  async #resolve(machine: string): Promise<SshTarget> {
    const resolved = await resolveSshTarget(machine, this.#options.settings);
    if (resolved.kind === "invalid") throw new MachineShellError(resolved.problem);
    return resolved.target;
  }

  /** Jump hosts that lead back to one another would wait for each other for ever. */
  async #refuseLoop(target: SshTarget): Promise<void> {
    const seen = new Set([target.machine]);
    for (let at = target; at.proxy.kind === "jump"; ) {
      const next = at.proxy.hops.find((hop) => seen.has(hop)) ?? at.proxy.hops[0] ?? "";
      if (seen.has(next)) {
        throw new MachineShellError(problem("ssh-config-invalid", { machine: target.machine, message: `ProxyJump leads back to ${next}` }));
      }
      seen.add(next);
      at = await this.#resolve(next);
    }
  }

  /** What waits for another connection is done here, before a place among the handshakes is taken. */
  async #prepareSocket(target: SshTarget, proxy: ProxyWay): Promise<() => Promise<Duplex | null>> {
    switch (proxy.kind) {
      case "none":
        return async () => null;
      case "command":
        return async () => openProxyProcess(proxy.words);
      case "jump": {
        const hop = this.#connection(proxy.hops);
        await hop.connect();
        return () => hop.forward(target.hostName, target.port);
      }
    }
  }

  async #handshake(target: SshTarget, openSocket: () => Promise<Duplex | null>): Promise<SshLink> {
    if (this.#handshakes >= HANDSHAKES_MAX) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.push(resolve);
      await promise;
    } else {
      this.#handshakes += 1;
    }
    const { connectTimeoutMs } = this.#limits;
    try {
      // ssh2 is loaded with the first connection: a server of local machines is 7 MB smaller without it.
      const { openLink } = await import("./link.ts");
      return await openLink({ target, openSocket, connectTimeoutMs });
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#handshakes -= 1;
      else next();
    }
  }
}
