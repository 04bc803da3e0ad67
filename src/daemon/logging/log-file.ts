/**
 * `server.log` and its rotated predecessors. Whatever happens to the file or its folder, writing never throws: lines
 * that no file takes are on stderr alone. A file or folder that somebody moved away is made anew with the next line.
 */
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { createStream, type RotatingFileStream } from "rotating-file-stream";

export interface LogFileOptions {
  readonly folder: string;
  /** A file that has as many bytes is rotated. */
  readonly bytesMax: number;
  /** Rotated files that are kept: `server.log.1` is the youngest. */
  readonly filesMax: number;
  /** Rotated files are `server.log.1.gz`. */
  readonly compress: boolean;
}

export const LOG_FILE = "server.log";
/** A file that cannot be written is tried again after this. */
const REOPEN_AFTER_MS = 10_000;
/** Lines that a slow disk has not taken yet; those beyond it are on stderr only. */
const BUFFERED_BYTES_MAX = 4 * 1_048_576;

export class LogFile {
  private stream: RotatingFileStream | null = null;
  /** Of the open file; null while it is opened or rotated. */
  private inode: number | null = null;
  /** Lines that come while the old stream is closed for a new one; null: none is. */
  private waiting: { readonly lines: string[]; bytes: number } | null = null;
  private switched: Promise<void> = Promise.resolve();
  private reopenAt = 0;
  private closed = false;
  /** Said once: a full disk must not fill the terminal too. */
  private isComplained = false;

  /** @param complain called when the file cannot be written, once until it can be again */
  constructor(
    private options: LogFileOptions,
    private readonly complain: (path: string, error: Error) => void,
  ) {
    this.stream = this.open();
  }

  write(line: string): void {
    if (this.closed) return;
    if (this.stream !== null && this.isAway()) this.reopen();
    if (this.waiting !== null) {
      this.waiting.bytes += line.length;
      if (this.waiting.bytes <= BUFFERED_BYTES_MAX) this.waiting.lines.push(line);
      return;
    }
    if (this.stream === null && Date.now() >= this.reopenAt) this.stream = this.open();
    if (this.stream !== null && this.stream.writableLength < BUFFERED_BYTES_MAX) this.stream.write(line);
  }

  /** From now on so; the file is opened anew, which is also what a foreign log rotation asks for with SIGHUP. */
  configure(options: LogFileOptions): void {
    this.options = options;
    this.reopenAt = 0;
    this.reopen();
  }

  /** Writes out what is buffered. */
  async close(): Promise<void> {
    await this.switched;
    this.closed = true;
    const { stream } = this;
    this.stream = null;
    await ended(stream);
  }

  /** One after the other: two streams of one file would rotate it twice. */
  private reopen(): void {
    if (this.waiting !== null || this.closed) return;
    const waiting = { lines: [] as string[], bytes: 0 };
    this.waiting = waiting;
    const { stream } = this;
    this.stream = null;
    this.inode = null;
    this.switched = ended(stream).then(() => {
      this.waiting = null;
      this.stream = this.open();
      for (const line of waiting.lines) this.stream?.write(line);
    });
  }

  private open(): RotatingFileStream {
    const { folder, bytesMax, filesMax, compress } = this.options;
    this.inode = null;
    removeTornRotation(folder, bytesMax);
    const stream = createStream(LOG_FILE, {
      path: folder,
      size: `${bytesMax}B`,
      rotate: filesMax,
      mode: 0o600,
      ...(compress ? { compress: "gzip" } : {}),
    });
    stream.on("open", () => {
      this.isComplained = false;
      if (this.stream === stream) this.inode = inodeOf(join(folder, LOG_FILE));
    });
    stream.on("rotation", () => {
      if (this.stream === stream) this.inode = null;
    });
    stream.on("rotated", () => removeSurplus(folder, filesMax));
    stream.on("error", (error) => {
      if (!this.isComplained) this.complain(join(folder, LOG_FILE), error);
      this.isComplained = true;
      this.reopenAt = Math.max(this.reopenAt, Date.now() + REOPEN_AFTER_MS);
      if (this.stream === stream) this.stream = null;
    });
    return stream;
  }

  /** A deleted file takes what is written without an error, and nobody ever reads it. */
  private isAway(): boolean {
    return this.inode !== null && this.inode !== inodeOf(join(this.options.folder, LOG_FILE));
  }
}

async function ended(stream: RotatingFileStream | null): Promise<void> {
  if (stream === null || stream.destroyed) return;
  await new Promise<void>((resolve) => {
    stream.once("close", resolve);
    stream.once("error", () => resolve());
    stream.end(() => resolve());
  });
}

function inodeOf(path: string): number | null {
  return statSync(path, { throwIfNoEntry: false })?.ino ?? null;
}

/**
 * The youngest gzipped file, when its making was cut short: the file it was made of is still there, whole, and would
 * be gzipped again beside the torn one.
 */
function removeTornRotation(folder: string, bytesMax: number): void {
  const compressed = join(folder, `${LOG_FILE}.1.gz`);
  const source = statSync(join(folder, LOG_FILE), { throwIfNoEntry: false });
  const made = statSync(compressed, { throwIfNoEntry: false });
  if (source === undefined || made === undefined || source.size < bytesMax || made.mtimeMs <= source.mtimeMs) return;
  rmSync(compressed, { force: true });
}

/** Files from when more were kept, or when they were gzipped and now are not: by age, whatever their number. */
function removeSurplus(folder: string, filesMax: number): void {
  try {
    const rotated = readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isFile() && /^server\.log\.\d+(\.gz)?$/.test(entry.name))
      .map((entry) => join(folder, entry.name))
      .map((path) => ({ path, at: statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
      .sort((a, b) => b.at - a.at);
    for (const { path } of rotated.slice(filesMax)) rmSync(path, { force: true });
  } catch {
    // The folder was taken away in this moment: then nothing in it is too much.
    return;
  }
}
