/**
 * How a machine is written in the pool: `host`, `host:port`, `user@host:port`, `[v6]:port`, or an alias of
 * ssh_config. Owns the check that keeps a name from ever being read as an option or as shell text; it
 * resolves nothing (config.ts does).
 */
export interface SshAddress {
  /** As OpenSSH would take it on its command line: a name, an alias or an IP address, without brackets. */
  readonly host: string;
  /** null: left to ssh_config. */
  readonly user: string | null;
  /** null: left to ssh_config. */
  readonly port: number | null;
}

const ALLOWED = /^[A-Za-z0-9._:@%/[\]][A-Za-z0-9._:@%/[\]-]*$/;
const BRACKETED = /^\[([^\][]+)\](?::(\d{1,5}))?$/;
const WITH_PORT = /^([^:]+):(\d{1,5})$/;

/** The parts of a machine's address, or null when it cannot be one. */
export function parseSshAddress(text: string): SshAddress | null {
  if (!ALLOWED.test(text)) return null;
  const at = text.lastIndexOf("@");
  const user = at < 0 ? null : text.slice(0, at);
  if (user !== null && !isSafeWord(user)) return null;
  const place = parsePlace(text.slice(at + 1));
  return place === null ? null : { user, ...place };
}

function parsePlace(text: string): { host: string; port: number | null } | null {
  const bracketed = BRACKETED.exec(text);
  if (bracketed !== null) return withPort(bracketed[1] ?? "", bracketed[2]);
  if (text.includes("[") || text.includes("]")) return null;
  const withSuffix = WITH_PORT.exec(text);
  if (withSuffix !== null) return withPort(withSuffix[1] ?? "", withSuffix[2]);
  // More than one colon and no brackets is an IPv6 address; a single one left over is a port that is none.
  if (text.split(":").length === 2) return null;
  return withPort(text, undefined);
}

function withPort(host: string, digits: string | undefined): { host: string; port: number | null } | null {
  if (!isSafeWord(host)) return null;
  if (digits === undefined) return { host, port: null };
  const port = Number(digits);
  return port >= 1 && port <= 65535 ? { host, port } : null;
}

function isSafeWord(word: string): boolean {
  return word !== "" && !word.startsWith("-");
}
