/**
 * One log of a run on this host, while it is copied from elsewhere. Writes each byte at its own place behind what the
 * file held before the run, never shortens it, and waits for space. It keeps the first error, after which it writes no more.
 */
import { closeSync, constants, fchmodSync, fstatSync, openSync, writeSync } from "node:fs";
import type { Problem } from "../../core/problem.ts";
import { errorCode } from "./run-directory.ts";
import { fileProblem } from "./run-log.ts";

const FULL_DISK_RETRY_MS = 1_000;

export interface LogFileOptions {
  readonly path: string;
  /** What it held before the run, bytes; null: what it holds now. */
  readonly baseBytes: number | null;
  /** For a file that is created; null: this process's. */
  readonly umask: number | null;
}

export class LogFile {
  readonly baseBytes: number;
  readonly #path: string;
  readonly #descriptor: number;
  #bytes: number;
  #failure: Problem | null = null;
  readonly #givenUp = Promise.withResolvers<void>();
  #isGivenUp = false;
  #isClosed = false;
  #growth = Promise.withResolvers<void>();

  /** @throws the system's error */
  constructor({ path, baseBytes, umask }: LogFileOptions) {
    this.#path = path;
    this.#descriptor = openForWriting(path, umask);
    const { size } = fstatSync(this.#descriptor);
    // A file that lost what it held begins again where it ends.
    this.baseBytes = Math.min(baseBytes ?? size, size);
    this.#bytes = size - this.baseBytes;
  }

  /** Bytes of the run that are here. */
  get bytes(): number {
    return this.#bytes;
  }

  get failure(): Problem | null {
    return this.#failure;
  }

  /** Resolves when `bytes` is next larger, or will not be. */
  async grown(): Promise<void> {
    await this.#growth.promise;
  }

  /** Appends what comes next of the run's log. Waits while the disk is full; writes nothing once it has failed or is given up. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.length && this.#failure === null && !this.#isGivenUp; ) {
      try {
        const written = writeSync(this.#descriptor, bytes, offset, bytes.length - offset, this.baseBytes + this.#bytes);
        offset += written;
        this.#bytes += written;
      } catch (error) {
        if (errorCode(error) === "ENOSPC" || errorCode(error) === "EDQUOT") await this.#space();
        else this.#failure = fileProblem("log-unwritable", this.#path, error);
      }
    }
    this.#growth.resolve();
    this.#growth = Promise.withResolvers();
  }

  /** Space is waited for no more; what is missing is fetched another time. */
  giveUp(): void {
    this.#isGivenUp = true;
    this.#givenUp.resolve();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.#descriptor);
  }

  async #space(): Promise<void> {
    const later = Promise.withResolvers<void>();
    const timer = setTimeout(later.resolve, FULL_DISK_RETRY_MS);
    await Promise.race([later.promise, this.#givenUp.promise]);
    clearTimeout(timer);
  }
}

/** Not O_APPEND, with which every write would go to the end; and a FIFO in its place must not hold us up. */
function openForWriting(path: string, umask: number | null): number {
  try {
    const descriptor = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o666);
    if (umask !== null) fchmodSync(descriptor, 0o666 & ~umask);
    return descriptor;
  } catch (error) {
    if (errorCode(error) !== "EEXIST") throw error;
    return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  }
}
