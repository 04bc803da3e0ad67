/** Every default that a user can change, in one place. Help texts quote them from here. */

export const DEFAULT_ADDRESS = "127.0.0.1:3030";
export const DEFAULT_LOG_LEVEL = "info";
export const DEFAULT_LOG_BYTES_MAX = 10 * 1_048_576;
export const DEFAULT_LOG_FILES = 5;
export const APPLICATION_NAME = "expjobserver";

export const DEFAULT_BACKOFF_SECONDS = 10;
export const DEFAULT_BACKOFF_SECONDS_MAX = 600;
export const DEFAULT_QUEUED_JOBS_MAX = 200_000;
export const DEFAULT_FAILURES_BEFORE_QUARANTINE = 4;
export const DEFAULT_COPIES_AT_ONCE = 4;
export const DEFAULT_KILL_GRACE_SECONDS = 10;
export const DEFAULT_CONNECT_TIMEOUT_SECONDS = 20;
/** Between two questions to a machine on a quiet connection; three without an answer end it. */
export const DEFAULT_KEEPALIVE_SECONDS = 15;

export const LISTING_ROWS = 40;
export const MATRIX_FAILURES_MAX = 3;
