/** Owns the limits of one copy, with their units. A hostile machine can reach them, but not pass them. */
export interface CopyLimits {
  /** Files, folders and skipped things that the prefixes name together. */
  readonly entriesMax: number;
  /** Bytes of the listing as the machine sends it. */
  readonly manifestBytesMax: number;
  readonly pathBytesMax: number;
  /** Components below CP_PATH. */
  readonly depthMax: number;
  readonly prefixesMax: number;
  /** A command that sends nothing for so long is ended, and repeated. */
  readonly stallMs: number;
  /** Commands over a connection that dies or stalls are tried so often in all. */
  readonly attemptsMax: number;
  /** Pause before the second attempt; the third waits twice as long. */
  readonly retryDelayMs: number;
  /** What a machine is expected to hash at least; a slower one counts as stalled. */
  readonly hashBytesPerSecondMin: number;
}

export const COPY_LIMITS: CopyLimits = {
  entriesMax: 1_000_000,
  manifestBytesMax: 256 * 1024 * 1024,
  pathBytesMax: 4096,
  depthMax: 256,
  prefixesMax: 1000,
  stallMs: 60_000,
  attemptsMax: 3,
  retryDelayMs: 2000,
  hashBytesPerSecondMin: 4 * 1024 * 1024,
};
