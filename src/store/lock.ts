/**
 * One daemon a state directory: flock(2) on `lock`, held until the process ends however it ends.
 * flock and not fcntl locks (which bun:sqlite uses): a fcntl lock is lost as soon as any code of the process
 * opens and closes the file, for instance to read the pid in it; an flock belongs to the open file itself.
 * The descriptor is close-on-exec (as every one that Bun opens; a test holds it to that), so no child keeps the lock alive. The file is never removed: removing it
 * would let two processes lock two files of the same name.
 */
import { dlopen, read } from "bun:ffi";
import { closeSync, constants, fchmodSync, ftruncateSync, openSync, readFileSync, readSync } from "node:fs";
import { writeFully } from "./durable-file.ts";
import { asStoreError, StoreError } from "./store-error.ts";

const LOCK_EXCLUSIVE_NOW = 2 | 4;
const EAGAIN = 11;
const EINTR = 4;
const PID_BYTES_MAX = 32;
/** A second server ends within a second. */
const DEAD_HOLDER_WAIT_MS = 600;
const LOOK_AGAIN_MS = 10;

export class DirectoryLock {
  private released = false;

  private constructor(private readonly descriptor: number) {}

  /**
   * @throws StoreError "locked" with the pid of the holder, at once when that one lives. One that was killed may have
   * left the lock to a process that it was just starting, until that executes its program: that is waited for.
   */
  static take(file: string): DirectoryLock {
    let descriptor: number;
    try {
      descriptor = openSync(file, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    } catch (error) {
      throw asStoreError(error, file);
    }
    try {
      lockNow(descriptor, file);
      fchmodSync(descriptor, 0o600);
      ftruncateSync(descriptor, 0);
      writeFully(descriptor, Buffer.from(`${process.pid}\n`), 0);
      return new DirectoryLock(descriptor);
    } catch (error) {
      closeSync(descriptor);
      throw asStoreError(error, file);
    }
  }

  release(): void {
    if (this.released) return;
    this.released = true;
    closeSync(this.descriptor);
  }
}

function lockNow(descriptor: number, file: string): void {
  for (let waitedMs = 0; ; ) {
    const failure = flock(descriptor, LOCK_EXCLUSIVE_NOW);
    if (failure === null) return;
    if (failure === EINTR) continue;
    if (failure !== EAGAIN) throw new StoreError("io", { file, system: `flock: errno ${failure}` });
    const pid = holderOf(descriptor);
    if (pid === 0 || isAlive(pid) || waitedMs >= DEAD_HOLDER_WAIT_MS) throw new StoreError("locked", { file, pid });
    Bun.sleepSync(LOOK_AGAIN_MS);
    waitedMs += LOOK_AGAIN_MS;
  }
}

/** A zombie is dead: its files are closed. */
function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(") ") + 2));
  } catch {
    return false;
  }
}

/** What the holder wrote; 0 in the moment before it has. */
function holderOf(descriptor: number): number {
  const bytes = Buffer.alloc(PID_BYTES_MAX);
  const length = readSync(descriptor, bytes, 0, bytes.length, 0);
  const text = bytes.toString("latin1", 0, length);
  return /^\d+\n$/.test(text) ? Number.parseInt(text, 10) : 0;
}

/** null, or errno. */
function flock(descriptor: number, operation: number): number | null {
  const library = systemLibrary();
  if (library.symbols.flock(descriptor, operation) === 0) return null;
  const location = library.symbols.__errno_location();
  return typeof location === "number" ? read.i32(location, 0) : -1;
}

type SystemLibrary = ReturnType<typeof openLibrary>;
let opened: SystemLibrary | null = null;

function systemLibrary(): SystemLibrary {
  if (opened !== null) return opened;
  const musl = `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`;
  const failures: unknown[] = [];
  for (const name of ["libc.so.6", musl]) {
    try {
      opened = openLibrary(name);
      return opened;
    } catch (error) {
      failures.push(error);
    }
  }
  throw new StoreError("io", { file: "libc", system: "flock is not available" }, new AggregateError(failures));
}

function openLibrary(name: string) {
  return dlopen(name, {
    flock: { args: ["i32", "i32"], returns: "i32" },
    __errno_location: { args: [], returns: "ptr" },
  });
}
