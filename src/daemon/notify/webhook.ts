/**
 * One POST to one webhook, and what its answer means. Neither errors nor anything else that leaves here shows the URL.
 * HTTPS_PROXY, HTTP_PROXY and NO_PROXY are heeded by fetch itself. No redirect is followed: what is told goes to nobody
 * that the person who configured it did not name.
 */
import type { Webhook } from "../../config/webhooks.ts";

export type PostOutcome =
  | { readonly kind: "sent" }
  /** It may pass: to be tried again, not before `afterMs` when the other side has said so. */
  | { readonly kind: "failed"; readonly reason: string; readonly afterMs: number | null }
  /** Trying again would meet the same. */
  | { readonly kind: "refused"; readonly reason: string };

export interface PostOptions {
  readonly body: string;
  readonly userAgent: string;
  readonly timeoutMs: number;
  /** Gives it up at once. */
  readonly signal: AbortSignal;
  readonly now: () => number;
}

const ANSWER_BYTES_MAX = 256;
const REASONS: Readonly<Record<string, string>> = {
  ConnectionRefused: "nothing listens there",
  ECONNREFUSED: "nothing listens there",
  ECONNRESET: "the connection was cut",
  ConnectionClosed: "the connection was cut",
  FailedToOpenSocket: "no connection could be made",
  ENOTFOUND: "no host has that name",
  EAI_AGAIN: "the name service does not answer",
  EPROTO: "it does not speak TLS",
  Malformed_HTTP_Response: "it does not speak HTTP",
  CERT_HAS_EXPIRED: "its certificate has expired",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is not trusted",
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate is not trusted",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate is not trusted",
};

/** Never rejects. */
export async function post(webhook: Webhook, options: PostOptions): Promise<PostOutcome> {
  const timeout = AbortSignal.timeout(options.timeoutMs);
  try {
    const { address, authorization } = parts(webhook.url);
    const response = await fetch(address, {
      method: "POST",
      headers: { "content-type": "application/json; charset=utf-8", "user-agent": options.userAgent, ...authorization },
      body: options.body,
      redirect: "manual",
      signal: AbortSignal.any([timeout, options.signal]),
    });
    const said = await beginning(response);
    return outcomeOf(response, said, options.now());
  } catch (error) {
    if (timeout.aborted) return { kind: "failed", reason: `no answer within ${options.timeoutMs / 1_000} seconds`, afterMs: null };
    if (options.signal.aborted) return { kind: "failed", reason: "the server stopped", afterMs: null };
    // Its message may hold the URL.
    const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
    const shown = /^[\w-]{1,60}$/.test(code) ? code : "no connection could be made";
    return { kind: "failed", reason: REASONS[code] ?? shown, afterMs: null };
  }
}

function outcomeOf(response: Response, said: string, now: number): PostOutcome {
  const { status } = response;
  if (status >= 200 && status < 300) return { kind: "sent" };
  // Slack's own words, such as "no_service"; anything else could be anything.
  const word = /^[a-z][a-z_]{2,59}$/.test(said.trim()) ? ` (${said.trim()})` : "";
  const reason = `HTTP ${status}${word}`;
  if (status >= 300 && status < 400) {
    const target = URL.parse(response.headers.get("location") ?? "");
    return { kind: "refused", reason: `${reason}: it redirects${target === null ? "" : ` to ${target.host}`}, which is not followed` };
  }
  if (status >= 500 || status === 429 || status === 408 || status === 425) {
    return { kind: "failed", reason, afterMs: retryAfterMs(response.headers.get("retry-after"), now) };
  }
  return { kind: "refused", reason };
}

/** Seconds, or a date. */
function retryAfterMs(header: string | null, now: number): number | null {
  if (header === null) return null;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1_000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.max(0, at - now);
}

/** The first bytes of the answer; the rest is not waited for. */
async function beginning(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  if (reader === undefined) return "";
  const { value } = await reader.read();
  await reader.cancel();
  return value === undefined ? "" : Buffer.from(value.subarray(0, ANSWER_BYTES_MAX)).toString("utf8");
}

/** `https://user:word@host/` is said as a header: in the address it would be refused. */
function parts(url: string): { readonly address: string; readonly authorization: Readonly<Record<string, string>> } {
  const parsed = new URL(url);
  const { username, password } = parsed;
  if (username === "" && password === "") return { address: url, authorization: {} };
  parsed.username = "";
  parsed.password = "";
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { address: parsed.href, authorization: { authorization: `Basic ${Buffer.from(pair).toString("base64")}` } };
}
