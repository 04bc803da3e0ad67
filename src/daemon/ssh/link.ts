/**
 * One authenticated SSH transport: the handshake with the host key check in it, and the news of its death.
 * Nothing but the key exchange is sent before the host key is known to be right. Sharing, limits and
 * back-off are connection.ts's; channels are opened on `client`.
 */
import type { Duplex } from "node:stream";
import ssh2, { type AuthenticationType, type Client, type ServerHostKeyAlgorithm } from "ssh2";
import { type Problem, problem } from "../../core/problem.ts";
import { MachineShellError } from "../machine-shell.ts";
import { type Authentication, prepareAuthentication } from "./authentication.ts";
import type { SshTarget } from "./config.ts";
import { hostKeyProblem } from "./host-key-problem.ts";
import { checkHostKey, type HostIdentity, type KnownHostLine, keyTypesOnFile, readKnownHosts } from "./known-hosts.ts";

export interface LinkOptions {
  readonly target: SshTarget;
  /** Makes a way through a jump host or a ProxyCommand; null: TCP from here. */
  readonly openSocket: () => Promise<Duplex | null>;
  readonly connectTimeoutMs: number;
}

/**
 * What a keepalive takes of ssh2, which sends them only by a timer of each client: answers to requests come in the
 * order of the requests, so that each has its place in the queue.
 */
interface KeepaliveParts {
  readonly _callbacks: (() => void)[];
  readonly _protocol: { ping(): void };
}

/** A live transport. `dead` is set, and the listeners told, in the turn in which the death is noticed. */
export class SshLink {
  readonly #listeners = new Set<(reason: Problem) => void>();
  #dead: Problem | null = null;

  constructor(
    readonly client: Client,
    readonly target: SshTarget,
    private readonly socket: Duplex | null,
  ) {}

  get dead(): Problem | null {
    return this.#dead;
  }

