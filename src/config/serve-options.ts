/** All that `serve` is told, resolved: flag, else environment, else config.toml, else the default. */
import type { Address } from "./address.ts";
import { resolveShared, type SharedFlags, type Surroundings } from "./client-options.ts";
import { ConfigError } from "./config-error.ts";
import { type ClassSettings, LOG_LEVELS, type LogLevel, type RunnerName } from "./config-file.ts";
import {
  DEFAULT_BACKOFF_SECONDS,
  DEFAULT_BACKOFF_SECONDS_MAX,
  DEFAULT_CONNECT_TIMEOUT_SECONDS,
  DEFAULT_COPIES_AT_ONCE,
  DEFAULT_FAILURES_BEFORE_QUARANTINE,
  DEFAULT_KEEPALIVE_SECONDS,
  DEFAULT_KILL_GRACE_SECONDS,
  DEFAULT_QUEUED_JOBS_MAX,
} from "./defaults.ts";
import { absolutePath, defaultLogDir, tokenFileIn } from "./paths.ts";
import { type LogOptions, logOptions, type RetentionOptions, retentionOptions } from "./retention-options.ts";
import { resolveWebhooks, type Webhook } from "./webhooks.ts";

export interface ServeOptions {
  /** The experiment driver, absolute; null: commands are shell text. */
  readonly runner: string | null;
  readonly runnerArgs: readonly string[];
  readonly logDir: string;
  readonly stateDir: string;
  readonly tokenFile: string;
  /** The file that was read; null: none. */
  readonly configFile: string | null;
  readonly address: Address;
  readonly allowSnapFail: boolean;
  readonly allowNetworkFs: boolean;
  readonly detach: boolean;
  readonly log: LogOptions;
  readonly retention: RetentionOptions;
  /** null: the user's and the system's own. */
  readonly knownHosts: string | null;
  /** Empty: what ssh_config and the agent offer. */
  readonly identities: readonly string[];
  readonly sshConfig: string | null;
  readonly summaryIntervalMinutes: number | null;
  readonly notify: NotifyOptions;
  /** Where notifications go; empty: nowhere. Their URLs are secrets. */
  readonly webhooks: readonly Webhook[];
  /** By name; a class without a table is not in it: see classDefaults. */
  readonly classes: Readonly<Record<string, ClassOptions>>;
  readonly classDefaults: ClassOptions;
  readonly limits: Limits;
  /** To be said at the start, one line each. */
  readonly notes: readonly string[];
}

export interface NotifyOptions {
  readonly running: boolean;
  readonly complete: boolean;
  readonly copied: boolean;
  readonly fail: boolean;
  readonly machineBroken: boolean;
}

export interface ClassOptions {
  /** null: chosen by --runner and the address. */
  readonly runner: RunnerName | null;
  /** On the machine; null: `~/.local/state/expjobserver/runs`. */
  readonly runRoot: string | null;
  readonly backoffSeconds: number;
  readonly backoffSecondsMax: number;
}

export interface Limits {
  readonly queuedJobsMax: number;
  readonly failuresBeforeQuarantine: number;
  readonly copiesAtOnceMax: number;
  readonly killGraceSeconds: number;
  readonly connectTimeoutSeconds: number;
  readonly keepaliveSeconds: number;
}

/** The flags as typed; undefined: not given. */
export interface ServeFlags extends SharedFlags {
  readonly runner?: string | undefined;
  readonly runnerArgs?: readonly string[];
  readonly logDir?: string | undefined;
  readonly allowSnapFail?: boolean | undefined;
  readonly allowNetworkFs?: boolean | undefined;
  readonly detach?: boolean | undefined;
  readonly logLevel?: string | undefined;
  readonly knownHosts?: string | undefined;
  readonly identities?: readonly string[];
  readonly sshConfig?: string | undefined;
  readonly summaryInterval?: string | undefined;
  readonly notifyRunning?: boolean | undefined;
  readonly notifyComplete?: boolean | undefined;
  readonly notifyCopied?: boolean | undefined;
  readonly notifyFail?: boolean | undefined;
  readonly notifyMachineBroken?: boolean | undefined;
  readonly notes?: readonly string[];
}

