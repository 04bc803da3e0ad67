/** The daemon's own log: consola in front, stderr and a rotating file behind. Never a secret, never a job's output. */
import { mkdirSync, writeSync } from "node:fs";
import { createConsola, LogLevels } from "consola/core";
import { createStream, type RotatingFileStream } from "rotating-file-stream";

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

export function openDaemonLog(options: DaemonLogOptions): DaemonLog {
  mkdirSync(options.folder, { recursive: true });
  const file = createStream("server.log", { path: options.folder, size: options.sizeMax, rotate: options.filesMax, mode: 0o600 });
  let fileBroken = false;
  file.on("error", (error) => {
    // Said once: a full disk must not fill the terminal too.
    if (!fileBroken) writeStderr(`warn: cannot write ${options.folder}/server.log: ${error.message}\n`);
    fileBroken = true;
  });
  const consola = createConsola({
    level: LEVELS[options.level],
    // consola folds equal lines together, which in a log is a loss.
    throttle: 0,
    reporters: [
      {
        log: ({ date, type, args }) => {
          const line = `${date.toISOString()} ${type}: ${args.join(" ").replaceAll(/\p{Cc}+/gu, " ")}\n`;
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
    close: () => closed(file),
  };
}

function closed(file: RotatingFileStream): Promise<void> {
  return new Promise((resolve) => file.end(() => resolve()));
}

/** Straight to the descriptor; a terminal that is gone must not stop the daemon. */
function writeStderr(line: string): void {
  try {
    writeSync(2, line);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== "EPIPE" && code !== "EIO" && code !== "EAGAIN" && code !== "EBADF") throw error;
  }
}