  /** Calls `listener` once, at death or at once when it has happened; returns how to take it back. */
  onDeath(listener: (reason: Problem) => void): () => void {
    if (this.#dead !== null) {
      listener(this.#dead);
      return () => {
        // It has been called; there is nothing to take back.
      };
    }
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends it from our side; whatever still runs on it learns `reason`. */
  close(reason: Problem): void {
    this.#die(reason);
    this.client.end();
    this.#destroy();
  }

  /** keepalives.ts decides when. @param answered whatever the answer says */
  sendKeepalive(answered: () => void): void {
    const { _callbacks: callbacks, _protocol: protocol } = this.client as unknown as KeepaliveParts;
    callbacks.push(answered);
    protocol.ping();
  }

  /** No keepalive was answered in time. */
  givenUp(): void {
    this.lost(problem("unreachable", { ...place(this.target), message: "no answer to keepalives" }));
  }

  /** For openLink only: what the transport reported. */
  lost(reason: Problem): void {
    this.#die(reason);
    this.#destroy();
  }

  #destroy(): void {
    this.client.destroy();
    // A channel through a jump host ends only once it has been read to its end.
    this.socket?.resume();
    this.socket?.destroy();
  }

  #die(reason: Problem): void {
    if (this.#dead !== null) return;
    this.#dead = reason;
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener(reason);
  }
}

/** @throws {MachineShellError} unreachable, host-key-…, authentication-refused, agent-unreachable. */
export async function openLink(options: LinkOptions): Promise<SshLink> {
  const { target } = options;
  const host: HostIdentity = { hostName: target.hostName, port: target.port, alias: target.hostKeyAlias };
  const [knownHosts, authentication] = await Promise.all([readKnownHosts(target.knownHostsFiles), prepareAuthentication(target)]);
  const socket = await options.openSocket();
  const client = new ssh2.Client();
  const { promise, resolve, reject } = Promise.withResolvers<SshLink>();
  const link = new SshLink(client, target, socket);
  let isReady = false;
  let refusedKey: Problem | null = null;
  const fail = (reason: Problem): void => {
    link.lost(reason);
    reject(new MachineShellError(reason));
  };
  client.on("error", (error) => {
    if (isReady) return link.lost(lossProblem(target, error));
    // The agent failing on one key is no end: ssh2 goes on with the next.
    if (error.level === "agent") return;
    fail(refusedKey ?? handshakeProblem(error, { target, authentication }));
  });
  client.on("close", () => {
    if (isReady) return link.lost(problem("transfer-cut", { ...place(target), message: "the connection was closed by the machine" }));
    fail(refusedKey ?? problem("unreachable", { ...place(target), message: "the connection was closed during the handshake" }));
  });
  client.once("ready", () => {
    isReady = true;
    resolve(link);
  });
  try {
    client.connect({
      ...connectOptions(options, authentication, knownTypes(knownHosts, host)),
      ...(socket === null ? {} : { sock: socket }),
      hostVerifier: (key: Buffer) => {
        refusedKey = hostKeyProblem(checkHostKey(knownHosts, host, key), target, key);
        return refusedKey === null;
      },
    });
    client.setNoDelay(true);
  } catch (error) {
    fail(problem("unreachable", { ...place(target), message: messageOf(error) }));
  }
  return promise;
}

function connectOptions(options: LinkOptions, authentication: Authentication, serverHostKey: ServerHostKeyAlgorithm[]) {
  const { target } = options;
  return {
    host: target.hostName,
    port: target.port,
    username: target.user,
    ...(target.addressFamily === "inet" ? { forceIPv4: true } : {}),
    ...(target.addressFamily === "inet6" ? { forceIPv6: true } : {}),
    readyTimeout: target.connectTimeoutMs ?? options.connectTimeoutMs,
    agentForward: false,
    authHandler: (methodsLeft: AuthenticationType[] | null, _partial: boolean | null, next: (offer: never) => void) => {
      // ssh2 takes `false` for "nothing left", which its types leave out.
      next(authentication.next(methodsLeft) as never);
    },
    algorithms: {
      cipher: [
        "aes128-gcm@openssh.com" as const,
        "aes256-gcm@openssh.com" as const,
        "aes128-ctr" as const,
        "aes192-ctr" as const,
        "aes256-ctr" as const,
      ],
      compress: ["none" as const],
      serverHostKey,
    },
  };
}

const HOST_KEY_ALGORITHMS: readonly (readonly [keyType: string, algorithms: readonly ServerHostKeyAlgorithm[]])[] = [
  ["ssh-ed25519", ["ssh-ed25519"]],
  ["ecdsa-sha2-nistp256", ["ecdsa-sha2-nistp256"]],
  ["ecdsa-sha2-nistp384", ["ecdsa-sha2-nistp384"]],
  ["ecdsa-sha2-nistp521", ["ecdsa-sha2-nistp521"]],
  ["ssh-rsa", ["rsa-sha2-512", "rsa-sha2-256"]],
];

/** Types on file first: a machine with several keys is then asked for the one that can be checked. */
function knownTypes(lines: readonly KnownHostLine[], host: HostIdentity): ServerHostKeyAlgorithm[] {
  const onFile = new Set(keyTypesOnFile(lines, host));
  const first = HOST_KEY_ALGORITHMS.filter(([type]) => onFile.has(type));
  const rest = HOST_KEY_ALGORITHMS.filter(([type]) => !onFile.has(type));
  return [...first, ...rest].flatMap(([, algorithms]) => algorithms);
}

type ClientError = Error & { level?: string; code?: unknown };

function handshakeProblem(error: ClientError, context: { target: SshTarget; authentication: Authentication }): Problem {
  if (error.level === "client-authentication" || /authentication failures/i.test(error.message)) return context.authentication.refusal();
  return problem("unreachable", { ...place(context.target), message: systemMessage(error) });
}

function lossProblem(target: SshTarget, error: ClientError): Problem {
  return problem("transfer-cut", { ...place(target), message: systemMessage(error) });
}

function systemMessage(error: ClientError): string {
  if (error.level === "client-timeout") return "no answer within the connect timeout";
  return typeof error.code === "string" && !error.message.includes(error.code) ? `${error.code}: ${error.message}` : error.message;
}

function place(target: SshTarget): Record<string, string> {
  return { machine: target.machine, host: target.hostName, port: String(target.port), user: target.user };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
