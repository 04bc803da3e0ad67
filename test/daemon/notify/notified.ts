/** An assembled daemon whose changes are told to webhooks, with alarms that the test sets off. */
import { hostname } from "node:os";
import type { NotifyOptions } from "../../../src/config/serve-options.ts";
import type { Webhook } from "../../../src/config/webhooks.ts";
import type { Alarms, HookLimits } from "../../../src/daemon/notify/hook-queue.ts";
import { Notifications } from "../../../src/daemon/notify/notifications.ts";
import type { NoticeWords } from "../../../src/daemon/notify/words.ts";
import { formatDuration } from "../../../src/terminal/duration.ts";
import { jobJson, machineJson } from "../../../src/terminal/job-json.ts";
import { printable } from "../../../src/terminal/printable.ts";
import { Assembly } from "../assembly.ts";

export const WORDS: NoticeWords = { job: jobJson, machine: machineJson, duration: formatDuration, printable };
export const NO_WANTS: NotifyOptions = { running: false, complete: false, copied: false, fail: false, machineBroken: false };

/** A clock that the test moves. Alarms that are due go off in their order. */
export class ManualClock implements Alarms {
  at = Date.now();
  readonly #alarms = new Map<string, { readonly at: number; readonly call: () => void }>();

  now = (): number => this.at;

  set(name: string, at: number, call: () => void): void {
    this.#alarms.set(name, { at, call });
  }

  clear(name: string): void {
    this.#alarms.delete(name);
  }

  stop(): void {
    this.#alarms.clear();
  }

  has(name: string): boolean {
    return this.#alarms.has(name);
  }

  get count(): number {
    return this.#alarms.size;
  }

  advance(milliseconds: number): void {
    this.at += milliseconds;
    for (const [name, alarm] of [...this.#alarms].sort(([, a], [, b]) => a.at - b.at)) {
      if (alarm.at > this.at) continue;
      this.#alarms.delete(name);
      alarm.call();
    }
  }
}

export interface NotifiedOptions {
  readonly webhooks: readonly Webhook[];
  readonly wants?: Partial<NotifyOptions>;
  readonly summaryIntervalMs?: number;
  readonly limits?: Partial<HookLimits>;
}

export class Notified implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly notifications: Notifications;

  private constructor(
    readonly daemon: Assembly,
    options: NotifiedOptions,
  ) {
    const { engine, book, store, log } = daemon;
    this.notifications = new Notifications({
      webhooks: options.webhooks,
      wants: { ...NO_WANTS, ...options.wants },
      summaryIntervalMs: options.summaryIntervalMs ?? null,
      state: () => engine.state,
      book,
      secret: (name) => store.secrets.get(name),
      words: WORDS,
      server: { name: hostname(), version: "1.2.3" },
      alarms: this.clock,
      now: this.clock.now,
      random: () => 1,
      log,
      limits: options.limits ?? {},
    });
    engine.subscribe((change) => this.notifications.changed(change));
  }

  static async open(options: NotifiedOptions): Promise<Notified> {
    return new Notified(await Assembly.open(), options);
  }

  static on(daemon: Assembly, options: NotifiedOptions): Notified {
    return new Notified(daemon, options);
  }

  async secret(name: string, value: string): Promise<void> {
    await this.daemon.store.secrets.set(name, value);
    await this.daemon.engine.submit({ kind: "set-variable", name, value: "", secret: true });
  }

  /** A job that runs, writes to its error log, and ends. @returns its id */
  async ended(exitCode: number, more: Parameters<Assembly["add"]>[0] = {}, errors = ""): Promise<number> {
    const { jid, runId } = await this.daemon.running(more);
    await Bun.write(this.daemon.run(jid).errLog, errors);
    this.daemon.hosts.finish(runId, exitCode);
    await this.daemon.until(jid, exitCode === 0 ? "done" : "failed");
    return jid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.notifications.stop(0);
    await this.daemon[Symbol.asyncDispose]();
  }
}

export function hook(url: string, more: Partial<Webhook> = {}): Webhook {
  return { kind: "slack", url, host: new URL(url).host, user: null, ...more };
}
