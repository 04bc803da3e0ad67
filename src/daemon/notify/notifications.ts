/**
 * Notifications: hears what has become durable, keeps what somebody asked to be told, and hands it to a queue for each
 * webhook, at once or as the summary of an interval. Knows no HTTP and no wording. What was replayed at the start is
 * never heard here, so a restart repeats nothing.
 */
import type { NotifyOptions } from "../../config/serve-options.ts";
import type { Webhook } from "../../config/webhooks.ts";
import type { Event } from "../../core/event.ts";
import { machineAt, type State } from "../../core/state.ts";
import type { Condition } from "../condition.ts";
import type { Change } from "../engine.ts";
import type { JobBook } from "../job-book.ts";
import type { DaemonLog } from "../log.ts";
import { Digest } from "./digest.ts";
import { type Alarms, DEFAULT_HOOK_LIMITS, type HookLimits, HookQueue } from "./hook-queue.ts";
import { jsonMessage } from "./json-message.ts";
import { KnownSecrets } from "./known-secrets.ts";
import { noticesOf } from "./notice.ts";
import { type Report, Reporter } from "./report.ts";
import { slackMessage } from "./slack-message.ts";
import { type PostOutcome, post } from "./webhook.ts";
import type { NoticeWords } from "./words.ts";

export interface NotificationsOptions {
  readonly webhooks: readonly Webhook[];
  readonly wants: NotifyOptions;
  /** null: what the flags select is told at once. */
  readonly summaryIntervalMs: number | null;
  readonly state: () => State;
  readonly book: Pick<JobBook, "get">;
  readonly secret: (name: string) => string | undefined;
  readonly words: NoticeWords;
  readonly server: { readonly name: string; readonly version: string };
  readonly alarms: Alarms;
  readonly now: () => number;
  readonly random: () => number;
  readonly log: DaemonLog;
  readonly limits?: Partial<HookLimits>;
}

export interface TestedHook {
  readonly webhook: Webhook;
  readonly outcome: PostOutcome;
}

/** A machine that cannot be reached is told of after so long; many come back by themselves. */
const UNREACHABLE_TOLD_AFTER_MS = 10 * 60_000;

export class Notifications {
  readonly #options: NotificationsOptions;
  readonly #wants: NotifyOptions;
  readonly #secrets: KnownSecrets;
  readonly #reporter: Reporter;
  readonly #limits: HookLimits;
  readonly #queues: readonly HookQueue[];
  readonly #startedAt: number;
  /** Addresses of machines that were told to be broken. */
  readonly #broken = new Set<string>();
  #summary: Digest | null = null;

  constructor(options: NotificationsOptions) {
    this.#options = options;
    this.#wants = wantsWith(options);
    this.#limits = { ...DEFAULT_HOOK_LIMITS, ...options.limits };
    this.#startedAt = options.now();
    const { state, secret, webhooks } = options;
    this.#secrets = new KnownSecrets({ state, secret, others: webhooks.map(({ url }) => url) });
    this.#reporter = new Reporter({ ...options, secrets: this.#secrets });
    this.#queues = webhooks.map((webhook, index) => this.#queueFor(webhook, index));
    this.#knowBroken(state());
  }

