/** Why a request was refused: a code with data. The words are in terminal/request-error.ts. */
export const ERROR_CODES = [
  // of the protocol itself
  "bad-frame",
  "bad-request",
  "unknown-method",
  "too-many-connections",
  "shutting-down",
  /** The client took the request back. */
  "canceled",
  /** The request id was sent before, with another change. */
  "request-id-reused",
  /** A fault of the server: its log has the details, the answer has none. */
  "internal",
  // of the store
  "no-space",
  "storage-failed",
  // of what was asked
  "no-such-job",
  "no-such-matrix",
  "no-such-tag",
  "no-such-id",
  "no-such-machine",
  "no-such-class",
  "no-such-variable",
  "no-jobs",
  "job-ended",
  "job-over",
  "job-not-ended",
  "job-not-waiting",
  "job-not-held",
  "nothing-to-copy",
  "machine-busy",
  "bad-machine-name",
  "bad-class-name",
  "bad-variable-name",
  "bad-command",
  "bad-placeholder",
  "bad-matrix",
  "limit-exceeded",
  "log-missing",
  "log-expired",
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

export interface RequestErrorBody {
  /** A newer server may send codes that this client does not know: it shows them as they are. */
  readonly code: ErrorCode | (string & {});
  readonly data: Readonly<Record<string, string | number>>;
}

/** Thrown by handlers and by the client's calls. */
export class RequestError extends Error {
  override readonly name = "RequestError";
  constructor(
    readonly code: RequestErrorBody["code"],
    readonly data: RequestErrorBody["data"] = {},
  ) {
    super(`${code} ${JSON.stringify(data)}`);
  }
}
