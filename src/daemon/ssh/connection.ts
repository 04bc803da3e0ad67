/**
 * The connection to one machine, shared by all who need it: opened on demand, one attempt at a time, left alone
 * for a while after a failure, closed when nothing has used it for some minutes. Owns no policy about machines
 * and starts nothing again by itself: a lost channel is reported to whoever held it.
 */
import type { Duplex } from "node:stream";
import type { ClientChannel } from "ssh2";
import { type Problem, problem } from "../../core/problem.ts";
import { MachineShellError } from "../machine-shell.ts";
import { ChannelGate } from "./channel-gate.ts";
import type { SshLink } from "./link.ts";

export interface SshLimits {
  /** Until the machine has answered, been checked and accepted a key, unless ssh_config says otherwise. */
  readonly connectTimeoutMs: number;
  readonly keepaliveIntervalMs: number;
  readonly keepaliveCountMax: number;
  /** Session channels at once on one connection; sshd's MaxSessions is 10 by default. */
  readonly channelsMax: number;
  /** After a failed attempt the next one waits this long, doubled each time, with a quarter of jitter. */
  readonly backoffFirstMs: number;
  readonly backoffMaxMs: number;
  readonly idleCloseMs: number;
  /** Until a started shell has begun to execute our script. */
  readonly shellStartTimeoutMs: number;
}

export const SSH_LIMITS: SshLimits = {
  connectTimeoutMs: 10_000,
  keepaliveIntervalMs: 15_000,
  keepaliveCountMax: 3,
  channelsMax: 8,
  backoffFirstMs: 1_000,
  backoffMaxMs: 60_000,
  idleCloseMs: 5 * 60_000,
  shellStartTimeoutMs: 60_000,
};

const REFUSALS_MAX = 5;
const REFUSED_WAIT_FIRST_MS = 50;

/** A channel with the connection it lives on. Its place is free again when one of them ends, or at `release`. */
export interface LeasedChannel {
  readonly channel: ClientChannel;
  readonly link: SshLink;
  readonly release: () => void;
}

export interface SshConnectionOptions {
  readonly machine: string;
  readonly limits: SshLimits;
  /** Makes a new transport: resolves the configuration, goes through jump hosts, checks the host key. */
  readonly open: () => Promise<SshLink>;
}

export class SshConnection {
  readonly #options: SshConnectionOptions;
  readonly #gate: ChannelGate;
  #link: SshLink | null = null;
  #opening: Promise<SshLink> | null = null;
  #failure: { problem: Problem; count: number; notBefore: number } | null = null;
  #forwards = 0;
  #idleTimer: ReturnType<typeof setTimeout> | null = null;
  #isClosed = false;

  constructor(options: SshConnectionOptions) {
    this.#options = options;
    this.#gate = new ChannelGate(options.limits.channelsMax);
  }

  /**
   * Executes `command` on a channel of its own, waiting while the machine allows no more of them.
   * @throws {MachineShellError} the problem of the connection, or shell-unusable when the machine executes nothing.
   */
  async exec(command: string): Promise<LeasedChannel> {
    for (let refusals = 1; ; refusals += 1) {
      await this.#enterGate();
      this.#cancelIdleClose();
      const opened = await this.#openSession(command);
      if (opened.kind === "open") return this.#lease(opened);
      const hasOthers = this.#gate.open > 1;
      // Others are open: they are what the machine allows, and one of theirs is waited for.
      if (hasOthers) this.#gate.refused();
      this.#leave();
      if (hasOthers) continue;
      if (refusals >= REFUSALS_MAX)
        throw new MachineShellError(problem("shell-unusable", { ...place(opened.link), message: opened.message }));
      // None of ours is open: the machine is still clearing up after the last one.
      await Bun.sleep(REFUSED_WAIT_FIRST_MS * 2 ** refusals);
    }
  }

  /** Resolves once there is a live connection. @throws {MachineShellError} as `exec` does. */
  async connect(): Promise<void> {
    await this.#ready();
    this.#closeWhenIdle();
  }