/** @throws ConfigError */
export async function resolveServeOptions(flags: ServeFlags, surroundings: Surroundings): Promise<ServeOptions> {
  const { address, stateDir, file } = await resolveShared(flags, surroundings);
  const { serve } = file;
  const path = (typed: string | undefined, configured: string | undefined): string | null =>
    typed === undefined ? (configured ?? null) : absolutePath(typed, surroundings.folder, surroundings.environment);
  const runner = path(flags.runner, serve.runner);
  const needsDriver = Object.entries(file.classes).find(([, settings]) => settings.runner === "driver");
  if (runner === null && needsDriver !== undefined) {
    throw new ConfigError(
      `"${file.path}": class.${needsDriver[0]}.runner is "driver", but there is no driver.`,
      "Name it with --runner, or with the key runner.",
    );
  }
  const typedIdentities = flags.identities ?? [];
  const typedArguments = flags.runnerArgs ?? [];
  return {
    runner,
    runnerArgs: typedArguments.length > 0 ? typedArguments : (serve.runner_arg ?? []),
    logDir: path(flags.logDir, serve.log_dir) ?? defaultLogDir(stateDir),
    stateDir,
    tokenFile: tokenFileIn(stateDir),
    configFile: file.path,
    address,
    allowSnapFail: flags.allowSnapFail ?? serve.allow_snap_fail ?? false,
    allowNetworkFs: flags.allowNetworkFs ?? serve.allow_network_fs ?? false,
    detach: flags.detach ?? false,
    log: logOptions(file, logLevelFrom(flags.logLevel)),
    retention: retentionOptions(file),
    knownHosts: path(flags.knownHosts, serve.known_hosts),
    identities: typedIdentities.length > 0 ? typedIdentities.map((typed) => path(typed, undefined) ?? typed) : (serve.identity ?? []),
    sshConfig: path(flags.sshConfig, serve.ssh_config),
    summaryIntervalMinutes: minutesFrom(flags.summaryInterval) ?? serve.summary_interval ?? null,
    notify: {
      running: flags.notifyRunning ?? serve.notify_running ?? false,
      complete: flags.notifyComplete ?? serve.notify_complete ?? false,
      copied: flags.notifyCopied ?? serve.notify_copied ?? false,
      fail: flags.notifyFail ?? serve.notify_fail ?? false,
      machineBroken: flags.notifyMachineBroken ?? serve.notify_machine_broken ?? false,
    },
    webhooks: resolveWebhooks(file.webhooks, surroundings.environment),
    classes: Object.fromEntries(Object.entries(file.classes).map(([name, settings]) => [name, classOptions(settings)])),
    classDefaults: classOptions({}),
    limits: {
      queuedJobsMax: file.limits.queued_jobs ?? DEFAULT_QUEUED_JOBS_MAX,
      failuresBeforeQuarantine: file.limits.failures_before_quarantine ?? DEFAULT_FAILURES_BEFORE_QUARANTINE,
      copiesAtOnceMax: file.limits.copies_at_once ?? DEFAULT_COPIES_AT_ONCE,
      killGraceSeconds: file.limits.kill_grace ?? DEFAULT_KILL_GRACE_SECONDS,
      connectTimeoutSeconds: file.limits.connect_timeout ?? DEFAULT_CONNECT_TIMEOUT_SECONDS,
      keepaliveSeconds: file.limits.keepalive ?? DEFAULT_KEEPALIVE_SECONDS,
    },
    notes: flags.notes ?? [],
  };
}

function classOptions(settings: ClassSettings): ClassOptions {
  const backoffSeconds = settings.backoff ?? DEFAULT_BACKOFF_SECONDS;
  return {
    runner: settings.runner ?? null,
    runRoot: settings.run_root ?? null,
    backoffSeconds,
    backoffSecondsMax: Math.max(backoffSeconds, settings.backoff_max ?? DEFAULT_BACKOFF_SECONDS_MAX),
  };
}

function logLevelFrom(typed: string | undefined): LogLevel | undefined {
  if (typed === undefined) return undefined;
  const level = LOG_LEVELS.find((name) => name === typed);
  if (level !== undefined) return level;
  throw new ConfigError(`--log-level is "${typed}".`, `It must be one of ${LOG_LEVELS.join(", ")}.`);
}

function minutesFrom(typed: string | undefined): number | undefined {
  if (typed === undefined) return undefined;
  const minutes = Number(typed);
  if (/^\d+(\.\d+)?$/.test(typed) && minutes > 0) return minutes;
  throw new ConfigError(`--summary-interval is "${typed}".`, "It must be a number of minutes above 0.");
}
