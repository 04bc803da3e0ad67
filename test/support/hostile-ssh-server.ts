/**
 * An SSH server in this process that misbehaves on request, for what a real sshd never does. It executes nothing:
 * a command is answered with the bytes it was told to give, or by `answer`. Records what it was sent.
 */
import { createServer, type Server, type Socket } from "node:net";
import ssh2, { type Connection, type ServerChannel } from "ssh2";
import { generateSshKeyPair } from "../../scripts/ssh-key-pair.ts";

export interface Behaviour {
  /** The key is refused. */
  readonly refuseAuthentication?: boolean;
  /** Channels are refused, as sshd does above MaxSessions. */
  readonly refuseChannels?: boolean;
  /** The request to execute is refused. */
  readonly refuseExec?: boolean;
  /** The request to execute is never answered. */
  readonly ignoreExec?: boolean;
  /** The TCP connection is reset after this many bytes of standard output. */
  readonly dropAfterBytes?: number;
  /** Every answer waits this long. */
  readonly delayMs?: number;
  /** Plays the machine's part of a command. Default: the sentinel of our scripts is echoed, then `output` and `exit`. */
  readonly answer?: (exec: HostileExec) => void;
  readonly output?: Uint8Array | string;
  readonly errorOutput?: Uint8Array | string;
  /** A status, a signal's name without SIG, or null: the channel closes without one. */
  readonly exit?: number | string | null;
}

export interface HostileExec {
  readonly command: string;
  readonly channel: ServerChannel;
  /** The nonce line of a script whose first line has arrived. */
  readonly sentinel: string;
  readonly drop: () => void;
}

export class HostileSshServer implements AsyncDisposable {
  behaviour: Behaviour = {};
  readonly commands: string[] = [];
  /** What arrived on standard input of all commands. */
  readonly input: Buffer[] = [];
  authenticationAttempts = 0;
  connections = 0;
  readonly #sockets = new Set<Socket>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  readonly #tcp: Server;
  #hostKey: string;

  private constructor() {
    this.#hostKey = generateSshKeyPair().private;
    this.#tcp = createServer((socket) => this.#accept(socket));
  }

  static async start(address = "127.0.0.1"): Promise<HostileSshServer> {
    const server = new HostileSshServer();
    const { promise, resolve } = Promise.withResolvers<void>();
    server.#tcp.listen(0, address, resolve);
    await promise;
    return server;
  }

  get port(): number {
    const address = this.#tcp.address();
    if (address === null || typeof address === "string") throw new Error("the server is not listening");
    return address.port;
  }

  get machine(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** The line of known_hosts for the present key. */
  get knownHostsLine(): string {
    const key = ssh2.utils.parseKey(this.#hostKey);
    if (key instanceof Error) throw key;
    return `[127.0.0.1]:${this.port} ${key.type} ${key.getPublicSSH().toString("base64")}\n`;
  }

  /** From the next connection on the machine has another key. */
  changeHostKey(): void {
    this.#hostKey = generateSshKeyPair().private;
  }

  /** Resets all connections. */
  drop(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    this.drop();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tcp.close(() => resolve());
    await promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #accept(socket: Socket): void {
    this.connections += 1;
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    const server = new ssh2.Server({ hostKeys: [this.#hostKey] }, (connection) => this.#serve(connection, socket));
    server.injectSocket(socket);
  }

  #serve(connection: Connection, socket: Socket): void {
    connection.on("error", () => connection.end());
    connection.on("authentication", (context) => {
      this.authenticationAttempts += 1;
      if (this.behaviour.refuseAuthentication === true || context.method !== "publickey") context.reject(["publickey"]);
      else context.accept();
    });
    connection.on("session", (accept, reject) => {
      if (this.behaviour.refuseChannels === true) return reject();
      const session = accept();
      session.on("exec", (acceptExec, rejectExec, info) => {
        this.commands.push(info.command);
        if (this.behaviour.ignoreExec === true) return;
        if (this.behaviour.refuseExec === true) return rejectExec();
        const channel = acceptExec();
        channel.on("error", () => channel.close());
        this.#afterDelay(() => this.#answer({ command: info.command, channel, drop: () => socket.destroy() }));
      });
    });
  }

  #answer({ command, channel, drop }: Omit<HostileExec, "sentinel">): void {
    let first = "";
    let isBegun = false;
    channel.on("data", (bytes: Buffer) => {
      this.input.push(bytes);
      if (isBegun) return;
      first += bytes.toString("latin1");
      const halves = /printf '%s%s\\n' (\w+) (\w+);/.exec(first);
      if (halves === null || !first.includes("\n")) return;
      isBegun = true;
      const exec: HostileExec = { command, channel, drop, sentinel: `${halves[1]}${halves[2]}\n` };
      const answer = this.behaviour.answer ?? ((one: HostileExec) => this.#play(one));
      this.#afterDelay(() => answer(exec));
    });
  }

  #play({ channel, sentinel, drop }: HostileExec): void {
    const { output = "", errorOutput = "", exit = 0, dropAfterBytes } = this.behaviour;
    channel.write(sentinel);
    channel.stderr.write(sentinel);
    const bytes = Buffer.from(output);
    if (dropAfterBytes !== undefined && dropAfterBytes <= bytes.length) {
      channel.write(bytes.subarray(0, dropAfterBytes), () => this.#afterDelay(drop));
      return;
    }
    if (errorOutput.length > 0) channel.stderr.write(Buffer.from(errorOutput));
    channel.write(bytes);
    if (typeof exit === "number") channel.exit(exit);
    else if (exit !== null) channel.exit(exit);
    channel.end();
  }

  #afterDelay(action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, this.behaviour.delayMs ?? 0);
    this.#timers.add(timer);
  }
}