  /**
   * A TCP connection from the machine to `host`:`port`, for a machine that is reached through this one. It does
   * not connect by itself (`connect` does), so that a caller who holds a place in a queue waits for nobody.
   */
  async forward(host: string, port: number): Promise<Duplex> {
    const link = this.#link;
    if (link === null || link.dead !== null) throw new MachineShellError(link?.dead ?? this.#closedProblem());
    this.#forwards += 1;
    this.#cancelIdleClose();
    let channel: ClientChannel;
    try {
      channel = await openForward(link, { host, port });
    } catch (error) {
      this.#forwardEnded();
      throw error;
    }
    // The channel's own "close" may wait for a reader; the death of this hop must be seen behind it at once.
    const takeBack = link.onDeath((reason) => {
      channel.emit("error", new Error(`${reason.data.message ?? reason.code} (jump host ${this.#options.machine})`));
    });
    channel.once("close", () => {
      takeBack();
      this.#forwardEnded();
    });
    return channel;
  }

  /** A person asks again after having put something right: the next attempt does not wait. */
  forgetFailure(): void {
    this.#failure = null;
  }

  /** Ends the connection for good; what runs on it learns `unreachable`. */
  close(): void {
    this.#isClosed = true;
    this.#cancelIdleClose();
    this.#link?.close(this.#closedProblem());
  }

  /** Waits as long as it takes, but not behind a machine's only session: a standing channel would hold it for ever. */
  async #enterGate(): Promise<void> {
    const { machine, limits } = this.#options;
    const entered = this.#gate.enter().then(() => true);
    for (;;) {
      const late = Promise.withResolvers<false>();
      const timer = setTimeout(() => late.resolve(false), limits.shellStartTimeoutMs);
      const isIn = await Promise.race([entered, late.promise]);
      clearTimeout(timer);
      if (isIn) return;
      if (this.#gate.limit > 1) continue;
      void entered.then(() => this.#leave());
      const message = "its sshd allows one session at a time, and that one is in use: MaxSessions must be at least 2";
      throw new MachineShellError(problem("shell-unusable", { machine, message }));
    }
  }

  async #openSession(command: string): Promise<OpenedSession> {
    try {
      const link = await this.#ready();
      return await openSession(link, command, this.#options.limits.shellStartTimeoutMs);
    } catch (error) {
      this.#leave();
      throw error;
    }
  }

  /** The live link, or a new one; callers at the same time share one attempt. */
  #ready(): Promise<SshLink> {
    if (this.#isClosed) return Promise.reject(new MachineShellError(this.#closedProblem()));
    if (this.#link !== null && this.#link.dead === null) return Promise.resolve(this.#link);
    if (this.#opening !== null) return this.#opening;
    const failure = this.#failure;
    const waitMs = failure === null ? 0 : failure.notBefore - performance.now();
    if (failure !== null && waitMs > 0) {
      const data = { ...failure.problem.data, retryInMs: String(Math.ceil(waitMs)) };
      return Promise.reject(new MachineShellError(problem(failure.problem.code, data)));
    }
    this.#opening = this.#open().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #open(): Promise<SshLink> {
    let link: SshLink;
    try {
      link = await this.#options.open();
    } catch (error) {
      if (error instanceof MachineShellError) this.#remember(error.problem);
      throw error;
    }
    if (this.#isClosed) {
      link.close(this.#closedProblem());
      throw new MachineShellError(this.#closedProblem());
    }
    this.#failure = null;
    this.#link = link;
    this.#gate.reset();
    return link;
  }

  #remember(reason: Problem): void {
    const { backoffFirstMs, backoffMaxMs } = this.#options.limits;
    const count = (this.#failure?.count ?? 0) + 1;
    const delayMs = Math.min(backoffMaxMs, backoffFirstMs * 2 ** (count - 1)) * (0.75 + Math.random() / 2);
    this.#failure = { problem: reason, count, notBefore: performance.now() + delayMs };
  }

  #lease({ channel, link }: { channel: ClientChannel; link: SshLink }): LeasedChannel {
    let isReleased = false;
    let takeBack: (() => void) | null = null;
    const release = (): void => {
      if (isReleased) return;
      isReleased = true;
      takeBack?.();
      this.#leave();
    };
    takeBack = link.onDeath(release);
    channel.once("close", release);
    return { channel, link, release };
  }

  #forwardEnded(): void {
    this.#forwards -= 1;
    this.#closeWhenIdle();
  }

  #leave(): void {
    this.#gate.release();
    this.#closeWhenIdle();
  }

  #closeWhenIdle(): void {
    if (this.#gate.open > 0 || this.#forwards > 0 || this.#link === null || this.#link.dead !== null) return;
    this.#cancelIdleClose();
    this.#idleTimer = setTimeout(() => {
      this.#link?.close(problem("unreachable", { machine: this.#options.machine, message: "closed after being idle" }));
    }, this.#options.limits.idleCloseMs);
    this.#idleTimer.unref();
  }

  #cancelIdleClose(): void {
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer);
    this.#idleTimer = null;
  }

  #closedProblem(): Problem {
    return problem("unreachable", { machine: this.#options.machine, message: "the connection was closed here" });
  }
}

type OpenedSession =
  | { readonly kind: "open"; readonly channel: ClientChannel; readonly link: SshLink }
  | { readonly kind: "refused"; readonly message: string; readonly link: SshLink };

function openSession(link: SshLink, command: string, timeoutMs: number): Promise<OpenedSession> {
  const { promise, resolve, reject } = Promise.withResolvers<OpenedSession>();
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    refuse(problem("shell-unusable", { ...place(link), message: `the request to execute was not answered within ${timeoutMs} ms` }));
  }, timeoutMs);
  const settled = (): void => {
    clearTimeout(timer);
    takeBack();
  };
  const refuse = (reason: Problem): void => reject(new MachineShellError(link.dead ?? reason));
  const takeBack = link.onDeath((reason) => {
    clearTimeout(timer);
    reject(new MachineShellError(reason));
  });
  try {
    link.client.exec(command, (error: (Error & { reason?: unknown }) | undefined, channel) => {
      settled();
      if (error === undefined && isLate) channel.close();
      else if (error === undefined) resolve({ kind: "open", channel, link });
      else if (typeof error.reason === "number") resolve({ kind: "refused", message: error.message, link });
      else refuse(problem("shell-unusable", { ...place(link), message: error.message }));
    });
  } catch (error) {
    // The socket is gone, and its "close" is about to say so.
    settled();
    refuse(problem("transfer-cut", { ...place(link), message: String(error) }));
  }
  return promise;
}

function openForward(link: SshLink, to: { host: string; port: number }): Promise<ClientChannel> {
  const { promise, resolve, reject } = Promise.withResolvers<ClientChannel>();
  const takeBack = link.onDeath((reason) => reject(new MachineShellError(reason)));
  link.client.forwardOut("127.0.0.1", 0, to.host, to.port, (error, channel) => {
    takeBack();
    if (!error) return resolve(channel);
    const message = `${error.message} (from jump host ${link.target.machine})`;
    reject(new MachineShellError(link.dead ?? problem("unreachable", { host: to.host, port: String(to.port), message })));
  });
  return promise;
}

function place(link: SshLink): Record<string, string> {
  const { machine, hostName, port, user } = link.target;
  return { machine, host: hostName, port: String(port), user };
}
