/**
 * Owns the way of bytes from one stream into the files of a temporary folder: the sizes of the listing split
 * it, sha256 is computed on the way. Small files are written at once (three system calls each), large ones
 * behind the reader, so that a disk that is slower than the network does not hold the daemon. It syncs nothing.
 */
import { close, closeSync, constants, fchmodSync, fdatasync, openSync, writeSync, writev } from "node:fs";
import { promisify } from "node:util";
import { resultsChanged, targetUnwritable } from "./copy-problem.ts";
import { TimeSlice } from "./time-slice.ts";

const writevAsync = promisify(writev);
const fdatasyncAsync = promisify(fdatasync);
const closeAsync = promisify(close);

/** From this size on a file is written behind the reader. */
const LARGE_BYTES = 1024 * 1024;
const WRITE_BYTES = 1024 * 1024;
const WRITE_PIECES = 256;
/** Written pages are handed to the disk so early, or the sync at the end would take as long as the transfer. */
const WRITE_BACK_BYTES = 64 * 1024 * 1024;

export interface FileToReceive {
  /** For messages: the name on the machine. */
  readonly source: string;
  /** Absolute, in the temporary folder. */
  readonly path: string;
  readonly bytes: number;
  /** Bytes that are there already, and the hash of them; only for the first of a stream. */
  readonly resume: { readonly bytes: number; readonly hasher: Bun.CryptoHasher } | null;
  /** null: that of this process. */
  readonly umask: number | null;
}

/**
 * Reads the stream to its end.
 * @returns how many of the files are complete; fewer than all: the stream was too short
 * @throws {CopyProblem} results-changed when it is too long, target-unwritable, or what the stream throws
 */
export async function receiveFiles(options: {
  readonly machine: string;
  readonly stream: AsyncIterable<Uint8Array>;
  readonly files: readonly FileToReceive[];
  readonly onReceived: (index: number, sha256: string) => void;
}): Promise<number> {
  const { files, onReceived } = options;
  const slice = new TimeSlice();
  let index = 0;
  let open: OpenFile | null = null;
  try {
    for await (const chunk of options.stream) {
      let at = 0;
      while (at < chunk.length) {
        const file = files[index];
        if (file === undefined) throw resultsChanged(options.machine, files.at(-1)?.source ?? "");
        open ??= openFile(file);
        at += await open.take(chunk, at);
        if (open.isFull) {
          const done: OpenFile = open;
          open = null;
          onReceived(index, await done.finish());
          index += 1;
        }
        if (slice.over) await slice.pause();
      }
    }
    // Empty files ask for no bytes: those at the end, or all.
    for (let file = files[index]; file !== undefined && file.bytes === (file.resume?.bytes ?? 0); file = files[index]) {
      onReceived(index, await openFile(file).finish());
      index += 1;
      if (slice.over) await slice.pause();
    }
    return index;
  } finally {
    await open?.abandon();
  }
}

interface OpenFile {
  readonly isFull: boolean;
  /** Takes what belongs to this file; returns how many bytes that was. */
  take(chunk: Uint8Array, at: number): Promise<number> | number;
  finish(): Promise<string> | string;
  abandon(): Promise<void> | void;
}

function openFile(file: FileToReceive): OpenFile {
  const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW, O_APPEND } = constants;
  try {
    const fd = openSync(file.path, O_WRONLY | O_CREAT | O_NOFOLLOW | (file.resume === null ? O_TRUNC : O_APPEND), 0o666);
    if (file.umask !== null) fchmodSync(fd, (0o666 & ~file.umask) | 0o600);
    return file.bytes < LARGE_BYTES ? new SmallFile(file, fd) : new LargeFile(file, fd);
  } catch (error) {
    throw targetUnwritable(file.path, error);
  }
}

class SmallFile implements OpenFile {
  readonly #file: FileToReceive;
  readonly #fd: number;
  readonly #hasher: Bun.CryptoHasher;
  #bytes: number;

  constructor(file: FileToReceive, fd: number) {
    this.#file = file;
    this.#fd = fd;
    this.#hasher = file.resume?.hasher ?? new Bun.CryptoHasher("sha256");
    this.#bytes = file.resume?.bytes ?? 0;
  }

