/** Why there was no answer at all: a code with data. A server that answers "no" is a RequestError instead. */
export type ClientErrorCode =
  /** The address is not HOST:PORT of this host; data.reason. */
  | "bad-address"
  /** Nobody answers there; data.reason is "refused", "closed" or the system's code. */
  | "no-server"
  /** The server does not accept the token in data.token_file, or is dialled at another port than it listens on. */
  | "not-allowed"
  /** data.path, data.reason: "missing", "unreadable", "not-a-file", "foreign-owner", "readable-by-others", "malformed". */
  | "token-unreadable"
  /** data.server_version, and data.method when only its answer was not understood. */
  | "version-mismatch"
  /** The connection ended before the answer; data.outcome is "unknown" when a change may have been made. */
  | "connection-lost"
  | "timeout"
  /** What listens there speaks something else, or does not know the token although it says so. */
  | "not-our-server"
  /** data.reason: "too-many-connections" or "shutting-down". */
  | "server-busy";

export class ClientError extends Error {
  override readonly name = "ClientError";
  constructor(
    readonly code: ClientErrorCode,
    readonly data: Readonly<Record<string, string>> = {},
  ) {
    super(`${code} ${JSON.stringify(data)}`);
  }
}

/** The exit codes of cli.md: 2 wrong usage, 3 no server reachable, 4 not allowed, 1 otherwise. */
export function exitCodeOf(code: ClientErrorCode): 1 | 2 | 3 | 4 {
  switch (code) {
    case "bad-address":
      return 2;
    case "no-server":
    case "connection-lost":
    case "timeout":
    case "not-our-server":
    case "server-busy":
      return 3;
    case "not-allowed":
    case "token-unreadable":
      return 4;
    case "version-mismatch":
      return 1;
  }
}
