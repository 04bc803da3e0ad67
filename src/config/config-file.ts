/**
 * config.toml: its keys and what they may hold. It is strict: an unknown key or a wrong type is one error that
 * names the file, the key and the nearest key there is. Most clients have no such file, so this is loaded when there is one.
 */
import { dirname } from "node:path";
import { type Address, parseAddress } from "./address.ts";
import { ConfigError } from "./config-error.ts";
import { parseDuration } from "./duration.ts";
import { nearest } from "./nearest.ts";
import { absolutePath, type Environment } from "./paths.ts";
import { parseSize } from "./size.ts";
import { readWebhookSettings, type WebhookSettings } from "./webhooks.ts";

export const LOG_LEVELS = ["error", "warn", "info", "debug", "trace"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export const RUNNERS = ["driver", "ssh", "local"] as const;
export type RunnerName = (typeof RUNNERS)[number];

/** What a value must be, in the words of the error; `read` answers undefined when it is not. */
interface Kind<T> {
  readonly expected: string;
  readonly read: (value: unknown, place: Place) => T | undefined;
}

interface Place {
  /** Relative paths start here: the folder of the file. */
  readonly folder: string;
  readonly environment: Environment;
}

type Kinds = Readonly<Record<string, Kind<unknown>>>;
type Values<K extends Kinds> = { readonly [Key in keyof K]?: K[Key] extends Kind<infer T> ? T : never };

const flag: Kind<boolean> = { expected: "true or false", read: (value) => (typeof value === "boolean" ? value : undefined) };
const path: Kind<string> = {
  expected: "a path in quotes",
  read: (value, place) => (typeof value === "string" && value !== "" ? absolutePath(value, place.folder, place.environment) : undefined),
};
/** Of the machine, not of this host: its home is not known here. */
const machinePath: Kind<string> = {
  expected: 'a path on the machine that begins with "/" or "~/"',
  read: (value) => (typeof value === "string" && /^(~\/.|\/)/.test(value) ? value : undefined),
};
const words: Kind<readonly string[]> = {
  expected: 'a list of strings, as in ["--verbose"]',
  read: (value) => (Array.isArray(value) && value.every((item) => typeof item === "string") ? value : undefined),
};
const paths: Kind<readonly string[]> = {
  expected: "a path in quotes, or a list of them",
  read: (value, place) => {
    const list = typeof value === "string" ? [value] : value;
    if (!Array.isArray(list) || !list.every((item) => typeof item === "string" && item !== "")) return undefined;
    return list.map((item: string) => absolutePath(item, place.folder, place.environment));
  },
};
const address: Kind<Address> = {
  expected: 'HOST:PORT in quotes, as in "127.0.0.1:3030"',
  read: (value) => (typeof value === "string" ? (parseAddress(value) ?? undefined) : undefined),
};
const minutes: Kind<number> = {
  expected: "a number of minutes above 0",
  read: (value) => (typeof value === "number" && Number.isFinite(value) && value > 0 ? value : undefined),
};
const seconds: Kind<number> = {
  expected: 'a time in quotes, as in "90s" or "10m"',
  read: (value) => {
    const parsed = typeof value === "string" ? parseDuration(value, "m") : null;
    return parsed === null || parsed <= 0 ? undefined : parsed;
  },
};
const positive: Kind<number> = {
  expected: "a whole number above 0",
  read: (value) => (typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : undefined),
};

/** How long things are kept. A number alone is refused: where something is deleted, nothing is guessed. */
const age: Kind<number> = {
  expected: 'an age with its unit in quotes, as in "30d" or "12h"',
  read: (value) => {
    const parsed = typeof value === "string" && !/^[\d.]+$/.test(value) ? parseDuration(value, "s") : null;
    return parsed === null || parsed <= 0 ? undefined : parsed;
  },
};
const size: Kind<number> = {
  expected: 'a size with its unit in quotes, as in "10GiB" or "500MB"',
  read: (value) => {
    const parsed = typeof value === "string" ? parseSize(value) : null;
    return parsed === null || parsed <= 0 ? undefined : parsed;
  },
};

function oneOf<const T extends readonly string[]>(names: T): Kind<T[number]> {
  return {
    expected: `one of ${names.map((name) => `"${name}"`).join(", ")}`,
    read: (value) => names.find((name) => name === value),
  };
}

/** The flags of `serve`, with underscores. */
const SERVE_KINDS = {
  runner: path,
  runner_arg: words,
  log_dir: path,
  state_dir: path,
  address,
  allow_snap_fail: flag,
  allow_network_fs: flag,
  log_level: oneOf(LOG_LEVELS),
  known_hosts: path,
  identity: paths,
  ssh_config: path,
  summary_interval: minutes,
  notify_running: flag,
  notify_complete: flag,
  notify_copied: flag,
  notify_fail: flag,
  notify_machine_broken: flag,
} as const satisfies Kinds;

/** `[class.NAME]`. */
const CLASS_KINDS = {
  runner: oneOf(RUNNERS),
  run_root: machinePath,
  backoff: seconds,
  backoff_max: seconds,
} as const satisfies Kinds;

/** `[limits]`. */
const LIMIT_KINDS = {
  queued_jobs: positive,
  failures_before_quarantine: positive,
  copies_at_once: positive,
  kill_grace: seconds,
  connect_timeout: seconds,
  keepalive: seconds,
} as const satisfies Kinds;

/** `[log]`: the server's own log. */
const LOG_KINDS = {
  level: oneOf(LOG_LEVELS),
  max_size: size,
  files: positive,
  compress: flag,
} as const satisfies Kinds;

/** `[retention]`: what may be compressed, deleted and forgotten; without a key nothing is. */
const RETENTION_KINDS = {
  compress_logs_after: age,
  delete_logs_after: age,
  delete_logs_above: size,
  forget_jobs_after: age,
} as const satisfies Kinds;

export type ClassSettings = Values<typeof CLASS_KINDS>;
export type LimitSettings = Values<typeof LIMIT_KINDS>;
export type LogSettings = Values<typeof LOG_KINDS>;
export type RetentionSettings = Values<typeof RETENTION_KINDS>;

export interface ConfigFile {
  /** null: there is none, and none was asked for. */
  readonly path: string | null;
  readonly serve: Values<typeof SERVE_KINDS>;
  readonly classes: Readonly<Record<string, ClassSettings>>;
  readonly limits: LimitSettings;
  /** `[[notify.webhooks]]`. */
  readonly webhooks: readonly WebhookSettings[];
  readonly log: LogSettings;
  readonly retention: RetentionSettings;
}

/** @param source what is in the file. @throws ConfigError */
export async function parseConfigFile(source: string, file: string, environment: Environment): Promise<ConfigFile> {
  const { parse, TomlError } = await import("smol-toml");
  let document: Record<string, unknown>;
  try {
    document = parse(source);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const what = (error.message.split("\n")[0] ?? "").replace(/^Invalid TOML document: /, "");
    throw new ConfigError(`"${file}" is not valid TOML: line ${error.line}, column ${error.column}: ${what}.`, "Correct that line.");
  }
  return readDocument(document, file, { folder: dirname(file), environment });
}

function readDocument(document: Record<string, unknown>, file: string, place: Place): ConfigFile {
  const { class: classTables = {}, limits = {}, log = {}, retention = {}, notify = {}, ...rest } = document;
  const known = [...Object.keys(SERVE_KINDS), "class", "limits", "log", "retention", "notify"];
  const serve = readTable(rest, SERVE_KINDS, { file, prefix: "", known, place });
  const classes: Record<string, ClassSettings> = {};
  for (const [name, table] of Object.entries(asTable(classTables, "class", file))) {
    const prefix = `class.${name}`;
    classes[name] = readTable(asTable(table, prefix, file), CLASS_KINDS, { file, prefix, known: Object.keys(CLASS_KINDS), place });
  }
  const named = <const K extends Kinds>(table: unknown, prefix: string, kinds: K): Values<K> =>
    readTable(asTable(table, prefix, file), kinds, { file, prefix, known: Object.keys(kinds), place });
  return {
    path: file,
    serve,
    classes,
    limits: named(limits, "limits", LIMIT_KINDS),
    log: named(log, "log", LOG_KINDS),
    retention: named(retention, "retention", RETENTION_KINDS),
    webhooks: readWebhookSettings(asTable(notify, "notify", file), { file, ...place }),
  };
}

interface Where {
  readonly file: string;
  readonly prefix: string;
  readonly known: readonly string[];
  readonly place: Place;
}

function readTable<const K extends Kinds>(table: Record<string, unknown>, kinds: K, where: Where): Values<K> {
  const values: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(table)) {
    const kind = Object.hasOwn(kinds, key) ? kinds[key] : undefined;
    const name = where.prefix === "" ? key : `${where.prefix}.${key}`;
    if (kind === undefined) throw unknownKey(key, name, where);
    const read = kind.read(value, where.place);
    if (read === undefined) {
      throw new ConfigError(`"${where.file}": ${name} is ${shown(value)}.`, `It must be ${kind.expected}.`);
    }
    values[key] = read;
  }
  return values as Values<K>;
}

function asTable(value: unknown, name: string, file: string): Record<string, unknown> {
  const isTable = typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
  if (isTable) return value as Record<string, unknown>;
  throw new ConfigError(`"${file}": ${name} is ${shown(value)}.`, `It must be a table: [${name}${name === "class" ? ".NAME" : ""}].`);
}

function unknownKey(key: string, name: string, where: Where): ConfigError {
  const close = nearest(key.replaceAll("-", "_"), where.known);
  const hint = close.length > 0 ? `Did you mean ${close.join(" or ")}?` : `The keys are: ${where.known.join(", ")}.`;
  return new ConfigError(`"${where.file}": there is no key "${name}".`, hint);
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (value instanceof Date) return "a date";
  if (typeof value === "object") return "a table";
  const written = typeof value === "string" ? JSON.stringify(value) : String(value);
  return written.length > 80 ? `${written.slice(0, 79)}…` : written;
}