  /** Bounded work for each event, and nothing is waited for. */
  changed(change: Change): void {
    if (this.#queues.length === 0) return;
    this.#secrets.changed(change.events);
    for (const { notice, own } of noticesOf(change, this.#wants, this.#options.now())) {
      if (notice.kind === "machine-quarantined") this.#broken.add(notice.machine.addr);
      if (own || this.#options.summaryIntervalMs === null) for (const queue of this.#queues) queue.add(notice);
      else this.#forSummary().add(notice);
    }
    if (this.#wants.machineBroken) for (const event of change.events) this.#machineChanged(event, change);
  }

  /** Webhooks that fail for long. */
  get conditions(): readonly Condition[] {
    return this.#queues.flatMap((queue) => queue.condition ?? []);
  }

  /** Sends one message to each webhook, now and once. */
  async test(signal: AbortSignal): Promise<readonly TestedHook[]> {
    const report = this.#reporter.test();
    const tested = async (webhook: Webhook): Promise<TestedHook> => ({
      webhook,
      outcome: await this.#post(webhook, this.#body(webhook, report), signal),
    });
    return await Promise.all(this.#options.webhooks.map(tested));
  }

  /** Tells what is left, within a bound. */
  async stop(boundMs: number): Promise<void> {
    this.#options.alarms.clear("summary");
    this.#sendSummary();
    await Promise.all(this.#queues.map((queue) => queue.stop(boundMs)));
    this.#options.alarms.stop();
  }

  #queueFor(webhook: Webhook, index: number): HookQueue {
    const { alarms, now, random, log } = this.#options;
    return new HookQueue({
      webhook,
      compose: async (digest, unsent) => this.#body(webhook, await this.#reporter.report(digest, unsent)),
      post: (body, signal) => this.#post(webhook, body, signal),
      alarms,
      name: `webhook ${index}`,
      now,
      random,
      limits: this.#limits,
      log,
    });
  }

  #body(webhook: Webhook, report: Report): string {
    const { words } = this.#options;
    return webhook.kind === "json" ? jsonMessage(report) : slackMessage(report, { user: webhook.user, duration: words.duration });
  }

  #post(webhook: Webhook, body: string, signal: AbortSignal): Promise<PostOutcome> {
    const { server, now } = this.#options;
    const userAgent = `expjobserver/${server.version}`;
    return post(webhook, { body, userAgent, timeoutMs: this.#limits.answerTimeoutMs, signal, now });
  }

  #forSummary(): Digest {
    if (this.#summary !== null) return this.#summary;
    const { summaryIntervalMs, now, alarms } = this.#options;
    const intervalMs = summaryIntervalMs ?? 0;
    const passed = now() - this.#startedAt;
    // In step with the start: an hour without news costs no wake-up and shifts nothing.
    alarms.set("summary", this.#startedAt + (Math.floor(passed / intervalMs) + 1) * intervalMs, () => this.#sendSummary());
    this.#summary = new Digest();
    return this.#summary;
  }

  #sendSummary(): void {
    const summary = this.#summary;
    this.#summary = null;
    if (summary === null) return;
    summary.markSummary();
    for (const queue of this.#queues) queue.addAll(summary);
  }

  #machineChanged(event: Event, change: Change): void {
    if (event.kind === "machine-unreachable") this.#watchUnreachable(event.addr, event.at + UNREACHABLE_TOLD_AFTER_MS);
    if (event.kind === "machine-removed") this.#forgetMachine(event.addr);
    if (event.kind !== "machine-recovered" && event.kind !== "machine-moved") return;
    const wasTold = this.#forgetMachine(event.addr);
    const machine = machineAt(change.after, event.addr);
    if (wasTold && machine?.health.kind === "ok") this.#tellMachine("machine-recovered", event.addr);
  }

  /** @returns whether it was told to be broken */
  #forgetMachine(addr: string): boolean {
    this.#options.alarms.clear(`unreachable ${addr}`);
    return this.#broken.delete(addr);
  }

  #watchUnreachable(addr: string, at: number): void {
    if (this.#broken.has(addr)) return;
    this.#options.alarms.set(`unreachable ${addr}`, at, () => {
      if (machineAt(this.#options.state(), addr)?.health.kind !== "unreachable") return;
      this.#broken.add(addr);
      this.#tellMachine("machine-unreachable", addr);
    });
  }

  #tellMachine(kind: "machine-unreachable" | "machine-recovered", addr: string): void {
    const machine = machineAt(this.#options.state(), addr);
    if (machine === undefined) return;
    const notice = { kind, at: this.#options.now(), machine } as const;
    if (this.#options.summaryIntervalMs === null) for (const queue of this.#queues) queue.add(notice);
    else this.#forSummary().add(notice);
  }

  /** What is broken at the start was told before, unless it was about to be. */
  #knowBroken(state: State): void {
    if (!this.#wants.machineBroken) return;
    for (const { addr, health } of state.machines.values()) {
      if (health.kind === "quarantined") this.#broken.add(addr);
      if (health.kind !== "unreachable") continue;
      const at = health.since + UNREACHABLE_TOLD_AFTER_MS;
      if (at <= this.#startedAt) this.#broken.add(addr);
      else this.#watchUnreachable(addr, at);
    }
  }
}

/** A summary of nothing is of no use: alone, --summary-interval means ends and broken machines. */
function wantsWith({ wants, summaryIntervalMs }: NotificationsOptions): NotifyOptions {
  if (summaryIntervalMs === null || Object.values(wants).includes(true)) return wants;
  return { ...wants, complete: true, fail: true, machineBroken: true };
}
