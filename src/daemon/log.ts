/** The daemon's own log: consola in front, stderr and a rotating file behind. Never a secret, never a job's output. */
import { mkdirSync, writeSync } from "node:fs";
import { createConsola, LogLevels } from "consola/core";
import type { LogOptions } from "../config/retention-options.ts";
import { asLine } from "./log-words.ts";
import { LogFile } from "./logging/log-file.ts";

export interface DaemonLog {
  error(text: string): void;
  warn(text: string): void;
  info(text: string): void;
  debug(text: string): void;
  /** Writes out what is buffered. */
  close(): Promise<void>;
}

/** One that can be told otherwise while it is written. */
export interface ServerLog extends DaemonLog {
  configure(options: LogOptions): void;
}

const LEVELS = {
  error: LogLevels.error,
  warn: LogLevels.warn,
  info: LogLevels.info,
  debug: LogLevels.debug,
  trace: LogLevels.trace,
} as const;

/**
 * Whatever happens to its file or to stderr, logging never throws and never stops the daemon.
 * @param folder where `server.log` and its rotated predecessors are
 */
export function openDaemonLog(folder: string, options: LogOptions): ServerLog {
  mkdirSync(folder, { recursive: true });
  const file = new LogFile({ ...options, folder }, (path, error) =>
    writeStderr(`warn: cannot write ${asLine(path)}: ${asLine(error.message)}\n`),
  );
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
    configure: (changed) => {
      consola.level = LEVELS[changed.level];
      file.configure({ ...changed, folder });
    },
    close: () => file.close(),
  };
}

/** Straight to the descriptor. A terminal that is gone or a full disk behind it is nobody's to be told: there is no other place. */
function writeStderr(line: string): void {
  try {
    writeSync(2, line);
  } catch {
    // See above.
  }
}
