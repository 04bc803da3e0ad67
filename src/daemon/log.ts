/** The daemon's own log: consola in front, stderr and a rotating file behind. Never a secret, never a job's output. */
import { mkdirSync, writeSync } from "node:fs";
import { createConsola, LogLevels } from "consola/core";
import { createStream, type RotatingFileStream } from "rotating-file-stream";
import { asLine } from "./log-words.ts";

export interface DaemonLog {
  error(text: string): void;
  warn(text: string): void;
  info(text: string): void;
  debug(text: string): void;
  /** Writes out what is buffered. */
  close(): Promise<void>;
}

export interface DaemonLogOptions {
  readonly level: "error" | "warn" | "info" | "debug" | "trace";
  /** Where `server.log` and its rotated predecessors are. */
  readonly folder: string;
  readonly sizeMax: `${number}M`;
  readonly filesMax: number;
}

const LEVELS = {
  error: LogLevels.error,
  warn: LogLevels.warn,
  info: LogLevels.info,
  debug: LogLevels.debug,
  trace: LogLevels.trace,
} as const;

/** A file that cannot be written is tried again after this. */
const REOPEN_AFTER_MS = 10_000;
/** Lines that a slow disk has not taken yet; those beyond it are on stderr only. */
const BUFFERED_BYTES_MAX = 4 * 1_048_576;

/** Whatever happens to its file or to stderr, logging never throws and never stops the daemon. */
export function openDaemonLog(options: DaemonLogOptions): DaemonLog {
  mkdirSync(options.folder, { recursive: true });
  const file = new LogFile(options);
  const consola = createConsola({
    level: LEVELS[options.level],
    // consola folds equal lines together, which in a log is a loss.
    throttle: 0,
    reporters: [
      {
        log: ({ date, type, args }) => {
          const line = `${date.toISOString()} ${type}: ${asLine(args.join(" "))}\n`;
          writeStderr(line);
          file.write(line);
        },
      },
    ],
  });
  return {
    error: (text) => consola.error(text),
    warn: (text) => consola.warn(text),
    info: (text) => consola.info(text),
    debug: (text) => consola.debug(text),
    close: () => file.close(),
  };
}

class LogFile {
  private stream: RotatingFileStream | null;
  private reopenAt = 0;
  /** Said once: a full disk must not fill the terminal too. */
  private isComplained = false;

  constructor(private readonly options: DaemonLogOptions) {
    this.stream = this.open();
  }

  write(line: string): void {
    if (this.stream === null && Date.now() >= this.reopenAt) this.stream = this.open();
    if (this.stream !== null && this.stream.writableLength < BUFFERED_BYTES_MAX) this.stream.write(line);
  }

  async close(): Promise<void> {
    const { stream } = this;
    this.stream = null;
    this.reopenAt = Number.POSITIVE_INFINITY;
    if (stream === null) return;
    await new Promise<void>((resolve) => {
      stream.once("close", resolve);
      stream.once("error", () => resolve());
      stream.end(() => resolve());
    });
  }

  private open(): RotatingFileStream {
    const { folder, sizeMax, filesMax } = this.options;
    const stream = createStream("server.log", { path: folder, size: sizeMax, rotate: filesMax, mode: 0o600 });
    stream.on("open", () => {
      this.isComplained = false;
    });
    stream.on("error", (error) => {
      if (!this.isComplained) writeStderr(`warn: cannot write ${asLine(folder)}/server.log: ${asLine(error.message)}\n`);
      this.isComplained = true;
      this.reopenAt = Math.max(this.reopenAt, Date.now() + REOPEN_AFTER_MS);
      if (this.stream === stream) this.stream = null;
    });
    return stream;
  }
}

/** Straight to the descriptor. A terminal that is gone or a full disk behind it is nobody's to be told: there is no other place. */
function writeStderr(line: string): void {
  try {
    writeSync(2, line);
  } catch {
    // See above.
  }
}
