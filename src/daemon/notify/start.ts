/** Notifications of a running server: made of its options and parts, and subscribed to its changes. */
import { hostname } from "node:os";
import type { ServeOptions } from "../../config/serve-options.ts";
import { VERSION } from "../../config/version.ts";
import type { Engine } from "../engine.ts";
import type { JobBook } from "../job-book.ts";
import type { DaemonLog } from "../log.ts";
import { Timers } from "../timers.ts";
import { Notifications } from "./notifications.ts";
import type { NoticeWords } from "./words.ts";

export interface StartOptions {
  readonly serve: ServeOptions;
  readonly engine: Engine;
  readonly book: JobBook;
  readonly secret: (name: string) => string | undefined;
  readonly words: NoticeWords;
  readonly log: DaemonLog;
}

/** Hears all that changes from now on: to be called before the server does anything. */
export function startNotifications({ serve, engine, book, secret, words, log }: StartOptions): Notifications {
  const { webhooks, notify, summaryIntervalMinutes } = serve;
  const summaryIntervalMs = summaryIntervalMinutes === null ? null : summaryIntervalMinutes * 60_000;
  const notifications = new Notifications({
    webhooks,
    wants: notify,
    summaryIntervalMs,
    state: () => engine.state,
    book,
    secret,
    words,
    server: { name: hostname(), version: VERSION },
    alarms: new Timers(Date.now),
    now: Date.now,
    random: Math.random,
    log,
  });
  if (webhooks.length > 0) engine.subscribe((change) => notifications.changed(change));
  return notifications;
}

/** What a person should read at the start: where notifications go, or that they go nowhere. */
export function sayNotifications({ webhooks, notify, summaryIntervalMinutes }: ServeOptions, log: DaemonLog): void {
  const kinds = Object.entries(notify).flatMap(([key, wanted]) =>
    wanted ? [`--notify-${key.replaceAll(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`] : [],
  );
  const asked = [...kinds, ...(summaryIntervalMinutes === null ? [] : [`--summary-interval ${summaryIntervalMinutes}`])];
  if (webhooks.length > 0) {
    const hooks = webhooks.map(({ kind, host }) => `${kind} at ${host}`).join(", ");
    log.info(`notifications: ${hooks}; ${asked.length === 0 ? "only of jobs added with --notify" : asked.join(" ")}`);
  } else if (asked.length > 0) {
    log.warn(`${asked.join(" ")} has no effect: there is no webhook; set SLACK_API, or [[notify.webhooks]] in config.toml`);
  }
}
