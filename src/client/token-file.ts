/**
 * The client's side of the token file: read, never written. A file that others could have written or
 * read is not trusted, for whoever knows the token can pose as the server.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { parseToken } from "../protocol/token.ts";
import { ClientError } from "./error.ts";

/** @throws {ClientError} "token-unreadable" with data.reason. */
export function readTokenFile(path: string): Uint8Array {
  const fd = open(path);
  try {
    const status = fstatSync(fd);
    if (!status.isFile()) throw unreadable(path, "not-a-file");
    if (status.uid !== process.geteuid?.()) throw unreadable(path, "foreign-owner");
    if ((status.mode & 0o077) !== 0) throw unreadable(path, "readable-by-others");
    const bytes = new Uint8Array(256);
    const token = parseToken(new TextDecoder().decode(bytes.subarray(0, readSync(fd, bytes))));
    if (token === null) throw unreadable(path, "malformed");
    return token;
  } finally {
    closeSync(fd);
  }
}

function open(path: string): number {
  try {
    // A FIFO must not hold us up, a link is not followed.
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    throw unreadable(path, code === "ENOENT" ? "missing" : code === "ELOOP" ? "not-a-file" : "unreadable");
  }
}

function unreadable(path: string, reason: string): ClientError {
  return new ClientError("token-unreadable", { path, reason });
}
