/**
 * What one webhook is still to be told. Events gather until it has been quiet for a moment, so that a burst is one
 * message; a message that fails is tried again with a back-off and given up in the end; meanwhile the next one gathers.
 * add() does a bounded piece of work and waits for nothing.
 */
import type { Webhook } from "../../config/webhooks.ts";
import type { Condition } from "../condition.ts";
import type { DaemonLog } from "../log.ts";
import { faultOf } from "../log-words.ts";
import { Digest } from "./digest.ts";
import type { Notice } from "./notice.ts";
import type { PostOutcome } from "./webhook.ts";

/** What Timers does; a test has its own clock. */
export interface Alarms {
  set(name: string, at: number, call: () => void): void;
  clear(name: string): void;
  stop(): void;
}

export interface HookLimits {
  /** How quiet it must be before a message goes; doubles with each of a series of messages. */
  readonly quietFirstMs: number;
  readonly quietMaxMs: number;
  /** So long a burst is gathered at most. */
  readonly gatherMaxMs: number;
  /** Between two messages. */
  readonly gapMs: number;
  /** Messages nearer together than this are a series. */
  readonly seriesMs: number;
  readonly answerTimeoutMs: number;
  readonly backOffFirstMs: number;
  readonly backOffMaxMs: number;
  /** A message is tried for so long. */
  readonly giveUpMs: number;
  /** A hook that fails for longer is shown by `status`. */
  readonly failingShownMs: number;
}

export const DEFAULT_HOOK_LIMITS: HookLimits = {
  quietFirstMs: 1_000,
  quietMaxMs: 30_000,
  gatherMaxMs: 60_000,
  gapMs: 1_000,
  seriesMs: 60_000,
  answerTimeoutMs: 10_000,
  backOffFirstMs: 1_000,
  backOffMaxMs: 60_000,
  giveUpMs: 15 * 60_000,
  failingShownMs: 60_000,
};

/** Who asks for a longer pause is asked again after this one. */
const RETRY_AFTER_MS_MAX = 3_600_000;

export interface HookQueueOptions {
  readonly webhook: Webhook;
  /** The body of the message. */
  readonly compose: (digest: Digest, unsent: number) => Promise<string>;
  readonly post: (body: string, signal: AbortSignal) => Promise<PostOutcome>;
  readonly alarms: Alarms;
  /** Of its alarms. */
  readonly name: string;
  readonly now: () => number;
  readonly random: () => number;
  readonly limits: HookLimits;
  readonly log: DaemonLog;
}

interface Failing {
  readonly since: number;
  readonly reason: string;
  readonly isRefused: boolean;
}

export class HookQueue {
  readonly #options: HookQueueOptions;
  readonly #abort = new AbortController();
  #pending: Digest | null = null;
  #firstAt = 0;
  #lastAt = 0;
  #triedAt = Number.NEGATIVE_INFINITY;
  /** The other side has asked to be left alone until then. */
  #notBefore = Number.NEGATIVE_INFINITY;
  #quietMs: number;
  #failures = 0;
  /** Events given up since the last message that arrived. */
  #unsent = 0;
  #failing: Failing | null = null;
  #working: Promise<void> | null = null;
  #wake: (() => void) | null = null;
  #stopping = false;

  constructor(options: HookQueueOptions) {
    this.#options = options;
    this.#quietMs = options.limits.quietFirstMs;
  }

  get webhook(): Webhook {
    return this.#options.webhook;
  }

  /** Set while it has failed for long, or refuses what it is sent. */
  get condition(): Condition | null {
    const failing = this.#failing;
    const { now, limits, webhook } = this.#options;
    if (failing === null || (!failing.isRefused && now() - failing.since < limits.failingShownMs)) return null;
    const { host, kind } = webhook;
    return { code: "notifications-failing", data: { kind, host, reason: failing.reason, since: new Date(failing.since).toISOString() } };
  }

  add(notice: Notice): void {
    this.#gather().add(notice);
    this.#work();
  }

  addAll(digest: Digest): void {
    this.#gather().addAll(digest);
    this.#work();
  }

