/**
 * SIGHUP: config.toml is read again, and what can change while the server runs is changed. What cannot is named in the
 * log. A file with an error changes nothing.
 */
import { formatAddress } from "../config/address.ts";
import { ConfigError } from "../config/config-error.ts";
import type { ServeOptions } from "../config/serve-options.ts";
import type { ServerLog } from "./log.ts";
import { faultOf } from "./log-words.ts";

export interface ReloadOptions {
  readonly started: ServeOptions;
  /** As at the start: the same flags and environment, the file as it is now. @throws ConfigError */
  readonly reread: () => Promise<ServeOptions>;
  readonly log: ServerLog;
  /** Takes over what can change. */
  readonly apply: (options: ServeOptions) => void;
}

export class Reload {
  private current: ServeOptions;
  private running: Promise<void> | null = null;
  private isAskedAgain = false;

  constructor(private readonly options: ReloadOptions) {
    this.current = options.started;
  }

  /** Never rejects. Asked while it runs, it runs once more afterwards. */
  async again(): Promise<void> {
    if (this.running !== null) {
      this.isAskedAgain = true;
      return await this.running;
    }
    this.running = this.run();
    await this.running;
    this.running = null;
  }

  private async run(): Promise<void> {
    do {
      this.isAskedAgain = false;
      await this.once();
    } while (this.isAskedAgain);
  }

  private async once(): Promise<void> {
    const { started, reread, log, apply } = this.options;
    let options: ServeOptions;
    try {
      options = await reread();
    } catch (error) {
      const why = error instanceof ConfigError ? `${error.message} ${error.hint}` : faultOf(error);
      log.error(`SIGHUP: the settings stay as they were: ${why}`);
      return;
    }
    const changed = changedKeys(live(this.current), live(options));
    this.current = options;
    // Also when nothing changed: its file is opened anew, as those who move it away expect of SIGHUP.
    log.configure(options.log);
    apply(options);
    log.info(
      `SIGHUP: ${options.configFile ?? "no config.toml"} was read; changed: ${changed.length === 0 ? "nothing" : changed.join(", ")}`,
    );
    const waiting = changedKeys(fixed(started), fixed(options));
    if (waiting.length > 0) log.warn(`SIGHUP: not changed before the next start of the server: ${waiting.join(", ")}`);
  }
}

/** What a running server takes over, by the keys of config.toml. */
function live({ log, retention, limits, classes }: ServeOptions): Record<string, unknown> {
  return {
    log,
    retention,
    limits: { queuedJobs: limits.queuedJobsMax, failuresBeforeQuarantine: limits.failuresBeforeQuarantine },
    class: mapped(classes, ({ backoffSeconds, backoffSecondsMax }) => ({ backoff: backoffSeconds, backoffMax: backoffSecondsMax })),
  };
}

/** All else. What this does not name by its key in the file is named as serve-options.ts has it. */
function fixed(options: ServeOptions): Record<string, unknown> {
  const { log, retention, limits, classes, classDefaults, notes, detach, configFile, tokenFile, address, notify, ...rest } = options;
  return {
    ...rest,
    address: formatAddress(address),
    ...Object.fromEntries(Object.entries(notify).map(([event, isWanted]) => [`notify_${event}`, isWanted])),
    limits: {
      copiesAtOnce: limits.copiesAtOnceMax,
      killGrace: limits.killGraceSeconds,
      connectTimeout: limits.connectTimeoutSeconds,
      keepalive: limits.keepaliveSeconds,
    },
    class: mapped(classes, ({ runner, runRoot }) => ({ runner, runRoot })),
  };
}

function mapped<T, U>(record: Readonly<Record<string, T>>, to: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, to(value)]));
}

/** The leaves that differ, as `limits.kill_grace`. */
function changedKeys(before: unknown, after: unknown, path = ""): string[] {
  if (!isTable(before) || !isTable(after)) return Bun.deepEquals(before, after) ? [] : [path];
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return keys.flatMap((key) => changedKeys(before[key], after[key], `${path}${path === "" ? "" : "."}${nameOf(key, path)}`));
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Names of classes are people's own. */
function nameOf(key: string, path: string): string {
  if (path === "class") return key;
  const words = RENAMED[key] ?? key;
  return words.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Where the name in the file is not that of the option. */
const RENAMED: Readonly<Record<string, string>> = {
  runnerArgs: "runnerArg",
  identities: "identity",
  webhooks: "notify.webhooks",
  summaryIntervalMinutes: "summaryInterval",
  bytesMax: "maxSize",
  filesMax: "files",
  compressLogsAfterSeconds: "compressLogsAfter",
  deleteLogsAfterSeconds: "deleteLogsAfter",
  deleteLogsAboveBytes: "deleteLogsAbove",
  forgetJobsAfterSeconds: "forgetJobsAfter",
};
