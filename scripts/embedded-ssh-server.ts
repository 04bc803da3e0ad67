/**
 * An ordinary SSH server for hosts without sshd: public keys only, loopback only, one host key of its own. It executes
 * what it is asked to with /bin/sh as the user that started it. For the demo and its tests, not part of the product.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { timingSafeEqual } from "node:crypto";
import { constants, homedir } from "node:os";
import type { Readable, Writable } from "node:stream";
import ssh2, { type AuthContext, type Connection, type ParsedKey, type ServerChannel } from "ssh2";

export interface EmbeddedSshServerOptions {
  /** 127.0.0.x. */
  readonly address: string;
  /** 0: a free one. */
  readonly port: number;
  /** Private key, OpenSSH format. */
  readonly hostKey: string;
  /** Public keys, as in authorized_keys. */
  readonly authorizedKeys: readonly string[];
  /** Where commands start, and their HOME. Default: the user's. */
  readonly home?: string;
  /** The one user it knows: the one who started it. */
  readonly user: string;
}

export interface EmbeddedSshServer {
  readonly port: number;
  /** Ends the server and its connections; processes that were started and detached themselves go on, as with sshd. */
  close(): Promise<void>;
}

/** Resolves when it is listening. */
export async function startEmbeddedSshServer(options: EmbeddedSshServerOptions): Promise<EmbeddedSshServer> {
  if (!options.address.startsWith("127.")) throw new Error(`refusing to listen on ${options.address}: loopback only`);
  const keys = options.authorizedKeys.map(publicKey);
  const connections = new Set<Connection>();
  const server = new ssh2.Server({ hostKeys: [options.hostKey] }, (connection) => {
    connections.add(connection);
    connection.on("close", () => connections.delete(connection));
    // A client that breaks off is its own affair.
    connection.on("error", () => connection.end());
    connection.on("authentication", (context) => authenticate(context, options.user, keys));
    connection.on("session", (accept) => {
      const session = accept();
      let child: ChildProcessWithoutNullStreams | null = null;
      session.on("exec", (acceptExec, _reject, info) => {
        child = execute(info.command, acceptExec(), options);
      });
      session.on("signal", (acceptSignal, _reject, info) => {
        acceptSignal?.();
        if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null) signalGroup(child.pid, info.name);
      });
    });
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(options.port, options.address, resolve);
  await promise;
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("the server has no port");
  return {
    port: bound.port,
    close: async () => {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      for (const connection of connections) connection.end();
      await closed.promise;
    },
  };
}

function authenticate(context: AuthContext, user: string, keys: readonly ParsedKey[]): void {
  if (context.method !== "publickey" || context.username !== user) return context.reject(["publickey"]);
  const offered = context.key.data;
  const key = keys.find((one) => isSame(one.getPublicSSH(), offered));
  if (key === undefined) return context.reject(["publickey"]);
  if (context.signature === undefined || context.blob === undefined) return context.accept();
  // Verified by the algorithm that was agreed on; RSA keys come with one of several hashes.
  if (key.verify(context.blob, context.signature, context.hashAlgo) === true) context.accept();
  else context.reject(["publickey"]);
}

function isSame(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}

function publicKey(line: string): ParsedKey {
  const parsed = ssh2.utils.parseKey(line);
  if (parsed instanceof Error) throw parsed;
  return parsed;
}

function execute(command: string, channel: ServerChannel, options: EmbeddedSshServerOptions): ChildProcessWithoutNullStreams {
  const home = options.home ?? homedir();
  const child = spawn("/bin/sh", ["-c", command], {
    cwd: home,
    detached: true,
    env: { HOME: home, USER: options.user, LOGNAME: options.user, SHELL: "/bin/sh", PATH: process.env.PATH ?? "/usr/bin:/bin" },
  });
  channel.pipe(child.stdin);
  // One write at a time: ssh2 wakes only one of the two outputs when the window opens again, and the wrong one when it
  // still remembers a piece of the other that has long been sent.
  let written: Promise<void> = Promise.resolve();
  const pass = (source: Readable, target: Writable): void => {
    source.on("data", (bytes: Buffer) => {
      source.pause();
      written = written
        .then(() => writeTo(target, bytes))
        .then(() => {
          Object.assign(channel, { _chunk: undefined, _chunkcb: undefined, _chunkErr: undefined, _chunkcbErr: undefined });
          source.resume();
        });
    });
  };
  pass(child.stdout, channel);
  pass(child.stderr, channel.stderr);
  child.stdin.on("error", () => channel.unpipe(child.stdin).resume());
  channel.on("error", () => channel.close());
  channel.once("close", () => {
    // As with sshd: the process is not killed, but its pipes are gone.
    child.stdin.destroy();
    child.stdout.destroy();
    child.stderr.destroy();
  });
  child.once("error", (error) => {
    channel.stderr.write(`${error.message}\n`);
    channel.exit(127);
    channel.end();
  });
  child.once("close", (status, signal) => {
    void written.then(() => {
      if (signal === null) channel.exit(status ?? 0);
      else channel.exit(signal.replace(/^SIG/, ""), false, "");
      channel.end();
    });
  });
  return child;
}

function writeTo(target: Writable, bytes: Buffer): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  target.write(bytes, () => resolve());
  return promise;
}

function signalGroup(pid: number, name: string): void {
  const signal = Object.keys(constants.signals).find((known) => known === `SIG${name}`);
  if (signal === undefined) return;
  try {
    process.kill(-pid, signal as NodeJS.Signals);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
