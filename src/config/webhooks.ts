/**
 * Where notifications go: `[[notify.webhooks]]` of config.toml, and SLACK_API with SLACK_USER of the environment. A URL
 * of these is a secret (who has it may write there): no error and no log shows more of it than its host.
 */
import { readFileSync } from "node:fs";
import { ConfigError } from "./config-error.ts";
import { nearest } from "./nearest.ts";
import { absolutePath, type Environment } from "./paths.ts";

const WEBHOOK_KINDS = ["slack", "json"] as const;
export type WebhookKind = (typeof WEBHOOK_KINDS)[number];

export interface Webhook {
  readonly kind: WebhookKind;
  /** With whatever secret it carries. */
  readonly url: string;
  /** `host` or `host:port`: what may be shown. */
  readonly host: string;
  /** Who is mentioned in its messages; only of kind "slack". */
  readonly user: string | null;
}

/** As the file has it; a `url_file` is read only by the server. */
export interface WebhookSettings {
  /** For errors: the file and the key. */
  readonly place: string;
  readonly kind: WebhookKind;
  readonly url: string | null;
  readonly urlFile: string | null;
  readonly user: string | null;
}

const KEYS = ["kind", "url", "url_file", "user"] as const;
const WEBHOOKS_MAX = 16;
const URL_FILE_BYTES_MAX = 8_192;
const USER = /^@?[\w.-]{1,80}$/;

/** What `[notify]` of the file says. @throws ConfigError */
export function readWebhookSettings(
  table: Readonly<Record<string, unknown>>,
  where: { readonly file: string; readonly folder: string; readonly environment: Environment },
): readonly WebhookSettings[] {
  const stray = Object.keys(table).find((key) => key !== "webhooks");
  if (stray !== undefined)
    throw new ConfigError(`"${where.file}": there is no key "notify.${stray}".`, "The only one is [[notify.webhooks]].");
  const list = table["webhooks"] ?? [];
  if (!Array.isArray(list)) throw new ConfigError(`"${where.file}": notify.webhooks is no list.`, "Write each as [[notify.webhooks]].");
  if (list.length > WEBHOOKS_MAX) {
    throw new ConfigError(`"${where.file}" has ${list.length} webhooks.`, `At most ${WEBHOOKS_MAX} are served.`);
  }
  return list.map((entry: unknown, index) => {
    const place = `"${where.file}": notify.webhooks[${index}]`;
    if (typeof entry !== "object" || entry === null || Array.isArray(entry)) {
      throw new ConfigError(`${place} is no table.`, "Write it as [[notify.webhooks]].");
    }
    return readOne(entry as Readonly<Record<string, unknown>>, place, where);
  });
}

/** All webhooks there are, each URL once. Reads the files that hold URLs. @throws ConfigError */
export function resolveWebhooks(settings: readonly WebhookSettings[], environment: Environment): readonly Webhook[] {
  const webhooks = settings.map((one) => {
    const url = one.urlFile === null ? (one.url ?? "") : readUrlFile(one.urlFile, one.place);
    return checked({ kind: one.kind, url, user: one.user }, `${one.place}.${one.urlFile === null ? "url" : "url_file"}`);
  });
  const api = environment["SLACK_API"] ?? "";
  const user = environment["SLACK_USER"] ?? "";
  if (api !== "") {
    if (user !== "" && !USER.test(user)) throw badUser("SLACK_USER");
    webhooks.push(checked({ kind: "slack", url: api.trim(), user: user === "" ? null : user }, "SLACK_API"));
  }
  return webhooks.filter((webhook, index) => webhooks.findIndex((other) => other.url === webhook.url) === index);
}

function readOne(
  entry: Readonly<Record<string, unknown>>,
  place: string,
  where: { readonly folder: string; readonly environment: Environment },
): WebhookSettings {
  for (const key of Object.keys(entry)) {
    if ((KEYS as readonly string[]).includes(key)) continue;
    const close = nearest(key.replaceAll("-", "_"), KEYS);
    const hint = close.length > 0 ? `Did you mean ${close.join(" or ")}?` : `The keys are: ${KEYS.join(", ")}.`;
    throw new ConfigError(`${place} has no key "${key}".`, hint);
  }
  const kind = WEBHOOK_KINDS.find((name) => name === entry["kind"]);
  if (kind === undefined) throw new ConfigError(`${place}.kind is missing or not known.`, 'It must be "slack" or "json".');
  const { url, url_file: urlFile, user } = entry;
  if ((url === undefined) === (urlFile === undefined)) {
    throw new ConfigError(`${place} needs one of url and url_file.`, "Name the URL, or the file that holds nothing but the URL.");
  }
  if (url !== undefined && typeof url !== "string") throw notAUrl(`${place}.url`);
  if (urlFile !== undefined && (typeof urlFile !== "string" || urlFile === "")) {
    throw new ConfigError(`${place}.url_file is no path.`, "It must be a path in quotes.");
  }
  if (user !== undefined && (typeof user !== "string" || !USER.test(user))) throw badUser(`${place}.user`);
  if (user !== undefined && kind !== "slack") throw new ConfigError(`${place}.user is for kind "slack" only.`, "Leave it out.");
  return {
    place,
    kind,
    url: url ?? null,
    urlFile: urlFile === undefined ? null : absolutePath(urlFile, where.folder, where.environment),
    user: user ?? null,
  };
}

function checked(webhook: Omit<Webhook, "host">, place: string): Webhook {
  const url = URL.parse(webhook.url);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:") || url.hostname === "") throw notAUrl(place);
  return { ...webhook, host: url.host };
}

function readUrlFile(path: string, place: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unreadable";
    throw new ConfigError(`${place}.url_file: "${path}" cannot be read: ${code}.`, "Put the URL there, readable for the server alone.");
  }
  return text.length > URL_FILE_BYTES_MAX ? "" : text.trim();
}

/** Without the value: it is a secret even when it is mistyped. */
function notAUrl(place: string): ConfigError {
  return new ConfigError(
    `${place} is no URL that notifications can be sent to.`,
    "It must begin with https:// or http://; it is not shown here, because it is a secret.",
  );
}

function badUser(place: string): ConfigError {
  return new ConfigError(`${place} is no user.`, 'Give the member id, as in "U012AB3CD", or the name.');
}