  /** Sends what is left, at once and each message once. Resolves within `boundMs`; nothing is taken afterwards. */
  async stop(boundMs: number): Promise<void> {
    this.#stopping = true;
    this.#wake?.();
    if (this.#working === null) return;
    const over = Promise.withResolvers<void>();
    const bound = setTimeout(() => {
      this.#abort.abort();
      over.resolve();
    }, boundMs);
    await Promise.race([this.#working, over.promise]);
    clearTimeout(bound);
  }

  #gather(): Digest {
    const now = this.#options.now();
    if (this.#pending === null) this.#firstAt = now;
    this.#lastAt = now;
    this.#pending ??= new Digest();
    return this.#pending;
  }

  #work(): void {
    if (this.#stopping) return;
    this.#working ??= this.#worked().finally(() => {
      this.#working = null;
      // Something came just when it had found nothing more to do.
      if (this.#pending !== null) this.#work();
    });
  }

  async #worked(): Promise<void> {
    while (this.#pending !== null) {
      await this.#until(() => this.#dueAt());
      const digest = this.#pending;
      this.#pending = null;
      try {
        await this.#deliver(digest);
      } catch (error) {
        this.#options.log.error(`notifications to ${this.webhook.host}: ${faultOf(error)}`);
        this.#unsent += digest.total;
      }
    }
  }

  #dueAt(): number {
    const { gatherMaxMs, gapMs } = this.#options.limits;
    const settled = Math.min(this.#lastAt + this.#quietMs, this.#firstAt + gatherMaxMs);
    const gap = this.#failures === 0 ? gapMs : this.#backOffMs();
    return Math.max(settled, this.#triedAt + gap, this.#notBefore);
  }

  async #deliver(digest: Digest): Promise<void> {
    const { now, limits, log, compose, post } = this.#options;
    const body = await compose(digest, this.#unsent);
    const giveUpAt = now() + limits.giveUpMs;
    for (;;) {
      const series = now() - this.#triedAt < limits.seriesMs;
      const outcome = await post(body, this.#abort.signal);
      this.#triedAt = now();
      const pauseMs = outcome.kind === "failed" ? (outcome.afterMs ?? 0) : 0;
      this.#notBefore = this.#triedAt + Math.min(pauseMs, RETRY_AFTER_MS_MAX);
      if (outcome.kind === "sent") return this.#arrived(series);
      this.#failed(outcome.reason, outcome.kind === "refused");
      const again = Math.max(this.#triedAt + this.#backOffMs(), this.#notBefore);
      if (outcome.kind === "refused" || this.#stopping || again > giveUpAt) {
        this.#unsent += digest.total;
        log.warn(`${digest.total} notices to ${this.webhook.host} were given up: ${outcome.reason}`);
        return;
      }
      await this.#until(() => again);
    }
  }

  #arrived(series: boolean): void {
    const { limits, log } = this.#options;
    if (this.#failing !== null) log.info(`notifications to ${this.webhook.host} arrive again`);
    this.#failing = null;
    this.#failures = 0;
    this.#unsent = 0;
    this.#quietMs = series ? Math.min(this.#quietMs * 2, limits.quietMaxMs) : limits.quietFirstMs;
  }

  /** Said once, until one arrives again or the reason is another. */
  #failed(reason: string, isRefused: boolean): void {
    const { now, log } = this.#options;
    this.#failures++;
    if (this.#failing?.reason !== reason) log.warn(`notifications to ${this.webhook.host} fail: ${reason}`);
    this.#failing = { since: this.#failing?.since ?? now(), reason, isRefused };
  }

  /** Half of it is by chance: many servers share a webhook's host. */
  #backOffMs(): number {
    const { backOffFirstMs, backOffMaxMs } = this.#options.limits;
    const whole = Math.min(backOffFirstMs * 2 ** Math.min(Math.max(this.#failures - 1, 0), 30), backOffMaxMs);
    return whole / 2 + (whole / 2) * this.#options.random();
  }

  /** Resolves when it is due, or the server stops. What is due may move while it waits. */
  async #until(dueAt: () => number): Promise<void> {
    const { now, alarms, name } = this.#options;
    for (let at = dueAt(); !this.#stopping && now() < at; at = dueAt()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        alarms.set(name, at, resolve);
      });
    }
    this.#wake = null;
    alarms.clear(name);
  }
}
