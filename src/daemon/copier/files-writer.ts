/**
 * Owns cutting a run of bytes into the files of a temporary folder: the sizes tell where, sha256 is computed on the
 * way. All calls are synchronous, so it runs in a thread of its own (receive-worker.ts) for all but small copies.
 * It imports nothing of ours: the thread stays small. It syncs nothing, but hands large files to the disk early.
 */
import { closeSync, constants, fchmodSync, fdatasync, fstatSync, openSync, readSync, writeSync } from "node:fs";

const READ_BYTES = 256 * 1024;
/** Written pages are handed to the disk so early, or the sync at the end would take as long as the transfer. */
const WRITE_BACK_BYTES = 64 * 1024 * 1024;

export interface FileToWrite {
  /** Absolute, in the temporary folder. */
  readonly path: string;
  readonly bytes: number;
  /** So many are there already. More than none only for the first. */
  readonly resumeBytes: number;
  /** null: that of this process. */
  readonly umask: number | null;
}

/** A system error, with the file that was being written. */
export class WriteFailure extends Error {
  override readonly name = "WriteFailure";
  constructor(
    readonly path: string,
    cause: unknown,
  ) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

interface OpenFile {
  readonly file: FileToWrite;
  readonly fd: number;
  readonly hasher: Bun.CryptoHasher;
  bytes: number;
  bytesNotHandedOver: number;
}

export class FilesWriter {
  readonly #files: FileToWrite[] = [];
  #index = 0;
  #open: OpenFile | null = null;
  /** Never rejects: a failure is kept, and thrown by the next call. */
  #writeBack: { readonly fd: number; readonly ended: Promise<void> } | null = null;
  #failure: WriteFailure | null = null;

  add(files: readonly FileToWrite[]): void {
    for (const file of files) this.#files.push(file);
  }

  /** How many files are complete. */
  get count(): number {
    return this.#index;
  }

  /**
   * Takes what belongs to the file that is due.
   * @returns how many bytes that were, and the hash of the file when it is complete now
   * @throws {WriteFailure} RangeError when no file is due
   */
  take(chunk: Uint8Array, at: number): { readonly bytes: number; readonly sha256: string | null } {
    const open = this.#due();
    const piece = chunk.subarray(at, at + open.file.bytes - open.bytes);
    try {
      for (let written = 0; written < piece.length; ) written += writeSync(open.fd, piece, written);
    } catch (error) {
      throw new WriteFailure(open.file.path, error);
    }
    open.hasher.update(piece);
    open.bytes += piece.length;
    open.bytesNotHandedOver += piece.length;
    if (open.bytes >= open.file.bytes) return { bytes: piece.length, sha256: this.#finish(open) };
    if (open.bytesNotHandedOver >= WRITE_BACK_BYTES) this.#handOver(open);
    return { bytes: piece.length, sha256: null };
  }

  /** The next file asks for no bytes and is complete without: its hash. null: it does, or there is none. */
  takeEmpty(): string | null {
    const file = this.#files[this.#index];
    if (file === undefined || this.#open !== null || file.bytes > file.resumeBytes) return null;
    return this.#finish(this.#due());
  }

  /** Ends it, wherever it stands: what was written is kept, a repetition continues there. @throws {WriteFailure} */
  async close(): Promise<void> {
    const open = this.#open;
    this.#open = null;
    if (open !== null) this.#close(open);
    await this.#writeBack?.ended;
    if (this.#failure !== null) throw this.#failure;
  }

  #due(): OpenFile {
    if (this.#failure !== null) throw this.#failure;
    const file = this.#files[this.#index];
    if (file === undefined) throw new RangeError("no file is due");
    this.#open ??= openFile(file);
    return this.#open;
  }

  #finish(open: OpenFile): string {
    this.#open = null;
    this.#index += 1;
    this.#close(open);
    return open.hasher.digest("hex");
  }

  #close({ file, fd }: OpenFile): void {
    try {
      if (this.#writeBack?.fd === fd) void this.#writeBack.ended.then(() => closeSync(fd));
      else closeSync(fd);
    } catch (error) {
      throw new WriteFailure(file.path, error);
    }
  }

  #handOver(open: OpenFile): void {
    if (this.#writeBack !== null) return;
    open.bytesNotHandedOver = 0;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#writeBack = { fd: open.fd, ended: promise };
    fdatasync(open.fd, (error) => {
      if (error !== null) this.#failure = new WriteFailure(open.file.path, error);
      this.#writeBack = null;
      resolve();
    });
  }
}

function openFile(file: FileToWrite): OpenFile {
  const { O_RDWR, O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW, O_APPEND, O_NONBLOCK } = constants;
  const how = file.resumeBytes > 0 ? O_RDWR | O_APPEND | O_NONBLOCK : O_WRONLY | O_CREAT | O_TRUNC;
  try {
    const fd = openSync(file.path, how | O_NOFOLLOW, 0o666);
    if (file.umask !== null) fchmodSync(fd, (0o666 & ~file.umask) | 0o600);
    const hasher = new Bun.CryptoHasher("sha256");
    if (file.resumeBytes > 0) hashBeginning(fd, file.resumeBytes, hasher);
    return { file, fd, hasher, bytes: file.resumeBytes, bytesNotHandedOver: 0 };
  } catch (error) {
    throw new WriteFailure(file.path, error);
  }
}

function hashBeginning(fd: number, bytes: number, hasher: Bun.CryptoHasher): void {
  const found = fstatSync(fd);
  if (!found.isFile() || found.size !== bytes) throw new Error("somebody else changed it");
  const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, bytes));
  for (let at = 0; at < bytes; ) {
    const count = readSync(fd, buffer, 0, Math.min(buffer.length, bytes - at), at);
    if (count === 0) throw new Error("somebody else changed it");
    hasher.update(buffer.subarray(0, count));
    at += count;
  }
}
