/** `[log]` and `[retention]`, resolved: how the server keeps its own log, and what becomes of old logs and jobs. */
import { ConfigError } from "./config-error.ts";
import type { ConfigFile, LogLevel } from "./config-file.ts";
import { DEFAULT_LOG_BYTES_MAX, DEFAULT_LOG_FILES, DEFAULT_LOG_LEVEL } from "./defaults.ts";

export interface LogOptions {
  readonly level: LogLevel;
  /** A file that has as many is rotated. */
  readonly bytesMax: number;
  /** Rotated files that are kept. */
  readonly filesMax: number;
  /** Rotated files are gzipped. */
  readonly compress: boolean;
}

/** null: never, which is the default of each. */
export interface RetentionOptions {
  readonly compressLogsAfterSeconds: number | null;
  readonly deleteLogsAfterSeconds: number | null;
  readonly deleteLogsAboveBytes: number | null;
  readonly forgetJobsAfterSeconds: number | null;
}

/** One line is longer than that: smaller files would hold one line each. */
const LOG_BYTES_MIN = 1_024;

/** @throws ConfigError */
export function logOptions(file: ConfigFile, levelFlag: LogLevel | undefined): LogOptions {
  const { log, serve } = file;
  if (log.level !== undefined && serve.log_level !== undefined) {
    throw new ConfigError(`"${file.path}": log_level and log.level are both there.`, "Keep one of them; they mean the same.");
  }
  if (log.max_size !== undefined && log.max_size < LOG_BYTES_MIN) {
    throw new ConfigError(`"${file.path}": log.max_size is ${log.max_size} bytes.`, `It must be at least ${LOG_BYTES_MIN}.`);
  }
  return {
    level: levelFlag ?? log.level ?? serve.log_level ?? DEFAULT_LOG_LEVEL,
    bytesMax: log.max_size ?? DEFAULT_LOG_BYTES_MAX,
    filesMax: log.files ?? DEFAULT_LOG_FILES,
    compress: log.compress ?? true,
  };
}

/** @throws ConfigError */
export function retentionOptions({ path, retention }: ConfigFile): RetentionOptions {
  const { compress_logs_after, delete_logs_after, delete_logs_above, forget_jobs_after } = retention;
  // Only the record of a job knows its log.
  if (delete_logs_after !== undefined && forget_jobs_after !== undefined && forget_jobs_after < delete_logs_after) {
    throw new ConfigError(
      `"${path}": retention.forget_jobs_after is shorter than retention.delete_logs_after.`,
      "Make it as long or longer: the log of a forgotten job is never deleted.",
    );
  }
  return {
    compressLogsAfterSeconds: compress_logs_after ?? null,
    deleteLogsAfterSeconds: delete_logs_after ?? null,
    deleteLogsAboveBytes: delete_logs_above ?? null,
    forgetJobsAfterSeconds: forget_jobs_after ?? null,
  };
}