  get isFull(): boolean {
    return this.#bytes >= this.#file.bytes;
  }

  take(chunk: Uint8Array, at: number): number {
    const piece = chunk.subarray(at, at + this.#file.bytes - this.#bytes);
    try {
      for (let written = 0; written < piece.length; ) written += writeSync(this.#fd, piece, written);
    } catch (error) {
      throw targetUnwritable(this.#file.path, error);
    }
    this.#hasher.update(piece);
    this.#bytes += piece.length;
    return piece.length;
  }

  finish(): string {
    try {
      closeSync(this.#fd);
    } catch (error) {
      throw targetUnwritable(this.#file.path, error);
    }
    return this.#hasher.digest("hex");
  }

  abandon(): void {
    closeSync(this.#fd);
  }
}

class LargeFile implements OpenFile {
  readonly #file: FileToReceive;
  readonly #fd: number;
  readonly #hasher: Bun.CryptoHasher;
  #bytes: number;
  #pieces: Uint8Array[] = [];
  #pieceBytes = 0;
  #sinceWriteBack = 0;
  /** Neither ever rejects: a failure is kept and thrown by the next call. */
  #writing: Promise<void> = Promise.resolve();
  #writingBack: Promise<void> | null = null;
  #failure: unknown = null;

  constructor(file: FileToReceive, fd: number) {
    this.#file = file;
    this.#fd = fd;
    this.#hasher = file.resume?.hasher ?? new Bun.CryptoHasher("sha256");
    this.#bytes = file.resume?.bytes ?? 0;
  }

  get isFull(): boolean {
    return this.#bytes >= this.#file.bytes;
  }

  take(chunk: Uint8Array, at: number): Promise<number> | number {
    const piece = chunk.subarray(at, at + this.#file.bytes - this.#bytes);
    this.#hasher.update(piece);
    this.#pieces.push(piece);
    this.#pieceBytes += piece.length;
    this.#bytes += piece.length;
    if (this.#pieceBytes < WRITE_BYTES && this.#pieces.length < WRITE_PIECES) return piece.length;
    return this.#flush().then(() => piece.length);
  }

  async finish(): Promise<string> {
    try {
      await this.#flush();
      await this.#writing;
      this.#throwFailure();
    } finally {
      await this.abandon();
    }
    return this.#hasher.digest("hex");
  }

  /** What was received is kept: a repetition continues there. */
  async abandon(): Promise<void> {
    await this.#writing;
    if (this.#pieces.length > 0 && this.#failure === null) await this.#write(this.#pieces);
    await this.#writingBack;
    await closeAsync(this.#fd);
  }

  /** Waits for the write before, so that at most two batches are in memory. */
  async #flush(): Promise<void> {
    await this.#writing;
    this.#throwFailure();
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#sinceWriteBack += this.#pieceBytes;
    this.#pieceBytes = 0;
    this.#writing = this.#write(pieces);
  }

  async #write(pieces: Uint8Array[]): Promise<void> {
    try {
      let rest = pieces;
      while (rest.length > 0) rest = withoutFirst(rest, (await writevAsync(this.#fd, rest)).bytesWritten);
    } catch (error) {
      this.#failure = error;
      return;
    }
    if (this.#sinceWriteBack < WRITE_BACK_BYTES || this.#writingBack !== null) return;
    this.#sinceWriteBack = 0;
    this.#writingBack = fdatasyncAsync(this.#fd).then(
      () => {
        this.#writingBack = null;
      },
      (error: unknown) => {
        this.#writingBack = null;
        this.#failure = error;
      },
    );
  }

  #throwFailure(): void {
    if (this.#failure !== null) throw targetUnwritable(this.#file.path, this.#failure);
  }
}

function withoutFirst(pieces: readonly Uint8Array[], bytes: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let left = bytes;
  for (const piece of pieces) {
    if (left >= piece.length) left -= piece.length;
    else {
      rest.push(left === 0 ? piece : piece.subarray(left));
      left = 0;
    }
  }
  return rest;
}
