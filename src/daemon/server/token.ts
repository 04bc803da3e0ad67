/**
 * The server's side of the token file: created once, exclusively and complete, and trusted only while
 * it is a plain file of ours that nobody else can read. The token never leaves this host's files.
 */
import { closeSync, constants, fchmodSync, fstatSync, fsyncSync, linkSync, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { TOKEN_BYTES } from "../../protocol/limits.ts";
import { formatToken, parseToken } from "../../protocol/token.ts";

export type TokenFileFault = "not-a-file" | "foreign-owner" | "readable-by-others" | "malformed" | "unreadable";

export class TokenFileError extends Error {
  override readonly name = "TokenFileError";
  constructor(
    readonly fault: TokenFileFault,
    readonly path: string,
    /** The system's own code, e.g. EACCES, or "". */
    readonly systemCode: string = "",
  ) {
    super(`token file ${path}: ${fault} ${systemCode}`.trimEnd());
  }
}

/** The token of this state directory; drawn and written (0600, synced) when there is none yet. @throws {TokenFileError} */
export function loadOrCreateToken(path: string): Uint8Array {
  const existing = readTokenFile(path);
  if (existing !== null) return existing;
  createTokenFile(path, crypto.getRandomValues(new Uint8Array(TOKEN_BYTES)));
  // Another process may have been first: what lies there now is the token.
  const token = readTokenFile(path);
  if (token === null) throw new TokenFileError("unreadable", path, "ENOENT");
  return token;
}

/** null: there is none. @throws {TokenFileError} for a file that must not be trusted; it is left as it is. */
function readTokenFile(path: string): Uint8Array | null {
  let fd: number;
  try {
    // A FIFO must not hold us up, a link is not followed.
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = systemCode(error);
    if (code === "ENOENT") return null;
    throw new TokenFileError(code === "ELOOP" ? "not-a-file" : "unreadable", path, code);
  }
  try {
    const status = fstatSync(fd);
    if (!status.isFile()) throw new TokenFileError("not-a-file", path);
    if (status.uid !== process.geteuid?.()) throw new TokenFileError("foreign-owner", path);
    if ((status.mode & 0o077) !== 0) throw new TokenFileError("readable-by-others", path);
    const bytes = new Uint8Array(256);
    const token = parseToken(new TextDecoder().decode(bytes.subarray(0, readSync(fd, bytes))));
    if (token === null) throw new TokenFileError("malformed", path);
    return token;
  } finally {
    closeSync(fd);
  }
}

/** Written beside and then linked: the name appears with its whole content, and never replaces another file. */
function createTokenFile(path: string, token: Uint8Array): void {
  const beside = `${path}.${crypto.randomUUID()}.tmp`;
  const fd = openSync(beside, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    fchmodSync(fd, 0o600);
    writeSync(fd, formatToken(token));
    fsyncSync(fd);
    linkSync(beside, path);
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
  } finally {
    closeSync(fd);
    unlinkSync(beside);
  }
  const folder = openSync(dirname(path), constants.O_RDONLY);
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function systemCode(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}
